// The tab Service: clicks become events of the page, after a question where work is interrupted.
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-verb]");
  if (!button || (button.dataset.ask && !confirm(button.dataset.ask))) return;
  trigger("select", { verb: button.dataset.verb, engine: button.dataset.engine || "" });
});

// How the workers are is asked for at once, and again while somebody sees it.
const look = () => trigger("select", { verb: "look", engine: "" });
const timer = setInterval(() => {
  if (!element.isConnected) return clearInterval(timer);
  if (isSeen()) look();
}, 3000);
look();

// Before each of the other scripts: words in the page's language, and elements that hold text and never HTML.
const language = () => document.documentElement.dataset.longtake;
const say = (key, values = {}) => {
  const phrase = words[language()][key];
  return phrase.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
};
const make = (tag, className = "", text = "") => {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
};
// Of a hidden tab and of a page that lies behind others nothing is asked.
const isSeen = () => element.isConnected && element.offsetParent !== null && !document.hidden;
const onLanguage = (act) =>
  new MutationObserver(act).observe(document.documentElement, { attributeFilter: ["data-longtake"] });
const fetchJson = async (address) => {
  const answer = await fetch(address, { signal: AbortSignal.timeout(10000), cache: "no-store" });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error ? said.error.message : String(answer.status));
  return said;
};
const bytes = (count) => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = count > 0 ? Math.min(4, Math.floor(Math.log2(count) / 10)) : 0;
  const value = count / 1024 ** step;
  return `${value.toFixed(step && value < 100 ? 1 : 0)} ${units[step]}`;
};

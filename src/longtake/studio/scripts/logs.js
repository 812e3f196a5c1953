// The tab Logs: the newest lines, and those that come while somebody looks. Everything in a line is shown as text.
const LINES = 500; // in the page at most
const PAGE = 200;
const REST_MS = 3000; // before a server that refused, or did not answer, is asked again
const LEVELS = ["debug", "info", "warning", "error"];
const PLAIN = ["time", "level", "event", "logger", "process", "pid", "job", "trace"];
const state = { level: "info", job: "", text: "", follows: true, position: null, cursor: null, source: null };
// Whether the lines are those of these filters, and how often they were set.
Object.assign(state, { isFresh: false, turn: 0, restsUntil: 0 });

// ---- the page

const root = make("div", "lt-logs");
const bar = make("div", "lt-bar-row lt-filters");
const field = (input) => {
  const label = make("label", "lt-field");
  const told = make("span", "lt-small lt-quiet");
  label.append(told, input);
  bar.append(label);
  return { input, told };
};
const level = field(make("select"));
const text = field(make("input"));
const job = field(make("input"));
for (const name of LEVELS) level.input.append(new Option("", name, false, name === state.level));
text.input.id = "lt-log-text";
job.input.id = "lt-log-job";
level.input.id = "lt-log-level";
const plain = { type: "search", maxLength: 200, autocomplete: "off", spellcheck: false };
for (const each of [text, job]) Object.assign(each.input, plain);
const button = (id, act) => {
  const made = make("button", "lt-segment");
  Object.assign(made, { type: "button", id });
  made.addEventListener("click", act);
  return made;
};
const follow = button("lt-log-follow", () => setFollows(!state.follows));
const clear = button("lt-log-clear", () => show({ level: "info", job: "", text: "" }));
const older = button("lt-log-older", () => loadOlder());
const status = make("span", "lt-quiet lt-small");
const list = make("ol", "lt-lines");
status.setAttribute("role", "status");
list.tabIndex = 0;
bar.append(follow, clear);
const below = make("div", "lt-bar-row");
below.append(older, status);
root.append(bar, below, list);
element.replaceChildren(root);

const label = () => {
  level.told.textContent = say("log_level");
  for (const option of level.input.options) option.textContent = say(`log_${option.value}`);
  text.told.textContent = say("log_text");
  text.input.placeholder = say("log_text_hint");
  job.told.textContent = say("log_job");
  job.input.placeholder = say("log_job_hint");
  follow.textContent = say(state.follows ? "log_pause" : "log_follow");
  follow.setAttribute("aria-pressed", String(state.follows));
  clear.textContent = say("log_clear");
  older.textContent = say(state.cursor ? "log_older" : "log_no_older");
  older.disabled = !state.cursor;
  list.dataset.none = say("log_none");
  tell();
};
const tell = (word) => {
  status.textContent = say(word || (state.follows ? "log_following" : "log_paused"));
};

// ---- lines

const row = (line) => {
  const made = make("li", "lt-line");
  made.dataset.level = line.level;
  const time = make("time", "", new Date(line.time).toLocaleTimeString(language(), { hour12: false }));
  time.dateTime = line.time;
  time.title = line.time;
  made.append(time, make("b", "lt-level", line.level), make("span", "lt-process", line.process));
  made.append(make("span", "lt-event", line.event));
  if (line.job) {
    const link = make("button", "lt-of-job", line.job);
    link.type = "button";
    link.addEventListener("click", () => show({ ...state, job: line.job }));
    made.append(link);
  }
  const more = Object.entries(line).filter(([key]) => !PLAIN.includes(key));
  const told = (value) => (typeof value === "object" ? JSON.stringify(value) : value);
  if (more.length) made.append(make("span", "lt-quiet", more.map(([key, value]) => `${key}=${told(value)}`).join(" ")));
  if (line.trace) {
    const details = make("details");
    details.append(make("summary", "", say("log_trace")), make("pre", "", line.trace));
    made.append(details);
  }
  return made;
};
const isAtEnd = () => list.scrollHeight - list.scrollTop - list.clientHeight < 40;
const append = (made) => {
  const stays = isAtEnd();
  list.append(made);
  while (list.children.length > LINES) list.firstElementChild.remove();
  if (stays) list.scrollTop = list.scrollHeight;
};

// ---- what is asked

const query = (more) => {
  const asked = new URLSearchParams(more);
  for (const key of ["level", "job", "text"]) if (state[key]) asked.set(key, state[key]);
  return asked;
};

const lose = () => {
  state.restsUntil = performance.now() + REST_MS;
  tell("log_lost_touch");
};

const load = async () => {
  const mine = state.turn;
  try {
    const page = await fetchJson(`${config.logs}?${query({ limit: PAGE })}`);
    if (mine !== state.turn) return; // other filters were set meanwhile
    list.replaceChildren(...page.lines.slice(0, LINES).reverse().map(row));
    list.scrollTop = list.scrollHeight;
    Object.assign(state, { position: page.position, cursor: page.cursor, isFresh: true });
    label();
  } catch {
    if (mine === state.turn) lose();
  }
};

const loadOlder = async () => {
  const mine = state.turn;
  older.disabled = true;
  setFollows(false); // else the lines that one reads would move away
  try {
    const page = await fetchJson(`${config.logs}?${query({ limit: PAGE, cursor: state.cursor })}`);
    if (mine !== state.turn) return;
    const height = list.scrollHeight;
    list.prepend(...page.lines.reverse().map(row));
    while (list.children.length > LINES) (list.lastElementChild.remove(), (state.isFresh = false));
    list.scrollTop += list.scrollHeight - height;
    state.cursor = page.cursor;
    label();
  } catch {
    tell("log_lost_touch");
    older.disabled = false;
  }
};

const start = () => {
  const source = new EventSource(`${config.logs}/stream?${query({ after: state.position })}`);
  state.source = source;
  const note = (event) => { if (event.lastEventId) state.position = event.lastEventId; };
  source.addEventListener("open", () => tell());
  source.addEventListener("line", (event) => (note(event), append(row(JSON.parse(event.data)))));
  source.addEventListener("gap", (event) => {
    note(event);
    const { lost } = JSON.parse(event.data);
    append(make("li", "lt-line lt-quiet", lost === null ? say("log_gap_some") : say("log_gap", { count: lost })));
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) stop(); // a later beat begins anew, where it was
    lose();
  });
};
const stop = () => {
  if (state.source) state.source.close();
  state.source = null;
};
const setFollows = (follows) => {
  state.follows = follows;
  if (!follows) stop();
  label();
  beat();
};
const show = ({ level: least, job: of, text: letters }) => {
  Object.assign(state, { level: least, job: of, text: letters, follows: true, isFresh: false, turn: state.turn + 1 });
  stop();
  level.input.value = least;
  job.input.value = of;
  text.input.value = letters;
  label();
  beat();
};

// ---- the beat

let isLoading = false;
const beat = async () => {
  if (window.longtakeLogOf) {
    const of = window.longtakeLogOf;
    window.longtakeLogOf = "";
    return show({ level: "debug", job: of, text: "" });
  }
  if (!isSeen()) return stop();
  if (!state.follows || state.source || isLoading || performance.now() < state.restsUntil) return;
  if (!state.isFresh) {
    isLoading = true;
    await load();
    isLoading = false;
  }
  if (state.isFresh && state.follows && !state.source && isSeen()) start();
};

const timer = setInterval(() => {
  if (!element.isConnected) return (stop(), clearInterval(timer));
  beat();
}, 500);
let typed = null;
const changed = () => show({ level: level.input.value, job: job.input.value.trim(), text: text.input.value });
level.input.addEventListener("change", changed);
const changedSoon = () => {
  clearTimeout(typed);
  typed = setTimeout(changed, 400);
};
for (const each of [text, job]) each.input.addEventListener("input", changedSoon);
onLanguage(label);
label();
beat();

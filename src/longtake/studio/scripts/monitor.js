// The tab Monitor. Once a second, while somebody looks: what is now, and what is new of the charts.
const SLOW_MS = 2000;

// ---- the page

const root = make("div", "lt-monitor");
const bar = make("div", "lt-bar-row");
const picks = make("div", "lt-segments");
const age = make("span", "lt-quiet lt-age");
const notes = make("div", "lt-notes");
const tiles = make("div", "lt-tiles");
const charts = make("div", "lt-charts");
picks.setAttribute("role", "group");
notes.setAttribute("role", "status");
bar.append(picks, age);
root.append(bar, notes, tiles, charts);
element.replaceChildren(root);

const buttons = config.windows.map((window, place) => {
  const button = make("button", "lt-segment");
  button.type = "button";
  button.addEventListener("click", () => {
    Object.assign(state, { window: place, points: new Map(), askedAt: 0 });
    label();
    turn();
  });
  picks.append(button);
  return button;
});

const places = new Map();
for (const section of ["cards", "engine", "machine"]) {
  const title = make("h3", "lt-heading");
  const grid = make("div", "lt-grid");
  charts.append(title, grid);
  places.set(section, { title, grid });
}
const plots = config.charts.map((chart) => {
  const figure = make("figure", "lt-chart");
  const title = make("figcaption");
  const plot = make("div", "lt-plot");
  plot.id = `lt-chart-${chart.id}`;
  figure.append(title, plot);
  places.get(chart.section).grid.append(figure);
  return { chart, title, plot, figure };
});

const label = () => {
  picks.setAttribute("aria-label", say("mon_window"));
  buttons.forEach((button, place) => {
    button.textContent = say(config.windows[place].told);
    button.setAttribute("aria-pressed", String(place === state.window));
  });
  for (const [section, place] of places) place.title.textContent = say(`mon_${section}`);
  for (const { chart, title } of plots) title.textContent = say(chart.title);
};

// ---- what is shown

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString(language());
const percent = (ratio) => (ratio === null ? "–" : `${Math.round(100 * ratio)} %`);
const rounded = (value, unit) => (value === null ? "–" : `${Math.round(value)} ${unit}`);
const share = (used, total) => {
  const [some, all] = [(used / GIB).toFixed(1), (total / GIB).toFixed(0)];
  return used === null || total === null ? "–" : `${some} / ${all} GiB`;
};

const tellAge = () => {
  if (!state.now) {
    age.textContent = say(state.failed ? "mon_silent" : "mon_waiting");
    return;
  }
  const seconds = state.now.age_seconds + (performance.now() - state.heardAt) / 1000;
  age.textContent = say("mon_age", { seconds: seconds.toFixed(1) });
  age.dataset.seconds = seconds.toFixed(2);
  age.classList.toggle("lt-old", seconds * 1000 > SLOW_MS);
};

const tellNotes = () => {
  const rows = [];
  const { gpus, heat } = state.now;
  if (state.failed) rows.push(["lt-banner", say("mon_silent")]);
  if (gpus.state === "absent") rows.push(["lt-quiet", say("mon_no_gpu")]);
  if (gpus.state === "failed") rows.push(["lt-banner", say("mon_gpu_failed", { reason: gpus.reason })]);
  const seconds = Math.round(gpus.age_seconds);
  if (gpus.state === "silent") rows.push(["lt-banner", say("mon_gpu_silent", { seconds })]);
  for (const card of gpus.cards) if (card.is_lost) rows.push(["lt-banner", say("mon_gpu_lost", { card: card.index })]);
  if (heat.level !== "normal") {
    const since = heat.since ? ` (${say("mon_heat_since", { time: clock(heat.since) })})` : "";
    rows.push(["lt-banner lt-hot", say(`mon_heat_${heat.level}`, { reason: heat.reason || "" }) + since]);
  }
  const { hold = 0, pause = 0, resumed = 0 } = heat.actions;
  if (hold + pause + resumed) rows.push(["lt-quiet", say("mon_heat_done", { hold, pause, resumed })]);
  notes.replaceChildren(...rows.map(([kind, text]) => make("p", kind, text)));
};

const tellTiles = () => {
  const { gpus, host, engines, queue_jobs } = state.now;
  const rows = [];
  for (const [engine, figures] of Object.entries(engines)) {
    const speed = figures.rtf === null ? say("mon_resting") : `${(1 / figures.rtf).toFixed(1)}×`;
    rows.push([`${say("mon_speed")} · ${engine}`, speed]);
  }
  rows.push([say("mon_queue"), queue_jobs ?? "–"]);
  const total = gpus.total;
  if (total.cards) {
    rows.push([say("mon_utilisation"), percent(total.utilisation_ratio)]);
    rows.push([say("mon_memory"), share(total.memory_used_bytes, total.memory_total_bytes)]);
    rows.push([say("mon_temperature"), rounded(total.temperature_celsius, "°C")]);
    rows.push([say("mon_power"), rounded(total.power_watts, "W")]);
  }
  rows.push([say("mon_cpu"), percent(host.cpu_ratio)]);
  const size = host.memory_total_bytes;
  rows.push([say("mon_host_memory"), share(size - host.memory_available_bytes, size)]);
  tiles.replaceChildren(
    ...rows.map(([name, value]) => {
      const tile = make("div", "lt-tile");
      tile.append(make("span", "lt-quiet lt-small", name), make("strong", "", value));
      return tile;
    })
  );
};

// ---- the beat

let isBusy = false;
const turn = async () => {
  if (isBusy || !isSeen()) return;
  isBusy = true;
  try {
    state.now = await fetchJson(config.monitor);
    state.heardAt = performance.now();
    state.failed = false;
    tellAge();
    tellTiles();
    tellNotes();
    const restS = (performance.now() - state.askedAt) / 1000 + 0.5; // a beat comes a little late, or early
    if (!state.askedAt || restS >= config.windows[state.window].every_s) {
      await Promise.all([loadPlotly(), loadSeries()]);
      draw();
    }
  } catch {
    state.failed = true;
    if (state.now) tellNotes();
  } finally {
    isBusy = false;
  }
  tellAge();
};

label();
tellAge();
turn();
const beat = setInterval(() => {
  if (!element.isConnected) return clearInterval(beat);
  if (isSeen()) tellAge();
  turn();
}, 1000);
onLanguage(() => {
  label();
  tellAge();
  if (state.now && window.Plotly && isSeen()) (tellNotes(), tellTiles(), draw());
});

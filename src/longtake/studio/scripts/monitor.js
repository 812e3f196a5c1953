// The tab Monitor. Once a second, while somebody looks: what is now, and what is new of the charts.
// Okabe and Ito's colours, which people who are colour-blind can tell apart; the order is that of their contrast.
const LIGHT = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
const DARK = ["#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#F0E442"];
const DASHES = ["solid", "dash", "dot"]; // when there are more lines than colours
const SLOW_MS = 2000;
const UNITS = { ratio: "%", celsius: "°C", watts: "W", bytes: "GiB", count: "", plain: "" };
const DIGITS = { ratio: 0, celsius: 0, watts: 0, bytes: 2, count: 0, plain: 3 };
const GIB = 1024 ** 3;

const state = { window: 0, now: null, heardAt: 0, failed: false, points: new Map(), drawn: "", askedAt: 0, every: 0 };

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

// ---- what is asked

// Of the newest steps the last ones are asked for again: they were not whole yet.
const OVERLAP = 5;

const loadSeries = async () => {
  const window = config.windows[state.window], mine = state.window;
  const step = window.seconds / window.steps;
  const known = state.points.size ? Math.max(...[...state.points.values()].map((each) => each.x.at(-1) ?? 0)) : 0;
  const missing = Math.ceil((Date.now() / 1000 - known) / step) + OVERLAP;
  // Steps of minutes are counted from the present one, so the whole window is asked for.
  const steps = step > 1 ? window.steps : Math.min(window.steps, missing);
  const query = new URLSearchParams({ names: config.names, seconds: steps * step, steps });
  const answer = await fetchJson(`${config.monitor}/series?${query}`);
  if (mine !== state.window) return; // another one was chosen meanwhile
  merge(answer, window.seconds);
  state.every = window.every_s * 1000;
};

const merge = (answer, seconds) => {
  const times = Array.from({ length: answer.steps }, (_, place) =>
    Math.round(answer.begins_at + place * answer.step_seconds)
  );
  const end = times.at(-1), from = end - seconds;
  const fresh = new Map(answer.series.map((series) => [series.name, series]));
  for (const name of new Set([...state.points.keys(), ...fresh.keys()])) {
    const old = state.points.get(name) || { x: [], mean: [], max: [] };
    const series = fresh.get(name);
    const kept = old.x.map((time, place) => [time, place]).filter(([time]) => time > from && time < times[0]);
    const made = {
      x: kept.map(([time]) => time),
      mean: kept.map(([, place]) => old.mean[place]),
      max: kept.map(([, place]) => old.max[place]),
    };
    if (series) {
      made.x.push(...times);
      made.mean.push(...series.mean);
      made.max.push(...series.max);
    }
    state.points.set(name, made);
  }
};

// ---- what is shown

const local = (seconds) => new Date(seconds * 1000 - new Date(seconds * 1000).getTimezoneOffset() * 60000).toISOString().slice(0, 19);
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString(language());
const percent = (ratio) => (ratio === null ? "–" : `${Math.round(100 * ratio)} %`);
const share = (used, total) => (used === null || total === null ? "–" : `${(used / GIB).toFixed(1)} / ${(total / GIB).toFixed(0)} GiB`);

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
  if (gpus.state === "silent") rows.push(["lt-banner", say("mon_gpu_silent", { seconds: Math.round(gpus.age_seconds) })]);
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
    rows.push([say("mon_temperature"), total.temperature_celsius === null ? "–" : `${total.temperature_celsius} °C`]);
    rows.push([say("mon_power"), total.power_watts === null ? "–" : `${Math.round(total.power_watts)} W`]);
  }
  rows.push([say("mon_cpu"), percent(host.cpu_ratio)]);
  rows.push([say("mon_host_memory"), share(host.memory_total_bytes - host.memory_available_bytes, host.memory_total_bytes)]);
  tiles.replaceChildren(
    ...rows.map(([name, value]) => {
      const tile = make("div", "lt-tile");
      tile.append(make("span", "lt-quiet lt-small", name), make("strong", "", value));
      return tile;
    })
  );
};

const scaled = (unit, value) => (value === null || value === undefined ? null : unit === "ratio" ? value * 100 : unit === "bytes" ? value / GIB : value);

// Lines of a chart: [series, name, is limit, is of all together].
const linesOf = (chart) => {
  const found = [];
  for (const line of chart.lines) {
    const mine = [...state.points.keys()].filter((name) => name === line.series || name.startsWith(`${line.series}:`)).sort();
    const several = mine.filter((name) => name.includes(":"));
    for (const name of mine) {
      const which = name.slice(line.series.length + 1);
      if (!which && line.whole && several.length === 1) continue; // of one card the total says nothing more
      const word = which ? line.told : line.whole || line.told;
      const isCard = word === "mon_card";
      const told = isCard ? say(word, { card: which }) : word ? say(word) : "";
      found.push({
        name,
        told: isCard || line.is_limit || !which ? told : [told, which].filter(Boolean).join(" · "),
        isLimit: line.is_limit,
        isWhole: !which && Boolean(line.whole),
      });
    }
  }
  // The size of each card beside that of all would be lines upon lines.
  return found.some((line) => line.isLimit && line.isWhole) ? found.filter((line) => !line.isLimit || line.isWhole) : found;
};

const tracesOf = (chart, colours, ink) => {
  let next = 0, hasLimit = false;
  const traces = linesOf(chart).map((line) => {
    const isTold = !(line.isLimit && hasLimit); // one limit in the legend stands for all
    hasLimit ||= line.isLimit;
    const points = state.points.get(line.name);
    const place = line.isWhole || line.isLimit ? -1 : next++;
    const color = place < 0 ? ink : colours[place % colours.length];
    const dash = line.isLimit ? "dash" : DASHES[Math.floor(Math.max(place, 0) / colours.length) % DASHES.length];
    return {
      type: "scatter",
      mode: "lines",
      name: line.told,
      x: points.x.map(local),
      y: points[chart.of_step].map((value) => scaled(chart.unit, value)),
      line: { color, dash, width: line.isLimit ? 1 : 2 },
      connectgaps: false,
      showlegend: isTold,
      hovertemplate: `%{y:.${DIGITS[chart.unit]}f} ${UNITS[chart.unit]}`,
      series: line.name,
    };
  });
  return chart.marks.length ? [...traces, marksOf(chart, traces)] : traces;
};

// Where a card was slowed down: a cross on its line.
const marksOf = (chart, traces) => {
  const x = [], y = [];
  for (const trace of traces) {
    const card = trace.series.split(":")[1];
    if (card === undefined || trace.line.dash === "dash") continue;
    const slowed = chart.marks.map((name) => state.points.get(`${name}:${card}`)).filter(Boolean);
    const times = new Set(slowed.flatMap((each) => each.x.filter((_, place) => each.max[place] > 0)).map(local));
    trace.x.forEach((time, place) => {
      if (times.has(time) && trace.y[place] !== null) (x.push(time), y.push(trace.y[place]));
    });
  }
  const marker = { symbol: "x", size: 9, color: "#D55E00", line: { width: 1, color: "#ffffff" } };
  return { type: "scatter", mode: "markers", name: say(chart.mark_told), x, y, marker, showlegend: x.length > 0, marks: true };
};

// The thresholds of the heat policy as lines, and the times at which it kept jobs back as a shade behind them.
const heatOf = (ink) => {
  const shapes = [], annotations = [];
  const { heat, gpus } = state.now;
  if (!gpus.cards.length) return { shapes, annotations };
  for (const word of ["go", "hold", "pause"]) {
    const celsius = heat[`${word}_celsius`];
    if (celsius === null || celsius === undefined) continue;
    shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: celsius, y1: celsius, line: { color: ink, width: 1, dash: "dot" } });
    const yanchor = word === "go" ? "top" : "bottom"; // it lies close below the next one
    annotations.push({ xref: "paper", x: 0, xanchor: "left", y: celsius, yanchor, showarrow: false, font: { size: 10, color: ink }, text: `${say(`mon_${word}_at`)} ${celsius}°` });
  }
  const level = state.points.get("heat_level") || { x: [], max: [] };
  const step = config.windows[state.window].seconds / config.windows[state.window].steps;
  level.x.forEach((time, place) => {
    if (!(level.max[place] > 0)) return;
    const last = shapes.at(-1);
    if (last && last.until === time) Object.assign(last, { until: time + step, x1: local(time + step) });
    else shapes.push({ type: "rect", yref: "paper", y0: 0, y1: 1, x0: local(time), x1: local(time + step), until: time + step, fillcolor: "#D55E00", opacity: 0.13, line: { width: 0 }, layer: "below" });
  });
  return { shapes: shapes.map(({ until, ...shape }) => shape), annotations };
};

const scaleOf = (unit, traces) => {
  const ticksuffix = UNITS[unit] ? ` ${UNITS[unit]}` : "";
  if (unit === "ratio") return { range: [0, 102], ticksuffix };
  if (unit === "celsius") return { ticksuffix }; // a chip is never near zero
  const highest = Math.max(...traces.flatMap((trace) => trace.y.map((value) => value ?? 0)));
  // Nobody has half a job.
  const whole = unit === "count" ? (highest <= 5 ? { dtick: 1, range: [0, Math.max(1, highest) * 1.08] } : { tickformat: "d" }) : {};
  return { rangemode: "tozero", ticksuffix, ...whole };
};

const draw = () => {
  const style = getComputedStyle(element);
  const isDark = document.body.classList.contains("dark") || document.documentElement.classList.contains("dark");
  const ink = style.color, faint = style.getPropertyValue("--border-color-primary").trim() || "#8884";
  const end = Math.max(0, ...[...state.points.values()].map((each) => each.x.at(-1) ?? 0));
  const hasCards = state.now.gpus.state !== "absent";
  for (const [section, place] of places) {
    const isShown = section !== "cards" || hasCards;
    place.title.hidden = place.grid.hidden = !isShown;
  }
  for (const { chart, plot } of plots) {
    if (chart.section === "cards" && !hasCards) continue;
    const traces = tracesOf(chart, isDark ? DARK : LIGHT, ink);
    const isEmpty = !traces.some((trace) => trace.y.some((value) => value !== null));
    const { shapes, annotations } = chart.has_heat ? heatOf(ink) : { shapes: [], annotations: [] };
    if (isEmpty) annotations.push({ xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false, text: say("mon_no_data"), font: { color: ink } });
    const axis = { gridcolor: faint, zeroline: false, linecolor: faint, fixedrange: true, automargin: true };
    window.Plotly.react(
      plot,
      traces,
      {
        height: 230,
        margin: { l: 44, r: 10, t: 6, b: 24 },
        paper_bgcolor: "transparent",
        plot_bgcolor: "transparent",
        font: { color: ink, family: style.fontFamily, size: 12 },
        showlegend: traces.filter((trace) => trace.name && trace.showlegend !== false).length > 1,
        legend: { orientation: "h", y: -0.16, yanchor: "top" },
        hovermode: "x unified",
        hoverlabel: { bgcolor: isDark ? "#1e293b" : "#ffffff", font: { color: ink } },
        shapes,
        annotations,
        xaxis: { ...axis, type: "date", range: [local(end - config.windows[state.window].seconds), local(end + 1)], tickformat: state.window ? "%H:%M" : "%H:%M:%S", nticks: 5 },
        yaxis: { ...axis, ...scaleOf(chart.unit, traces) },
      },
      { displayModeBar: false, responsive: true }
    );
  }
};

// ---- the beat

let plotly = null;
const loadPlotly = () =>
  (plotly ||= new Promise((resolve, reject) => {
    if (window.Plotly) return resolve();
    const tag = document.createElement("script");
    tag.src = config.plotly;
    tag.onload = resolve;
    tag.onerror = () => {
      plotly = null;
      reject(new Error(tag.src));
    };
    document.head.append(tag);
  }));

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
    if (performance.now() - state.askedAt >= state.every || !state.askedAt) {
      await Promise.all([loadPlotly(), loadSeries()]);
      state.askedAt = performance.now();
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

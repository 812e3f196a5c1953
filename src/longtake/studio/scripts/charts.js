// The charts. They are drawn anew as a whole; Plotly finds out what has changed.
// Okabe and Ito's colours, which people who are colour-blind can tell apart. Orange-red comes last, as marks have it.
const LIGHT = ["#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#D55E00"];
const DARK = ["#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00"];
const DASHES = ["solid", "dash", "dot"]; // when there are more lines than colours
const UNITS = { ratio: "%", celsius: "°C", watts: "W", bytes: "GiB", count: "", plain: "" };
const DIGITS = { ratio: 0, celsius: 0, watts: 0, bytes: 2, count: 0, plain: 3 };
const GIB = 1024 ** 3;

// As the clock on the wall shows it: Plotly knows no time zones.
const local = (seconds) => {
  const time = new Date(seconds * 1000);
  return new Date(time - time.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
};
const SCALES = { ratio: 100, bytes: 1 / GIB };
const scaled = (unit, value) => (value === null || value === undefined ? null : value * (SCALES[unit] || 1));

// Lines of a chart: [series, name, is limit, is of all together].
const linesOf = (chart) => {
  const found = [];
  for (const line of chart.lines) {
    const isMine = (name) => name === line.series || name.startsWith(`${line.series}:`);
    const mine = [...state.points.keys()].filter(isMine).sort();
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
  const hasWhole = found.some((line) => line.isLimit && line.isWhole);
  return hasWhole ? found.filter((line) => !line.isLimit || line.isWhole) : found;
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
  return { type: "scatter", mode: "markers", name: say(chart.mark_told), x, y, marker, showlegend: x.length > 0 };
};

// The thresholds of the heat policy as lines, and the times at which it kept jobs back as a shade behind them.
const heatOf = (ink) => {
  const shapes = [], annotations = [];
  const { heat, gpus } = state.now;
  if (!gpus.cards.length) return { shapes, annotations };
  for (const word of ["go", "hold", "pause"]) {
    const celsius = heat[`${word}_celsius`];
    if (celsius === null || celsius === undefined) continue;
    const line = { color: ink, width: 1, dash: "dot" };
    shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: celsius, y1: celsius, line });
    const yanchor = word === "go" ? "top" : "bottom"; // it lies close below the next one
    const text = `${say(`mon_${word}_at`)} ${celsius}°`, font = { size: 10, color: ink };
    annotations.push({ xref: "paper", x: 0, xanchor: "left", y: celsius, yanchor, showarrow: false, font, text });
  }
  const level = state.points.get("heat_level") || { x: [], max: [] };
  const step = config.windows[state.window].seconds / config.windows[state.window].steps;
  level.x.forEach((time, place) => {
    if (!(level.max[place] > 0)) return;
    const last = shapes.at(-1);
    if (last && last.until === time) Object.assign(last, { until: time + step, x1: local(time + step) });
    else {
      const shade = { fillcolor: "#D55E00", opacity: 0.13, line: { width: 0 }, layer: "below" };
      const times = { x0: local(time), x1: local(time + step), until: time + step };
      shapes.push({ type: "rect", yref: "paper", y0: 0, y1: 1, ...times, ...shade });
    }
  });
  return { shapes: shapes.map(({ until, ...shape }) => shape), annotations };
};

const scaleOf = (unit, traces) => {
  const ticksuffix = UNITS[unit] ? ` ${UNITS[unit]}` : "";
  if (unit === "ratio") return { range: [0, 102], ticksuffix };
  if (unit === "celsius") return { ticksuffix }; // a chip is never near zero
  const highest = Math.max(...traces.flatMap((trace) => trace.y.map((value) => value ?? 0)));
  // Nobody has half a job.
  if (unit === "count" && highest <= 5) return { dtick: 1, range: [0, Math.max(1, highest) * 1.08] };
  return { rangemode: "tozero", ticksuffix };
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
    if (isEmpty) {
      const middle = { xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false };
      annotations.push({ ...middle, text: say("mon_no_data"), font: { color: ink } });
    }
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
        xaxis: {
          ...axis,
          type: "date",
          range: [local(end - config.windows[state.window].seconds), local(end + 1)],
          tickformat: state.window ? "%H:%M" : "%H:%M:%S",
          nticks: 5,
        },
        yaxis: { ...axis, ...scaleOf(chart.unit, traces) },
      },
      { displayModeBar: false, responsive: true }
    );
  }
};

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

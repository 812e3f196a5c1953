// Figures over time, as the charts need them: the series of the window that is chosen, asked for bit by bit.
const state = { window: 0, now: null, heardAt: 0, failed: false, points: new Map(), askedAt: 0 };

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
  state.askedAt = performance.now();
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
    if (made.x.length) state.points.set(name, made);
    else state.points.delete(name);
  }
};

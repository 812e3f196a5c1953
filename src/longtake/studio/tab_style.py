"""How the tabs Monitor, Logs and Service look."""

from __future__ import annotations

from typing import Final

CSS: Final = """
[id^=lt-service-] .html-container, #lt-monitor .html-container, #lt-logs .html-container { padding: 0; }
#lt-head .html-container { padding: 0; }
#lt-tab-service .column { gap: 0.3rem; }
.lt-bar-row { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: end; margin: 0.2rem 0 0.6rem; }
.lt-segments { display: inline-flex; gap: 0.3rem; }
.lt-segment { border: 1px solid var(--border-color-primary); border-radius: 6px; padding: 0.3rem 0.8rem;
  cursor: pointer; font-size: 0.9rem; background: var(--button-secondary-background-fill);
  color: var(--button-secondary-text-color); }
.lt-segment:hover:not(:disabled) { background: var(--button-secondary-background-fill-hover); }
.lt-segment:disabled { opacity: 0.6; cursor: default; }
.lt-segments .lt-segment[aria-pressed=true] { background: var(--primary-700); border-color: var(--primary-700);
  color: white; }
.lt-age { margin: 0 0 0 auto; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
.lt-age.lt-old { color: #b45309; font-weight: 600; }
.dark .lt-age.lt-old { color: #fcd34d; }
.lt-notes p { margin: 0.3rem 0; }
.lt-hot { border-color: #D55E00; border-width: 2px; font-weight: 600; }
.lt-tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: 0.5rem;
  margin: 0.6rem 0; }
.lt-tile { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 0.45rem 0.7rem; min-width: 0; }
.lt-tile span { display: block; margin: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.lt-tile strong { font-size: 1rem; white-space: nowrap; font-weight: 600; font-variant-numeric: tabular-nums; }
.lt-grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: 0.7rem;
  margin: 0.3rem 0 0.9rem; }
.lt-grid[hidden] { display: none; }
.lt-chart { margin: 0; border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 0.5rem 0.5rem 0;
  min-width: 0; overflow: hidden; }
.lt-chart figcaption { font-size: 0.9rem; font-weight: 600; padding: 0 0.3rem; }
.lt-plot { height: 230px; }
.lt-field { display: flex; flex-direction: column; gap: 0.1rem; min-width: 8rem; flex: 1 1 10rem; }
.lt-field input, .lt-field select { border: 1px solid var(--border-color-primary); border-radius: 6px;
  padding: 0.3rem 0.5rem; background: var(--input-background-fill); color: var(--body-text-color); font-size: 0.9rem;
  width: 100%; }
.lt-field input::placeholder { color: var(--input-placeholder-color); opacity: 1; }
.lt-process { min-width: 7.5rem; }
.lt-lines { list-style: none; margin: 0.4rem 0 0; padding: 0.3rem 0; height: 32rem; max-height: 70vh; overflow: auto;
  border: 1px solid var(--border-color-primary); border-radius: 8px; font-family: var(--font-mono); font-size: 0.8rem;
  line-height: 1.5; }
.lt-lines:empty::before { content: attr(data-none); padding: 0.6rem; color: var(--body-text-color-subdued); }
.lt-line { display: flex; flex-wrap: wrap; gap: 0 0.7rem; padding: 0.1rem 0.7rem; border-left: 3px solid transparent;
  overflow-wrap: anywhere; }
.lt-line > * { margin: 0; min-width: 0; }
.lt-line time, .lt-process { color: var(--body-text-color-subdued); white-space: nowrap; }
.lt-level { font-weight: 600; min-width: 4.2rem; }
.lt-line[data-level=warning] { border-color: #E69F00; }
.lt-line[data-level=error], .lt-line[data-level=critical] { border-color: #D55E00; background: #D55E0014; }
.lt-line details { flex-basis: 100%; }
.lt-line pre, .lt-crashes pre { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 20rem; overflow: auto;
  font-size: 0.78rem; margin: 0.2rem 0; }
.lt-of-job { color: var(--link-text-color); text-decoration: underline; cursor: pointer; background: none; border: 0;
  padding: 0; font: inherit; }
.lt-workers { list-style: none; margin: 0.3rem 0; padding: 0; display: grid; gap: 0.7rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
.lt-workers li { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 0.6rem 0.9rem; }
.lt-workers h4 { margin: 0; font-size: 1rem; font-weight: 600; }
.lt-verbs { display: flex; flex-wrap: wrap; gap: 0.4rem; margin: 0.4rem 0; }
.lt-pill[data-state=ready] { background: #ccfbf1; color: #115e59; }
.lt-pill[data-state=broken] { background: #fee2e2; color: #991b1b; }
.dark .lt-pill[data-state=ready] { background: #134e4a; color: #99f6e4; }
.dark .lt-pill[data-state=broken] { background: #7f1d1d; color: #fecaca; }
.lt-done { border-left: 3px solid #009E73; padding: 0.3rem 0.8rem; margin: 0.4rem 0; }
.lt-done p { margin: 0.1rem 0; }
.lt-findings.lt-doctor { max-height: none; }
.lt-findings li.lt-well { border-color: #009E73; }
"""

# A link to the log of a job opens the tab, whose script looks what is wanted.
HEAD: Final = """<script>
document.addEventListener("click", (event) => {
  const link = event.target.closest && event.target.closest("a[data-log-of]");
  if (!link) return;
  event.preventDefault();
  window.longtakeLogOf = link.dataset.logOf;
  const tab = document.querySelector("#lt-tab-logs-button");
  if (tab) tab.click();
});
</script>
"""

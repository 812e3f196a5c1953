"""How the page looks, and the little JavaScript it has. Nothing is fetched from another host."""

from __future__ import annotations

import json
from typing import Any, Final

import gradio as gr

from longtake.studio.text import LANGUAGES, say

_SYSTEM_FONTS: Final = ("system-ui", "-apple-system", "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "sans-serif")
_SYSTEM_MONO: Final = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def build_theme() -> Any:
    """Gradio's own, with the fonts that the machine has: plain names are never fetched."""
    return gr.themes.Default(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        radius_size="md",
        font=list(_SYSTEM_FONTS),
        font_mono=list(_SYSTEM_MONO),
    ).set(
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        input_placeholder_color="*neutral_500",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
    )


CSS: Final = """
.gradio-container { width: 100% !important; max-width: 1120px !important; margin: 0 auto !important; }
html.lt-translating gradio-app { opacity: 0; }
#lt-head { align-items: center; flex-wrap: nowrap; }
#lt-head h1 { font-size: 1.6rem; font-weight: 650; letter-spacing: -0.02em; margin: 0; }
#lt-head p { margin: 0.1rem 0 0; color: var(--body-text-color-subdued); }
#lt-language { flex: 0 0 auto; min-width: 5.5rem !important; width: auto; }
#lt-script textarea { font-size: 1rem; line-height: 1.6; }
#lt-script.lt-over textarea { outline: 2px dashed var(--primary-500); outline-offset: -6px; }
#lt-upload { flex: 1 1 0%; min-width: 90px !important; }
#lt-upload .html-container { padding: 0; }
.lt-upload { position: relative; display: block; text-align: center; line-height: 1.5; cursor: pointer;
  border: var(--button-border-width) solid var(--button-secondary-border-color);
  border-radius: var(--button-small-radius); padding: var(--button-small-padding);
  font-size: var(--button-small-text-size); font-weight: var(--button-small-text-weight);
  background: var(--button-secondary-background-fill); color: var(--button-secondary-text-color);
  box-shadow: var(--button-secondary-shadow); transition: var(--button-transition); }
.lt-upload:hover { background: var(--button-secondary-background-fill-hover); }
.lt-upload:focus-within { outline: 2px solid var(--primary-600); outline-offset: 2px; }
.lt-upload input { position: absolute; inset: 0; width: 100%; height: 100%; opacity: 0; cursor: pointer; }
.lt-quiet { color: var(--body-text-color-subdued); margin: 0.2rem 0; overflow-wrap: anywhere; }
.lt-small { font-size: 0.85rem; }
.lt-summary { display: flex; flex-wrap: wrap; gap: 0.2rem 0.9rem; align-items: baseline; margin: 0; }
.lt-length { font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.lt-fine { color: #0f766e; margin: 0; }
.dark .lt-fine { color: #5eead4; }
.lt-findings { list-style: none; margin: 0; padding: 0; max-height: 16rem; overflow-y: auto; }
.lt-findings li { margin: 0 0 0.35rem; padding: 0.35rem 0.7rem; border-left: 3px solid var(--border-color-primary);
  overflow-wrap: anywhere; }
.lt-findings li.lt-error { border-color: #dc2626; }
.lt-findings li.lt-warning { border-color: #d97706; }
.lt-error strong, .lt-complaint { color: #b91c1c; }
.lt-warning strong { color: #92400e; }
.dark .lt-error strong, .dark .lt-complaint { color: #fca5a5; }
.dark .lt-warning strong { color: #fcd34d; }
.lt-place { color: var(--body-text-color-subdued); }
.lt-complaint { margin: 0.2rem 0; overflow-wrap: anywhere; }
.lt-banner { border: 1px solid #d97706; border-radius: 8px; padding: 0.6rem 0.9rem; }
.lt-banner p { margin: 0.15rem 0; overflow-wrap: anywhere; }
#lt-job { border: 1px solid var(--border-color-primary); border-radius: 10px; padding: 1rem 1.1rem; }
.lt-title { display: flex; gap: 0.7rem; align-items: baseline; justify-content: space-between; }
.lt-title h2 { font-size: 1.1rem; font-weight: 600; margin: 0; overflow-wrap: anywhere; }
.lt-pill { font-size: 0.8rem; padding: 0.1rem 0.6rem; border-radius: 999px; white-space: nowrap;
  background: var(--neutral-200); color: var(--neutral-800); }
.dark .lt-pill { background: var(--neutral-700); color: var(--neutral-100); }
.lt-pill[data-state=running] { background: #ccfbf1; color: #115e59; }
.lt-pill[data-state=done] { background: #dcfce7; color: #166534; }
.lt-pill[data-state=failed] { background: #fee2e2; color: #991b1b; }
.dark .lt-pill[data-state=running] { background: #134e4a; color: #99f6e4; }
.dark .lt-pill[data-state=done] { background: #14532d; color: #bbf7d0; }
.dark .lt-pill[data-state=failed] { background: #7f1d1d; color: #fecaca; }
.lt-bar { height: 8px; border-radius: 999px; background: var(--neutral-200); overflow: hidden;
  margin: 0.8rem 0 0.5rem; }
.dark .lt-bar { background: var(--neutral-700); }
.lt-bar span { display: block; height: 100%; background: #0d9488; transition: width 0.8s linear; }
.lt-bar[data-state=failed] span { background: #dc2626; }
.lt-bar[data-state=paused] span, .lt-bar[data-state=cancelled] span { background: var(--neutral-400); }
.lt-figures { font-variant-numeric: tabular-nums; margin: 0; }
.lt-listen { margin: 0.2rem 0 0.4rem; }
.lt-audio { width: 100%; display: block; }
.lt-links { display: flex; flex-wrap: wrap; gap: 0.5rem 1.2rem; margin: 0.7rem 0 0; }
.lt-link { color: var(--link-text-color); text-decoration: underline; text-underline-offset: 3px; }
#lt-recent { gap: 0.3rem; }
h3.lt-heading { font-size: 1rem; font-weight: 600; margin: 0.4rem 0 0; }
.lt-jobs { list-style: none; margin: 0; padding: 0; contain: inline-size; }
.lt-jobs a { display: flex; gap: 0.8rem; align-items: center; padding: 0.5rem 0.6rem; border-radius: 8px;
  color: var(--body-text-color); text-decoration: none; border-bottom: 1px solid var(--border-color-primary); }
.lt-jobs a:hover, .lt-jobs a[aria-current] { background: var(--background-fill-secondary); }
[id^=lt-voice] input { text-overflow: ellipsis; padding-right: 1.6rem; }
.lt-name { flex: 1 1 auto; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  text-align: left; }
.lt-time { font-variant-numeric: tabular-nums; min-width: 3.5rem; text-align: right;
  color: var(--body-text-color-subdued); }
a:focus-visible, button:focus-visible { outline: 2px solid var(--primary-600); outline-offset: 2px; }
@media (max-width: 640px) { #lt-head p { font-size: 0.85rem; } .gradio-container { padding: 0.6rem !important; } }
@media (prefers-reduced-motion: reduce) { .lt-bar span { transition: none; } }
"""

HEAD: Final = """
<meta name="color-scheme" content="light dark">
<script>
(() => {
  const saved = (() => { try { return localStorage.getItem("longtake-language"); } catch { return null; } })();
  const wished = saved || navigator.language || "en";
  const root = document.documentElement;
  root.lang = wished.toLowerCase().startsWith("zh") ? "zh" : "en";
  root.dataset.longtake = root.lang;  // Gradio sets the other one to that of the browser
  // The page is built in English: it is shown when it speaks the reader's language, or when that takes too long.
  if (root.lang !== "en") {
    root.classList.add("lt-translating");
    setTimeout(() => root.classList.remove("lt-translating"), 2500);
  }
  // When a job is done its growing stream becomes a file: whoever listens goes on where they were.
  let last = null;
  document.addEventListener("timeupdate", (event) => {
    const audio = event.target;
    if (audio.classList && audio.classList.contains("lt-audio") && audio.currentTime > 0)
      last = { job: audio.dataset.job, at: audio.currentTime, playing: !audio.paused };
  }, true);
  document.addEventListener("pause", (event) => {
    // An element that is taken out of the page pauses, too; that is not its listener's wish.
    if (last && event.target.isConnected && event.target.dataset.job === last.job) last.playing = false;
  }, true);
  document.addEventListener("loadedmetadata", (event) => {
    const audio = event.target;
    if (!last || audio.dataset.job !== last.job || audio.currentTime > 0 || !Number.isFinite(audio.duration)) return;
    audio.currentTime = Math.min(last.at, audio.duration);
    if (last.playing) audio.play().catch(() => {});
  }, true);
  // A file that is dropped on the script takes the way of the button; its part of the page says how.
  const field = (event) => event.target.closest && event.target.closest("#lt-script");
  document.addEventListener("dragover", (event) => {
    if (field(event)) { event.preventDefault(); field(event).classList.add("lt-over"); }
  });
  document.addEventListener("dragleave", (event) => { if (field(event)) field(event).classList.remove("lt-over"); });
  document.addEventListener("drop", (event) => {
    const target = field(event);
    if (!target) return;
    target.classList.remove("lt-over");
    if (!event.dataTransfer || !event.dataTransfer.files.length) return;
    event.preventDefault();
    if (window.longtakeOpen) window.longtakeOpen(event.dataTransfer.files[0]);
  });
})();
</script>
"""

BOOT_JS: Final = """() => {
  const read = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const job = new URLSearchParams(location.search).get("job") || "";
  return [read("longtake-language") || navigator.language || "en", job, read("longtake-draft") || ""];
}"""

SHOWN_JS: Final = '() => document.documentElement.classList.remove("lt-translating")'

KEEP_LANGUAGE_JS: Final = """(language) => {
  const next = language === "zh" ? "en" : "zh";
  try { localStorage.setItem("longtake-language", next); } catch {}
  document.documentElement.lang = document.documentElement.dataset.longtake = next;
  return [next];
}"""

KEEP_DRAFT_JS: Final = '(script) => { try { localStorage.setItem("longtake-draft", script || ""); } catch {} }'

KEEP_JOB_JS: Final = """(job) => {
  const url = new URL(location.href);
  if (job) url.searchParams.set("job", job); else url.searchParams.delete("job");
  history.replaceState(null, "", url);
}"""

# The clicks of a double click carry one key, so they make one job.
CLICK_KEY_JS: Final = """(...inputs) => {
  const now = Date.now();
  const before = window.longtakeClick;
  if (!before || now - before.at > 2000) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    window.longtakeClick = { key: Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("") };
  }
  window.longtakeClick.at = now;
  inputs[inputs.length - 1] = window.longtakeClick.key;
  return inputs;
}"""

CHOOSE_JOB_JS: Final = """element.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-job]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  trigger("select", { job: link.dataset.job });
});"""


# Whoever opens a file has its text: null leaves the script as it is.
TAKE_TEXT_JS: Final = "(script) => window.longtakeText ?? script"


def open_file_js(address: str, max_bytes: int) -> str:
    """Sends the bytes of a file to the API, which knows how text is encoded, and keeps the text for `TAKE_TEXT_JS`."""
    return f"const address = {json.dumps(address)}, maxBytes = {max_bytes};{_OPEN_FILE_JS}"


_OPEN_FILE_JS: Final = """
let turns = 0;
window.longtakeOpen = async (file) => {
  const turn = ++turns;
  let text = null, problem = "", message = "";
  try {
    if (file.size > maxBytes) {
      problem = "file_too_large";
    } else {
      problem = "file_unreadable";  // a folder, for one
      const bytes = await file.arrayBuffer();
      problem = "unreachable";
      const answer = await fetch(address, { method: "POST", body: bytes });
      const said = await answer.json();
      problem = "";
      if (answer.ok) text = said.text; else message = said.error.message;
    }
  } catch {}
  if (turn !== turns) return;  // another file was chosen meanwhile
  window.longtakeText = text;
  trigger("select", { problem, message });
};
element.addEventListener("change", (event) => {
  const input = event.target;
  if (input.type !== "file" || !input.files.length) return;
  window.longtakeOpen(input.files[0]);
  input.value = "";  // so that the same file can be chosen again
});"""


def confirm_js() -> str:
    """Asks before a job is cancelled; without consent the job's id does not get through."""
    questions = json.dumps({language: say(language, "cancel_sure") for language in LANGUAGES})
    return f"(job, language, ...rest) => [confirm({questions}[language]) ? job : '', language, ...rest]"

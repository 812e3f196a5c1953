"""The page's parts and where they stand. Knows nothing of what they do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from longtake.studio.check_html import summary_html
from longtake.studio.files import Addresses
from longtake.studio.heading import title_html
from longtake.studio.style import CHOOSE_JOB_JS
from longtake.studio.tabs import Tabs, build_tabs
from longtake.studio.text import FIRST_LANGUAGE, say

VOICE_ROWS = 8
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
LOUDNESSES = ("podcast", "audiobook", "off")


@dataclass(frozen=True, slots=True)
class Layout:
    """Every component that an event reads or writes.

    Attributes:
        language: Hidden; ``en`` or ``zh``.
        job_id: Hidden; the job that is shown, or nothing.
        click_key: Hidden; the browser fills in the idempotency key of a click.
        shown_player: Which player is on the page, as `player_key` tells, and the state that the list shows.
        picks: Voices that the user chose, by the speaker's label; all others are the server's choice.
        cast: Labels of the speakers in the rows of `voices`, and their numbers.
        tabs: The tabs, and what is in those beside the first; all the rest, but for the head, is in the first.
    """

    tagline: Any
    switch: Any
    health: Any
    script: Any
    upload: Any
    example_en: Any
    example_zh: Any
    findings: Any
    summary: Any
    speakers_title: Any
    voices: tuple[Any, ...]
    more_speakers: Any
    model: Any
    format: Any
    loudness: Any
    speed: Any
    start: Any
    complaint: Any
    job_panel: Any
    job: Any
    player: Any
    pause: Any
    resume: Any
    cancel: Any
    again_from: Any
    again: Any
    recent_title: Any
    recent: Any
    language: Any
    job_id: Any
    click_key: Any
    shown_player: Any
    picks: Any
    cast: Any
    job_tick: Any
    health_tick: Any
    tabs: Tabs

    def components(self) -> Iterator[Any]:
        """All of them, flat."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tabs):
                yield from value.components()
            else:
                yield from value if isinstance(value, tuple) else (value,)

    def relabel(self, language: str) -> dict[Any, Any]:
        """Updates that make the fixed words of the page those of a language."""
        say_it = {key: say(language, key) for key in _FIXED}
        updates = {
            self.tagline: tagline_html(language),
            self.switch: gr.update(value=say_it["other_language"]),
            self.script: gr.update(label=say_it["script"], placeholder=say_it["script_hint"]),
            self.upload: upload_html(language),
            self.speakers_title: speakers_html(language),
            self.recent_title: title_html(language, "recent"),
            self.loudness: gr.update(label=say_it["loudness"], choices=loudness_choices(language)),
        }
        for name in ("model", "format", "speed"):
            updates[getattr(self, name)] = gr.update(label=say_it[name])
        updates[self.again_from] = gr.update(placeholder=say_it["again_from"])
        for name in ("example_en", "example_zh", "start", "pause", "resume", "cancel", "again"):
            updates[getattr(self, name)] = gr.update(value=say_it[name])
        return updates | self.tabs.relabel(language)


_FIXED = (
    *("other_language", "script", "script_hint", "upload", "example_en", "example_zh", "model", "format", "loudness"),
    *("speed", "start", "pause", "resume", "cancel", "again_from", "again"),
)


def tagline_html(language: str) -> str:
    return f"<h1>longtake</h1><p>{say(language, 'tagline')}</p>"


def speakers_html(language: str) -> str:
    return f'{title_html(language, "speakers")}<p class="lt-quiet lt-small">{say(language, "voice_hint")}</p>'


def upload_html(language: str) -> str:
    """A file input that looks like the buttons beside it."""
    return (
        f'<label class="lt-upload"><input type="file" accept=".txt,.md,.json,text/plain">'
        f"<span>{say(language, 'upload')}</span></label>"
    )


def loudness_choices(language: str) -> list[tuple[str, str]]:
    return [(say(language, f"loudness_{name}"), name) for name in LOUDNESSES]


def build_layout(open_file_js: str, addresses: Addresses) -> Layout:
    """Inside a `gr.Blocks`; in English, until the browser has told what it speaks.

    No component of Gradio's for files: with one, whoever can reach the page can have any file of the server read.

    Args:
        open_file_js: Runs with the element of `upload`; see `style.open_file_js`.
        addresses: What the browser asks for itself.
    """
    parts: dict[str, Any] = {}
    with gr.Row(elem_id="lt-head"):
        parts["tagline"] = gr.HTML(tagline_html(FIRST_LANGUAGE), js_on_load=None, apply_default_css=False)
        parts["switch"] = gr.Button(say(FIRST_LANGUAGE, "other_language"), size="sm", elem_id="lt-language", scale=0)
    parts["health"] = gr.HTML("", visible=False, js_on_load=None, apply_default_css=False)
    parts["tabs"] = build_tabs(addresses, lambda: parts.update(_build_speak(open_file_js)))
    for name, value in (("language", FIRST_LANGUAGE), ("job_id", ""), ("click_key", "")):
        parts[name] = gr.Textbox(value, visible=False)
    parts["shown_player"] = gr.State("")
    parts["picks"] = gr.State({})
    parts["cast"] = gr.State([])
    parts["job_tick"] = gr.Timer(1.0, active=False)
    parts["health_tick"] = gr.Timer(30.0)
    return Layout(**parts)


def _build_speak(open_file_js: str) -> dict[str, Any]:
    """The first tab: script, voices, the job that is shown, and the newest ones."""

    def told(key: str) -> str:
        return say(FIRST_LANGUAGE, key)

    parts: dict[str, Any] = {}
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            # A height that is fixed: growing with its text, the box takes minutes over the pasting of a long script.
            parts["script"] = gr.Textbox(
                label=told("script"), placeholder=told("script_hint"), lines=16, max_lines=16, elem_id="lt-script"
            )
            with gr.Row():
                parts["upload"] = gr.HTML(
                    upload_html(FIRST_LANGUAGE),
                    elem_id="lt-upload",
                    js_on_load=open_file_js,
                    apply_default_css=False,
                )
                parts["example_en"] = gr.Button(told("example_en"), size="sm", elem_id="lt-example-en", min_width=90)
                parts["example_zh"] = gr.Button(told("example_zh"), size="sm", elem_id="lt-example-zh", min_width=90)
            parts["findings"] = gr.HTML("", elem_id="lt-findings", js_on_load=None, apply_default_css=False)
        with gr.Column(scale=2, min_width=320):
            parts["summary"] = gr.HTML(
                summary_html(FIRST_LANGUAGE, None), elem_id="lt-summary", js_on_load=None, apply_default_css=False
            )
            parts["speakers_title"] = gr.HTML(
                speakers_html(FIRST_LANGUAGE), visible=False, js_on_load=None, apply_default_css=False
            )
            parts["voices"] = tuple(
                gr.Dropdown(choices=[], visible=False, allow_custom_value=True, elem_id=f"lt-voice-{row}")
                for row in range(VOICE_ROWS)
            )
            parts["more_speakers"] = gr.HTML("", visible=False, js_on_load=None, apply_default_css=False)
            parts["model"] = gr.Dropdown(choices=[], label=told("model"), visible=False, elem_id="lt-model")
            with gr.Row():
                parts["format"] = gr.Dropdown(
                    choices=list(FORMATS), value="mp3", label=told("format"), min_width=120, elem_id="lt-format"
                )
                parts["loudness"] = gr.Dropdown(
                    choices=loudness_choices(FIRST_LANGUAGE),
                    value="podcast",
                    label=told("loudness"),
                    min_width=90,
                    elem_id="lt-loudness",
                )
            parts["speed"] = gr.Slider(
                0.5, 2.0, value=1.0, step=0.05, label=told("speed"), buttons=[], elem_id="lt-speed"
            )
            parts["start"] = gr.Button(
                told("start"), variant="primary", size="lg", interactive=False, elem_id="lt-start"
            )
            parts["complaint"] = gr.HTML("", elem_id="lt-complaint", js_on_load=None, apply_default_css=False)
    with gr.Column(visible=False, elem_id="lt-job") as parts["job_panel"]:
        parts["job"] = gr.HTML("", js_on_load=None, apply_default_css=False)
        parts["player"] = gr.HTML("", elem_id="lt-player", js_on_load=None, apply_default_css=False)
        with gr.Row():
            for name in ("pause", "resume", "cancel"):
                parts[name] = gr.Button(told(name), size="sm", min_width=70, elem_id=f"lt-{name}")
        with gr.Row(elem_id="lt-again-row"):
            parts["again_from"] = gr.Textbox(
                placeholder=told("again_from"),
                show_label=False,
                container=False,
                max_lines=1,
                max_length=20,
                min_width=120,
                visible=False,
                elem_id="lt-again-from",
            )
            parts["again"] = gr.Button(told("again"), size="sm", min_width=90, visible=False, elem_id="lt-again")
    with gr.Column(elem_id="lt-recent"):
        parts["recent_title"] = gr.HTML(title_html(FIRST_LANGUAGE, "recent"), js_on_load=None, apply_default_css=False)
        parts["recent"] = gr.HTML("", js_on_load=CHOOSE_JOB_JS, apply_default_css=False, elem_id="lt-jobs")
    return parts

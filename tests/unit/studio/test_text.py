from __future__ import annotations

import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import longtake.studio as studio
from longtake.studio.client import MENDINGS
from longtake.studio.layout import FORMATS, LOUDNESSES
from longtake.studio.service_html import ASKED
from longtake.studio.tab_text import LOGS, MONITOR
from longtake.studio.tabs import NAMES
from longtake.studio.text import TEXT, choose_language, say, say_count
from longtake.supervise import WorkerState

STATES = ("queued", "running", "pausing", "paused", "cancelling", "cancelled", "done", "failed")
NOT_WORDS = {"longtake", "", *FORMATS}


@pytest.mark.parametrize("key", TEXT)
def test_every_phrase_is_there_in_both_languages_with_the_same_gaps(key: str) -> None:
    phrase = TEXT[key]
    assert phrase.en.strip()
    assert phrase.zh.strip()
    if not key.endswith("_one"):  # English may write the one thing out
        assert gaps(phrase.en) == gaps(phrase.zh)


def gaps(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", set(TEXT) - {"other_language", "example_zh"})
def test_the_languages_are_not_mixed_up(key: str) -> None:
    assert not re.search("[\u4e00-\u9fff]", TEXT[key].en)
    if re.sub(r"\{\w+\}|[^A-Za-z]", "", TEXT[key].en) and gaps(TEXT[key].en) != {"done", "total"}:
        assert re.search("[\u4e00-\u9fff]", TEXT[key].zh)


def test_every_state_has_a_word() -> None:
    assert all(say("zh", f"state_{state}") for state in STATES)


def test_every_phrase_is_used() -> None:
    files = [file for file in Path(studio.__path__[0]).glob("*.py") if file.name not in ("text.py", "tab_text.py")]
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    told = {key for key in TEXT if f'"{key}"' in source or f"'{key}'" in source}
    built = {f"state_{state}" for state in STATES} | {f"loudness_{name}" for name in LOUDNESSES}
    built |= {f"state_{state}" for state in WorkerState} | {f"tab_{name}" for name in NAMES}
    built |= {f"svc_{verb}" for verb in MENDINGS} | {f"svc_done_{verb}" for verb in MENDINGS.keys() - {"drain"}}
    built |= (
        {f"svc_{verb}_sure" for verb in ASKED} | MONITOR.keys() | LOGS.keys()
    )  # test_tabs knows who says the latter
    counted = {key for key in TEXT if key.endswith("_one") and key.removesuffix("_one") in told}
    assert set(TEXT) == told | built | counted


def test_one_is_not_many() -> None:
    assert say_count("en", "turns", 1) == "1 turn"
    assert say_count("en", "turns", 1400) == "1,400 turns"
    assert say_count("zh", "turns", 1) == "1 个话轮"


@pytest.mark.parametrize(
    ("wished", "language"),
    [("zh-CN", "zh"), ("ZH", "zh"), ("zh-Hant-TW", "zh"), ("de", "en"), ("", "en"), (None, "en"), (7, "en")],
)
def test_a_browser_gets_a_language_that_the_page_speaks(wished: object, language: str) -> None:
    assert choose_language(wished) == language


def test_every_visible_string_of_the_page_comes_from_the_table(blocks: Any) -> None:
    known = {phrase.en for phrase in TEXT.values()} | NOT_WORDS
    seen = set(words_of(blocks.config["components"]))
    assert seen - known == set()
    assert {"Script", "Start", "Recent jobs", "Podcast"} <= seen


def words_of(components: list[dict[str, Any]]) -> Iterator[str]:
    for component in components:
        props = component["props"]
        if component["type"] in ("state", "timer", "form"):
            continue
        for name in ("label", "info", "placeholder"):
            if props.get(name) and not (name == "label" and props.get("visible") is False and is_builtin(component)):
                yield props[name]
        if component["type"] == "html":
            yield from re.findall(r">([^<>]+)<", str(props.get("value") or ""))
        if component["type"] in ("button", "uploadbutton") and isinstance(props.get("value"), str):
            yield props["value"]
        for choice in props.get("choices") or ():
            yield choice[0]


def is_builtin(component: dict[str, Any]) -> bool:
    """Gradio labels what has no label with its kind; on what is hidden nobody reads it."""
    return str(component["props"]["label"]).lower() in (component["type"], "textbox", "dropdown")

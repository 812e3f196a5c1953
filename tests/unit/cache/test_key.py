"""Everything that decides the samples is in the key, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from longtake.cache import key as keys
from longtake.cache import passage_key
from longtake.core.records import Line, Passage

PASSAGE = Passage(3, (Line(1, "Good evening.", "en"), Line(2, "Bonsoir.", "fr")), 0.45)
ASKED: dict[str, Any] = {
    "engine": "espeak",
    "revision": "espeak-ng-1",
    "voices": {1: "en-gb", 2: "fr"},
    "speed": 1.0,
    "settings": {"pitch": 50, "word_gap": 0},
    "seed": 7,
}
FIRST, SECOND = PASSAGE.lines
KEY = passage_key(PASSAGE, **ASKED)


def test_it_is_a_file_name() -> None:
    assert len(KEY) == 64
    assert set(KEY) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "cosyvoice3"},
        {"revision": "espeak-ng-2"},
        {"voices": {1: "en-us", 2: "fr"}},
        {"voices": {1: "fr", 2: "en-gb"}},
        {"voices": {1: "en-gb"}},
        {"speed": 1.1},
        {"settings": {"pitch": 51, "word_gap": 0}},
        {"settings": {"pitch": 50}},
        {"settings": {}},
        {"seed": 8},
        {"seed": None},
    ],
    ids=str,
)
def test_another_request_has_another_key(change: dict[str, Any]) -> None:
    assert passage_key(PASSAGE, **ASKED | change) != KEY


@pytest.mark.parametrize(
    "lines",
    [
        (replace(FIRST, text="Good evening!"), SECOND),
        (replace(FIRST, text="good evening."), SECOND),
        (replace(FIRST, text="Good evening. "), SECOND),
        (replace(FIRST, language="en-GB"), SECOND),
        (replace(FIRST, speaker=2), SECOND),
        (SECOND, FIRST),
        (FIRST,),
        (FIRST, SECOND, SECOND),
        (replace(FIRST, text="Good evening.Bonsoir."),),
    ],
    ids=str,
)
def test_another_text_has_another_key(lines: tuple[Line, ...]) -> None:
    assert passage_key(replace(PASSAGE, lines=lines), **ASKED) != KEY


def test_another_format_has_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_FORMAT", keys._FORMAT + 1)
    assert passage_key(PASSAGE, **ASKED) != KEY


def test_where_it_stands_does_not_matter() -> None:
    assert passage_key(replace(PASSAGE, index=99, silence_before_s=0.0), **ASKED) == KEY


def test_the_same_request_has_the_same_key_however_it_is_written() -> None:
    same = {"settings": {"word_gap": 0, "pitch": 50}, "speed": 1, "voices": {3: "someone else", 2: "fr", 1: "en-gb"}}
    assert passage_key(PASSAGE, **ASKED | same) == KEY


def test_a_text_that_is_no_utf8_has_a_key() -> None:
    odd = replace(PASSAGE, lines=(Line(1, "half a pair: \ud83d", "en"),))
    assert passage_key(odd, **ASKED) != KEY

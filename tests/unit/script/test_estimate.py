"""Units and seconds."""

from __future__ import annotations

import pytest

from longtake.core.records import Line, Passage
from longtake.script import count_units, estimate_seconds


def test_units_are_words_or_characters() -> None:
    assert count_units("Hello, it's a well-known fact: 3.5 %!") == {"en": 6}
    assert count_units("我有25个 apples，好吗？", "zh") == {"zh": 7, "en": 1}
    assert count_units("안녕 하세요") == {"ko": 5}
    assert count_units("Привет, мир") == {"ru": 2}
    assert count_units("…") == {}


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("1984", 1),
        ("12345", 5),
        ("call 5551234 now", 9),
        ("1,234,567", 1),
        ("3.14159", 5),
        ("a12345b 99999", 10),
        ("1234567890" * 50, 500),
    ],
)
def test_a_long_number_takes_its_time(text: str, units: int) -> None:
    """500 digits are minutes of speech, not one word: a passage is cut at its expected length and some more."""
    assert count_units(text) == {"en": units}


def passage(text: str, language: str, silence_s: float = 0.0) -> Passage:
    return Passage(0, (Line(1, text, language),), silence_s)


def test_seconds_by_pace_speed_and_silence() -> None:
    paces = {"en": 120.0, "zh": 240.0, "*": 60.0}
    passages = [passage("one two three four", "en"), passage("你好你好", "zh", 1.5), passage("раз", "ru")]
    estimate = estimate_seconds(passages, paces, 1.0)
    assert estimate.by_language == {"en": 2.0, "zh": 1.0, "ru": 1.0}
    assert estimate.silence_s == 1.5
    assert estimate.seconds == 5.5
    assert estimate_seconds(passages, paces, 2.0).seconds == 3.5
    assert estimate_seconds([passage("一二", "zh-TW")], paces, 1.0).by_language == {"zh-TW": 0.5}


def test_no_pace_at_all_is_still_an_estimate_and_no_speed_is_a_bug() -> None:
    assert 0.3 < estimate_seconds([passage("word", "en")], {}, 1.0).seconds < 0.6
    with pytest.raises(ValueError, match="speed"):
        estimate_seconds([], {}, 0.0)

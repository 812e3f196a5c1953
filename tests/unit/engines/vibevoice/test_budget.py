"""How a script is cut for the window."""

from __future__ import annotations

import pytest

from longtake.core.errors import CapacityError
from longtake.engines.vibevoice.planning.budget import WINDOWED_PASSAGE_S, frame_limit, passage_cap
from longtake.engines.vibevoice.settings import VibeVoiceSettings

AUTO, FULL, WINDOW = (VibeVoiceSettings(context=context) for context in (None, "full", "window"))
MINUTE = 900  # characters


def test_90_minutes_of_english_nearly_fill_the_large_window_and_38_the_small_one() -> None:
    assert passage_cap(75 * MINUTE, 75 * 60.0, FULL, 65_536) == 75 * MINUTE
    assert passage_cap(37 * MINUTE, 37 * 60.0, AUTO, 32_768) == 37 * MINUTE
    assert passage_cap(45 * MINUTE, 45 * 60.0, AUTO, 32_768) < 45 * MINUTE


def test_passages_of_a_cut_script_last_as_stated() -> None:
    cap = passage_cap(120 * MINUTE, 120 * 60.0, AUTO, 65_536)
    assert cap == pytest.approx(WINDOWED_PASSAGE_S / 60 * MINUTE, rel=0.01)
    assert passage_cap(10 * MINUTE, 600.0, WINDOW, 65_536) == cap, "also when it was asked for"
    assert passage_cap(30, 2.0, WINDOW, 65_536) == 200, "a word is not cut"


def test_full_is_refused_with_the_numbers_and_the_way_out() -> None:
    with pytest.raises(CapacityError, match=r"1:40:00.*window has 65,536.*--context full") as refused:
        passage_cap(100 * MINUTE, 6000.0, FULL, 65_536)
    assert refused.value.param == "settings.context"


def test_bytes_take_more_room_than_words() -> None:
    assert passage_cap(25_000, 1500.0, AUTO, 65_536) == 25_000
    assert passage_cap(25_000, 1500.0, AUTO, 65_536, is_bytes=True) < 25_000


def test_a_slow_voice_has_room_and_a_short_passage_too() -> None:
    assert frame_limit(0.0) >= 75
    assert frame_limit(600.0) >= 1.5 * 4500

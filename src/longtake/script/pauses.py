"""Pause marks in a line of text: ``[pause]``, ``[pause 0.8s]``, ``[pause:800ms]``, ``[停顿 1秒]``. Knows no turns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

DEFAULT_PAUSE_S = 1.0
MAX_PAUSE_S = 60.0  # of one mark; longer ones are cut, with a warning, and several in a row add up

# All repeats are bounded, so a line of brackets and spaces costs no more than a line of words.
_MARK = re.compile(
    r"[\[【]\s{0,4}(?:pause|停顿|停頓|暂停|暫停|ポーズ|間|휴지)(?![^\W\d_])([^\[\]【】]{0,40})[\]】]", re.IGNORECASE
)
_LENGTH = re.compile(
    r"\s{0,4}[:：=]?\s{0,4}(\d{1,9}(?:\.\d{1,9})?)\s{0,4}(ms|毫秒|s|secs?|seconds?|秒钟?|秒鐘?|초)?\s{0,4}",
    re.IGNORECASE,
)
_MILLISECONDS = ("ms", "毫秒")


@dataclass(frozen=True, slots=True)
class PauseMark:
    """A mark in a line. `seconds` is None when the mark has a length that cannot be read."""

    start: int
    end: int
    seconds: float | None


def find_pauses(text: str) -> Iterator[PauseMark]:
    """Find the marks, in order. A bare number under 100 is seconds; above, milliseconds, as no pause is that long."""
    if "[" not in text and "【" not in text:
        return
    for match in _MARK.finditer(text):
        inside = match[1]
        if not inside.strip():
            yield PauseMark(match.start(), match.end(), DEFAULT_PAUSE_S)
        elif length := _LENGTH.fullmatch(inside):
            value, unit = float(length[1]), (length[2] or "").lower()
            is_ms = unit in _MILLISECONDS or (not unit and value >= 100)
            yield PauseMark(match.start(), match.end(), value / 1000 if is_ms else value)
        else:
            yield PauseMark(match.start(), match.end(), None)

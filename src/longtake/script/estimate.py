"""How long a script will be when it is spoken. Knows paces, not voices."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from longtake.core.records import Passage
from longtake.script.language import language_runs, primary

_COUNTED_BY_CHARACTER = frozenset({"zh", "yue", "ja", "ko", "th"})
_WORD = re.compile(r"\w+(?:['’.,:\-]\w+)*")
_LONG_NUMBER = re.compile(r"\d{5,}")  # read out digit by digit, or in about as many words
_CHARACTER = re.compile(r"[^\W_]")
_PACE_OF_NOBODY = 150.0  # words a minute, of a calm reader


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds of finished audio.

    Attributes:
        seconds: All of it, silences too.
        by_language: Language → seconds of speech.
        silence_s: Gaps and pauses between passages.
    """

    seconds: float
    by_language: Mapping[str, float]
    silence_s: float


def count_units(text: str, base: str = "en") -> Counter[str]:
    """Language → units: characters of Chinese, Japanese, Korean and Thai, words of every other; digits count too, and
    each for itself in a number of five or more."""
    units: Counter[str] = Counter()
    for language, run in language_runs(text, base):
        if primary(language) in _COUNTED_BY_CHARACTER:
            count = len(_CHARACTER.findall(run))
        else:
            count = len(_WORD.findall(run)) + sum(len(number) - 1 for number in _LONG_NUMBER.findall(run))
        if count:
            units[language] += count
    return units


def units_of(passage: Passage) -> Counter[str]:
    """Language → units of one passage."""
    units: Counter[str] = Counter()
    for line in passage.lines:
        units.update(count_units(line.text, line.language))
    return units


def estimate_seconds(passages: Iterable[Passage], paces: Mapping[str, float], speed: float = 1.0) -> Estimate:
    """Estimate the finished audio of the passages; arguments and errors as of `estimate_units`."""
    units: Counter[str] = Counter()
    silence_s = 0.0
    for passage in passages:
        silence_s += passage.silence_before_s
        units.update(units_of(passage))
    return estimate_units(units, silence_s, paces, speed)


def estimate_units(
    units: Mapping[str, int], silence_s: float, paces: Mapping[str, float], speed: float = 1.0
) -> Estimate:
    """Estimate audio whose units were counted before.

    Args:
        units: Language → how many.
        silence_s: Between passages; it keeps its length at any speed.
        paces: Language → units per minute at speed 1.0; ``*`` is the pace of languages not named.
        speed: 1.0 is the voices' own pace.

    Raises:
        ValueError: `speed` is not above 0.
    """
    if speed <= 0:
        raise ValueError(f"speed is {speed}, it must be above 0")
    by_language = {language: count * 60.0 / (_pace_of(language, paces) * speed) for language, count in units.items()}
    return Estimate(silence_s + sum(by_language.values()), by_language, silence_s)


def _pace_of(language: str, paces: Mapping[str, float]) -> float:
    for key in (language, primary(language), "*"):
        if paces.get(key, 0.0) > 0:
            return paces[key]
    return _PACE_OF_NOBODY

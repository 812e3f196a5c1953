"""The words of a report in one language, filled in: names, numbers, times. Knows no layout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final

from longtake.core.units import format_bytes
from longtake.report.phrases import ADVICE, TEXT, Phrase
from longtake.report.records import Advice

LANGUAGES: Final = ("en", "zh")
_PLACES = ("host", "swap", "cgroup", "gpu", "web", "worker", "child", "pool")
_UNNAMED = re.compile(r"[^\w.:/+ -]")


class Words:
    """The words of one language, and times in one time zone."""

    def __init__(self, language: str, zone: tzinfo | None = None) -> None:
        """
        Args:
            language: One of `LANGUAGES`.
            zone: None: the machine's.
        """
        self.language = language
        self._zone = zone

    def say(self, key: str, **values: object) -> str:
        return self._of(TEXT[key]).format(**values)

    def place(self, what: str) -> str:
        """Whose memory: ``host``, ``gpu:0``, ``worker/espeak``."""
        kind, _, which = what.replace("/", ":").partition(":")
        return self.say(kind, which=self.name(which)) if kind in _PLACES else self.name(what)

    def found(self, advice: Advice) -> str:
        return self._of(ADVICE[advice.rule].found).format(**self._facts(advice.facts))

    def remedy(self, advice: Advice) -> str:
        return self._of(ADVICE[advice.rule].remedy).format(**self._facts(advice.facts))

    def _of(self, phrase: Phrase) -> str:
        return phrase.zh if self.language == "zh" else phrase.en

    def _facts(self, facts: Mapping[str, float | str]) -> dict[str, str]:
        return {name: self._fact(name, value) for name, value in facts.items()}

    def _fact(self, name: str, value: float | str) -> str:
        """A fact says by the end of its name what it is."""
        if isinstance(value, str):
            return self.name(value)
        unit = name.rpartition("_")[2]
        if unit == "s":
            return self.duration(value)
        if unit == "at":
            return self.time(value)
        if unit == "bytes":
            return format_bytes(round(value))
        if unit == "ratio":
            return self.percent(value)
        if unit == "rtf":
            return self.ratio(value)
        return f"{value:.1f}" if unit in ("hours", "days") else f"{value:.0f}"

    def name(self, text: str) -> str:
        """An id, a code, an engine: ours, and harmless in any layout even if it were not."""
        return _UNNAMED.sub("?", text)

    def percent(self, ratio: float) -> str:
        return f"{ratio:.0%}" if self.language == "zh" else f"{100 * ratio:.0f} %"

    def ratio(self, value: float) -> str:
        return f"{value:.3g}"

    def time(self, at_s: float) -> str:
        return datetime.fromtimestamp(at_s, self._zone).strftime("%Y-%m-%d %H:%M")

    def duration(self, seconds: float) -> str:
        """``12 s``, ``40 min``, ``1 h 5 min``, ``3 d 2 h``: two units at most, of which the second is whole."""
        zh = self.language == "zh"
        whole = max(0, round(seconds))
        if whole < 60:
            value = f"{seconds:.1f}" if seconds < 10 else str(whole)
            return f"{value} 秒" if zh else f"{value} s"
        units = (86_400, " 天" if zh else " d"), (3600, " 小时" if zh else " h"), (60, " 分" if zh else " min")
        names = (*units, (1, " 秒" if zh else " s"))
        place = next(index for index, (size, _) in enumerate(names) if whole >= size)
        (large, name), (small, rest_name) = names[place], names[place + 1]
        rest = whole % large // small
        return f"{whole // large}{name} {rest}{rest_name}" if rest else f"{whole // large}{name}"

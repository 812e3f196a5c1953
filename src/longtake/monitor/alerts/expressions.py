"""What a rule measures, said once: as PromQL for Prometheus, and as numbers from the samples of this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from longtake.monitor.catalogue import METRICS
from longtake.monitor.watch import Samples

Labels: TypeAlias = tuple[tuple[str, str], ...]
Values: TypeAlias = Mapping[Labels, float]

MARKS = 240  # of a window that are remembered: a day is remembered to six minutes


class Expression(Protocol):
    def promql(self) -> str: ...
    def values(self, past: Past) -> Values:
        """Labels → value now; what cannot be said is left out."""
        ...


class Past:
    """The samples of now, and as much of earlier ones as the rules look back at."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.samples: Samples = {}
        self._marks: dict[tuple[str, float], deque[tuple[float, Values]]] = {}

    def look(self, samples: Samples, now_s: float) -> None:
        """
        Args:
            now_s: On a clock that never goes back.
        """
        self.samples, self.now_s = samples, now_s

    def of(self, metric: str) -> Values:
        """Labels → value now."""
        names = METRICS[metric].labels if metric in METRICS else ()
        return {
            tuple(sorted(zip(names, labels, strict=True))): value
            for labels, value in self.samples.get(metric, {}).items()
        }

    def rise(self, metric: str, window_s: float) -> Values:
        """By how much a counter has grown within the window, as far as it was seen. To be asked at every look."""
        marks, now = self._marks.setdefault((metric, window_s), deque()), self.of(metric)
        while marks and self.now_s - marks[0][0] > window_s:
            marks.popleft()
        first: dict[Labels, float] = {}
        for _, values in marks:
            for labels, value in values.items():
                first.setdefault(labels, value)
        if not marks or self.now_s - marks[-1][0] >= window_s / MARKS:
            marks.append((self.now_s, now))
        return {labels: value - first[labels] for labels, value in now.items() if labels in first}


@dataclass(frozen=True, slots=True)
class Now:
    """A gauge. `where`: label → the values that count."""

    metric: str
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def promql(self) -> str:
        chosen = ",".join(f'{name}=~"{"|".join(values)}"' for name, values in self.where.items())
        return f"{self.metric}{{{chosen}}}" if chosen else self.metric

    def values(self, past: Past) -> Values:
        return {
            labels: value
            for labels, value in past.of(self.metric).items()
            if all(dict(labels).get(name) in allowed for name, allowed in self.where.items())
        }


@dataclass(frozen=True, slots=True)
class Rise:
    """By how much a counter has grown within a window."""

    metric: str
    window_s: int

    def promql(self) -> str:
        return f"increase({self.metric}[{duration(self.window_s)}])"

    def values(self, past: Past) -> Values:
        return past.rise(self.metric, self.window_s)


@dataclass(frozen=True, slots=True)
class Over:
    """One over the other, of the same labels; nothing over zero is left out."""

    above: Expression
    below: Expression

    def promql(self) -> str:
        return f"({self.above.promql()} / {self.below.promql()})"

    def values(self, past: Past) -> Values:
        above, below = self.above.values(past), self.below.values(past)
        return {labels: value / below[labels] for labels, value in above.items() if below.get(labels)}


def duration(seconds: float) -> str:
    """As PromQL writes it: ``10m``, ``1d``."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"


COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">": lambda value, limit: value > limit,
    "<": lambda value, limit: value < limit,
}

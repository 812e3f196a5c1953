"""Which alerts are on. Pure: it is handed samples and the time, and says what has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from longtake.monitor.alerts.expressions import Labels, Past
from longtake.monitor.alerts.rules import RULES, Rule
from longtake.monitor.watch import Samples


@dataclass(frozen=True, slots=True)
class Alert:
    """One that is on, or has just ended.

    Attributes:
        since_s: When it came on, on the clock that the evaluator was handed.
        value: Of the expression, when it was last beyond the threshold.
        threshold: The rule's own, or that of the settings.
    """

    rule: Rule
    labels: Labels
    since_s: float
    value: float
    threshold: float
    is_over: bool = False

    @property
    def key(self) -> str:
        """Which alert it is, whenever it is on: ``LongtakeXid{gpu=0}``."""
        labels = ",".join(f"{name}={value}" for name, value in self.labels)
        return f"{self.rule.name}{{{labels}}}" if labels else self.rule.name


@dataclass(slots=True)
class _Watched:
    """Labels that are beyond a threshold, or were a moment ago."""

    pending_s: float | None  # since when it is beyond; None: it is not, now
    last_s: float
    alert: Alert | None = None


class Evaluator:
    """One thread uses it."""

    def __init__(self, rules: Sequence[Rule] = RULES, thresholds: Mapping[str, float] | None = None) -> None:
        """
        Args:
            thresholds: Name of a rule → what counts instead of its own.
        """
        self._rules = rules
        self._thresholds = thresholds or {}
        self._past = Past()
        self._watched: dict[tuple[str, Labels], _Watched] = {}

    @property
    def active(self) -> tuple[Alert, ...]:
        """Those that are on, the oldest first."""
        on = [watched.alert for watched in self._watched.values() if watched.alert is not None]
        return tuple(sorted(on, key=lambda alert: alert.since_s))

    def look(self, samples: Samples, now_s: float) -> tuple[Alert, ...]:
        """Those that have come on, and those that are over."""
        self._past.look(samples, now_s)
        changes: list[Alert] = []
        for rule in self._rules:
            changes += self._judge(rule, now_s)
        return tuple(changes)

    def _judge(self, rule: Rule, now_s: float) -> list[Alert]:
        threshold = self._thresholds.get(rule.name, rule.threshold)
        beyond = rule.violations(self._past, threshold)
        changes: list[Alert] = []
        for labels, value in beyond.items():
            watched = self._watched.setdefault((rule.name, labels), _Watched(now_s, now_s))
            watched.last_s = now_s
            if watched.pending_s is None:
                watched.pending_s = now_s
            if watched.alert is not None:
                watched.alert = replace(watched.alert, value=value)
            elif now_s - watched.pending_s >= rule.for_s:
                watched.alert = Alert(rule, labels, now_s, value, threshold)
                changes.append(watched.alert)
        for name, labels in [key for key in self._watched if key[0] == rule.name and key[1] not in beyond]:
            watched = self._watched[name, labels]
            watched.pending_s = None
            if watched.alert is None:
                del self._watched[name, labels]
            elif now_s - watched.last_s >= rule.keep_s:
                changes.append(replace(watched.alert, is_over=True))
                del self._watched[name, labels]
        return changes

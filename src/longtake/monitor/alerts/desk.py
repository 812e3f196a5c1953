"""Judges the figures every few seconds, keeps which alerts are on, and has people told: once, and again after hours."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from longtake.core.clock import Clock
from longtake.core.errors import InputError
from longtake.core.units import format_duration
from longtake.monitor.alerts.evaluator import Alert, Evaluator
from longtake.monitor.alerts.rules import RULES, Rule
from longtake.monitor.alerts.send import Message
from longtake.monitor.watch import Samples, Sight

log = logging.getLogger(__name__)

LOOK_S = 10.0
FORGET_S = 3600.0  # what was on before the server started, and has not come on again so long after, is over
FILE = "alerts.json"
_WORDS = {
    "en": {"on": "{n} on", "over": "over", "since": "for {t}", "value": "now {v:g}, limit {l:g}"},
    "zh": {"on": "{n} 项告警", "over": "已恢复", "since": "持续 {t}", "value": "当前 {v:g}，阈值 {l:g}"},
}


class AlertDesk:
    """`active` is safe from any thread.

    What was told is kept in a file, so that a server that is started again does not tell everything anew.
    """

    def __init__(
        self,
        latest: Callable[[], Sight],
        send: Callable[[Message], None],
        folder: Path,
        clock: Clock,
        *,
        rules: Sequence[Rule] = RULES,
        thresholds: Mapping[str, float] | None = None,
        language: str = "en",
        repeat_s: float = 4 * 3600.0,
    ) -> None:
        """
        Args:
            latest: The newest sight, at once.
            send: Carries a message away, at once.
            folder: Where the file lies.
            repeat_s: An alert that is still on is told again after so long.

        Raises:
            InputError: A threshold names no rule.
        """
        require_rules(thresholds or {}, rules)
        self._latest = latest
        self._send = send
        self._path = folder / FILE
        self._clock = clock
        self._evaluator = Evaluator(rules, thresholds)
        self._language = language
        self._repeat_s = repeat_s
        self._told = _read(self._path)
        self._began_s = clock.monotonic_s()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self.active: tuple[Alert, ...] = ()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self.look()
            except Exception:  # a border: alerts that have died are worse than one look that failed
                log.exception("the alerts could not be judged")

    def look(self) -> None:
        """One look; the thread does this, tests do it by hand."""
        sight, now_s, wall_s = self._latest(), self._clock.monotonic_s(), self._clock.wall_s()
        changes = self._evaluator.look(_with_age(sight, now_s), now_s)
        self.active = self._evaluator.active
        for alert in changes:
            log.warning("alert %s: %s", "over" if alert.is_over else "on", alert.key)
        over = [alert for alert in changes if alert.is_over and self._told.pop(alert.key, None) is not None]
        due = [alert for alert in self.active if self._is_due(alert, wall_s)]
        self._told |= {alert.key: wall_s for alert in due}
        if due or over:
            self._send(self._message(due, over, now_s))
        if changes or due or self._forget(now_s):
            self._keep()

    def _is_due(self, alert: Alert, wall_s: float) -> bool:
        """Also when it was told in the future: the clock was set back, and nobody may wait until it is there again."""
        return not 0 <= wall_s - self._told.get(alert.key, float("-inf")) < self._repeat_s

    def _forget(self, now_s: float) -> bool:
        on = {alert.key for alert in self.active}
        gone = self._told.keys() - on if now_s - self._began_s > FORGET_S else set()
        for key in gone:
            del self._told[key]
        return bool(gone)

    def _message(self, due: Sequence[Alert], over: Sequence[Alert], now_s: float) -> Message:
        """Everything of one look is one message: when a disk fills up, many things happen at once."""
        is_worst = any(alert.rule.severity == "critical" for alert in due)
        kind = "failure" if is_worst else "warning" if due else "success"
        names = ", ".join(alert.rule.name.removeprefix("Longtake") for alert in (*due, *over))
        words = _WORDS[self._language]
        title = f"longtake: {words['on'].format(n=len(due)) if due else words['over']}: {names}"
        return Message(title, "\n\n".join(self._text(alert, now_s) for alert in (*due, *over)), kind)

    def _text(self, alert: Alert, now_s: float) -> str:
        words, (summary, advice) = _WORDS[self._language], self._told_as(alert.rule)
        of = ", ".join(f"{name} {value}" for name, value in alert.labels)
        head = f"{'✓' if alert.is_over else '!'} {summary}" + (f" [{of}]" if of else "")
        lasted = words["since"].format(t=format_duration(now_s - alert.since_s))
        if alert.is_over:
            return f"{head}\n{words['over']}, {lasted}"
        return f"{head}\n{words['value'].format(v=alert.value, l=alert.threshold)}, {lasted}\n{advice}"

    def _told_as(self, rule: Rule) -> tuple[str, str]:
        return rule.chinese if self._language == "zh" else rule.english

    def _keep(self) -> None:
        new = self._path.with_suffix(".new")
        with suppress(OSError):  # on a full disk they are told again after the next start: that does no harm
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            new.write_text(json.dumps(self._told), encoding="utf-8")
            os.replace(new, self._path)


def require_rules(thresholds: Mapping[str, float], rules: Sequence[Rule] = RULES) -> None:
    """
    Raises:
        InputError: A threshold names no rule.
    """
    names = {rule.name for rule in rules}
    if unknown := sorted(thresholds.keys() - names):
        raise InputError(
            f"The setting alerts.thresholds names {unknown[0]!r}, and there is no such rule. `longtake alerts list` "
            "shows them all.",
            code="invalid_setting",
            param="alerts.thresholds",
        )


def _with_age(sight: Sight, now_s: float) -> Samples:
    return {**sight.samples, "longtake_monitor_age_seconds": {(): max(0.0, now_s - sight.seen_s)}}


def told_alerts(folder: Path) -> dict[str, float]:
    """Key of an alert that people were told of and that was not over yet → when, on the wall clock."""
    return _read(folder / FILE)


def _read(path: Path) -> dict[str, float]:
    try:
        found = json.loads(path.read_bytes())
        return {str(key): float(at) for key, at in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}

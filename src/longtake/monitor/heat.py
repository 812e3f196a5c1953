"""When work must wait because a card is hot: pure, with hysteresis, each card by itself and the worst one decides.

    below go           normal                    again once it is cool, and no slowdown was told of for a while
    hold and above     no new jobs               until it is below go
    pause and above,   none at all: running ones
    or slowed down     are paused                until it is below go

What a card does not tell changes nothing, for a while: unknown is neither hot nor cool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from longtake.monitor.probes.records import HARDWARE_SLOWDOWNS, Card

HEAT_REASON = "waits for the GPU to cool"
"""What the reason of a job begins with that waits, or is paused, because of this policy."""

ACTIONS = ("hold", "pause", "go", "resumed")

BLIND_S = 120.0  # so long a level is kept though nobody knows the temperature; cards protect themselves, too


class HeatLevel(IntEnum):
    NORMAL = 0
    HOLD = 1  # no new jobs
    PAUSE = 2  # and running ones are paused


@dataclass(frozen=True, slots=True)
class Thresholds:
    """In °C and seconds.

    Attributes:
        rest_s: After the last slowdown that the hardware reported, so that a job does not go to and fro.
    """

    hold_celsius: float = 75.0
    go_celsius: float = 70.0
    pause_celsius: float = 87.0
    rest_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Heat:
    """What is to be done now, and for which card's sake.

    Attributes:
        reason: For the users of jobs that wait; None when none does.
    """

    level: HeatLevel = HeatLevel.NORMAL
    card: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class HeatStatus:
    """The policy now, for people.

    Attributes:
        since_s: Wall time at which this level began; None before the first.
        actions: What was done since the start: ``hold``, ``pause``, ``go`` for levels reached, ``resumed`` for jobs.
        thresholds: None where the policy is off.
    """

    heat: Heat = Heat()
    since_s: float | None = None
    actions: Mapping[str, int] = field(default_factory=dict)
    thresholds: Thresholds | None = None


@dataclass(slots=True)
class _Standing:
    level: HeatLevel = HeatLevel.NORMAL
    slowed_s: float = float("-inf")  # when its hardware last slowed it down


class HeatPolicy:
    """Fed with what the cards say, as often as one likes. One thread owns it."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._standings: dict[str, _Standing] = {}
        self._seen_s: float | None = None
        self._heat = Heat()

    def look(self, cards: Sequence[Card] | None, now_s: float) -> Heat:
        """
        Args:
            cards: None while nobody knows, as when the driver hangs.
        """
        if cards is None:
            if self._seen_s is not None and now_s - self._seen_s >= BLIND_S:
                self._standings, self._heat = {}, Heat()
            return self._heat
        self._seen_s = now_s
        here = {card.uuid or str(card.index): card for card in cards if not card.is_lost}
        self._standings = {name: self._standings.get(name, _Standing()) for name in here}
        for name, card in here.items():
            self._judge(self._standings[name], card, now_s)
        worst = max(
            here, key=lambda name: (self._standings[name].level, here[name].temperature_celsius or 0), default=""
        )
        if not worst or not (level := self._standings[worst].level):
            self._heat = Heat()
        else:
            self._heat = Heat(level, here[worst].index, self._words(level, here[worst]))
        return self._heat

    def _judge(self, standing: _Standing, card: Card, now_s: float) -> None:
        limits, celsius = self._thresholds, card.temperature_celsius
        if card.is_slowed:
            standing.slowed_s = now_s
        if card.is_slowed or (celsius is not None and celsius >= limits.pause_celsius):
            standing.level = HeatLevel.PAUSE
        elif celsius is None:
            # It tells of slowdowns at most; what it never tells cannot keep it from going on.
            if card.throttles is not None and now_s - standing.slowed_s >= limits.rest_s:
                standing.level = HeatLevel.NORMAL
        elif celsius >= limits.hold_celsius:
            standing.level = max(standing.level, HeatLevel.HOLD)
        elif celsius < limits.go_celsius and now_s - standing.slowed_s >= limits.rest_s:
            standing.level = HeatLevel.NORMAL

    def _words(self, level: HeatLevel, card: Card) -> str:
        limits = self._thresholds
        has = "" if card.temperature_celsius is None else f" has {card.temperature_celsius:.0f} °C"
        if slowed := sorted(card.throttles & HARDWARE_SLOWDOWNS) if card.throttles else []:
            has += f"{' and' if has else ''} slows itself down ({', '.join(slowed)})"
        elif not has:
            has = " slowed itself down a moment ago"
        what = "jobs start again" if level is HeatLevel.HOLD else "jobs go on"
        return f"{HEAT_REASON}: card {card.index}{has}; {what} below {limits.go_celsius:.0f} °C"

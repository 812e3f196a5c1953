"""Figures over time: each second of the last hour, each minute of the last thirty days. Told of each look.

A series is plain words with the unit last, and behind a colon which card, core, process or engine, if there are more
than one: ``gpu_power_watts:0``, ``rtf_ratio:vibevoice``. ``gpu_power_watts`` alone is of all cards together. What each
is made of is said in `probes.series` (machine) and `speech`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from longtake.core.clock import Clock
from longtake.monitor.rollups import KEEP_MINUTES, MINUTE_S, Rollups
from longtake.monitor.series import HOUR_S, Band, Series
from longtake.monitor.speech import speech_series
from longtake.monitor.watch import Sight

log = logging.getLogger(__name__)

LONGEST_S = KEEP_MINUTES * MINUTE_S
MAX_STEPS = 2000
_FRESH_S = 5.0  # when nobody has looked for so long, a window ends now and not with the last look


@dataclass(frozen=True, slots=True)
class Window:
    """Some time up to now.

    Attributes:
        from_s: Wall time at which the first step begins.
        bands: Series → lowest, mean and highest of each step.
    """

    from_s: float
    step_s: int
    steps: int
    bands: Mapping[str, Band]


class Curves:
    """`add` is called by the thread that looks, everything else by any."""

    def __init__(self, rollups: Rollups, clock: Clock, machine: Callable[[], Mapping[str, float]]) -> None:
        """
        Args:
            machine: Series of the machine, as the look that is told of found it.
        """
        self._series = Series()
        self._rollups = rollups
        self._clock = clock
        self._machine = machine
        self._minute: int | None = None
        self._rolled: int | None = None  # the last second that is in a minute
        # A disk that takes its time holds up the minutes, not the seconds.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="rollups")

    def add(self, sight: Sight) -> None:
        """Keep what a look has seen."""
        second, minute = math.floor(sight.seen_s), int(self._clock.wall_s() // MINUTE_S)
        if self._minute is not None and minute != self._minute:
            self._roll(self._minute)
        self._minute = minute
        self._series.add(second, {**self._machine(), **speech_series(sight)})

    def names(self) -> list[str]:
        """Every series of which something is known."""
        return sorted({*self._series.names(), *self._rollups.names()})

    def window(self, names: Iterable[str], *, seconds: int, steps: int) -> Window:
        """The last so many seconds, in about so many steps: an hour and less by seconds, more by minutes.

        Steps are whole seconds or minutes, so there may be fewer than were asked for.
        """
        unit_s = 1 if seconds <= HOUR_S else MINUTE_S
        units = math.ceil(min(seconds, LONGEST_S) / unit_s)
        per_step = math.ceil(units / min(steps, MAX_STEPS))
        steps = units // per_step
        wanted = list(dict.fromkeys(names))
        if unit_s == 1:
            now_s = self._clock.monotonic_s()
            last = self._series.last
            until = last if last is not None and now_s - last < _FRESH_S else math.floor(now_s)
            bands = self._series.bands(wanted, until=until, steps=steps, step_s=per_step)
            ends_s = self._clock.wall_s() - (now_s - until) + 1
        else:
            minute = int(self._clock.wall_s() // MINUTE_S) - 1  # the last one that is whole
            bands = self._rollups.bands(wanted, until=minute, steps=steps, step_minutes=per_step)
            ends_s = (minute + 1) * MINUTE_S
        step_s = per_step * unit_s
        return Window(ends_s - steps * step_s, step_s, steps, bands)

    def close(self) -> None:
        """The minute that has begun is kept, too. After the last `add`."""
        if self._minute is not None:
            self._roll(self._minute)
        self._writer.shutdown()
        self._rollups.close()

    def _roll(self, minute: int) -> None:
        """Everything since the last minute was rolled up, as that minute."""
        last = self._series.last
        if last is None or last == self._rolled:
            return
        seconds = MINUTE_S if self._rolled is None else min(last - self._rolled, MINUTE_S)
        self._rolled = last
        bands = self._series.bands(self._series.names(), until=last, steps=1, step_s=seconds)
        known = {
            name: (float(band.low[0]), float(band.mean[0]), float(band.high[0]))
            for name, band in bands.items()
            if not math.isnan(band.mean[0])
        }
        if known:
            self._writer.submit(self._rollups.add, minute, known)

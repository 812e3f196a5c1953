"""Every figure over time: each second of the last hour, each minute of the last thirty days. Told of each look.

A series is a metric with the values of its labels behind a colon: ``longtake_gpu_power_watts:0``. Of a counter it is
the rate a second, since a sum that only grows shows nothing. Cards have one series more, ``:all``, for all together.
What engines do is told once more as rates of the last ten seconds (`speech`), which are calmer.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from longtake.core.clock import Clock
from longtake.monitor.catalogue import METRICS
from longtake.monitor.rollups import KEEP_DAYS, MINUTE_S, Rollups
from longtake.monitor.series import HOUR_S, Band, Series
from longtake.monitor.speech import speech_series
from longtake.monitor.watch import Samples, Sight

log = logging.getLogger(__name__)

LONGEST_S = KEEP_DAYS * 24 * 3600
MAX_STEPS = 2000
_NO_CURVES = frozenset({"longtake_build_info", "longtake_monitor_age_seconds"})
_RATE_OVER_S = 5.0  # a rate over a longer gap would be told of a second that it is not of
# Of all cards together: these add up, of utilisation it is the mean, of temperature the highest.
_SUMMED = frozenset(
    {
        "longtake_gpu_memory_used_bytes",
        "longtake_gpu_memory_size_bytes",
        "longtake_gpu_power_watts",
        "longtake_gpu_energy_joules_total",
    }
)
_ALL = "all"


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

    def __init__(self, rollups: Rollups, clock: Clock) -> None:
        self._series = Series()
        self._rollups = rollups
        self._clock = clock
        self._counters: dict[str, tuple[float, float]] = {}
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
        self._series.add(second, dict(self._values(sight)))

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
            until = last if last is not None and now_s - last < _RATE_OVER_S else math.floor(now_s)
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

    def _values(self, sight: Sight) -> Iterator[tuple[str, float]]:
        for metric, samples in (*sight.samples.items(), *_together(sight.samples)):
            if metric in _NO_CURVES:
                continue
            is_counter = METRICS[metric].kind == "counter"
            for labels, value in samples.items():
                name = series_name(metric, labels)
                rate = self._rate(name, sight.seen_s, value) if is_counter else value
                if rate is not None:
                    yield name, rate
        yield from speech_series(sight).items()

    def _rate(self, name: str, now_s: float, value: float) -> float | None:
        """A second; None at the first look and after a gap. A counter that began anew has a rate of what it counted."""
        before_s, before = self._counters.get(name, (float("-inf"), 0.0))
        self._counters[name] = now_s, value
        passed_s = now_s - before_s
        if not 0 < passed_s < _RATE_OVER_S:
            return None
        return (value - before if value >= before else value) / passed_s

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


def series_name(metric: str, labels: tuple[str, ...]) -> str:
    """``longtake_jobs:espeak/queued``, and the metric alone where it has no labels."""
    return f"{metric}:{'/'.join(labels)}" if labels else metric


def _together(samples: Samples) -> Iterator[tuple[str, Mapping[tuple[str, ...], float]]]:
    for metric in (*_SUMMED, "longtake_gpu_utilisation_ratio", "longtake_gpu_temperature_celsius"):
        if values := list(samples.get(metric, {}).values()):
            if metric in _SUMMED:
                yield metric, {(_ALL,): sum(values)}
            else:
                yield metric, {(_ALL,): max(values) if "temperature" in metric else sum(values) / len(values)}

"""Asks probes and sources once a second, and keeps what they say. Knows no HTTP and no policy.

One thread, on the beat of the monotonic clock: a late second is late by itself and delays none after it; one that is
missed altogether stays empty.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from longtake.core.clock import Clock
from longtake.monitor.probes.gpus import GpuWatch
from longtake.monitor.probes.host import HostProbe
from longtake.monitor.probes.records import GpuReading, HostReading, Source
from longtake.monitor.probes.series import gpu_series, host_series
from longtake.monitor.rollups import MINUTE_S, Rollups
from longtake.monitor.series import Series

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one second brought.

    Attributes:
        second: Its number on the monotonic clock.
        host: None when the machine could not be asked.
    """

    second: int
    wall_s: float
    gpus: GpuReading
    host: HostReading | None


class Sampler:
    """`latest`, `series` and `rollups` are safe from any thread."""

    def __init__(
        self,
        gpus: GpuWatch,
        host: HostProbe,
        series: Series,
        rollups: Rollups,
        clock: Clock,
        sources: Sequence[Source] = (),
    ) -> None:
        self.series = series
        self.rollups = rollups
        self._gpus = gpus
        self._host = host
        self._clock = clock
        self._sources = tuple(sources)
        self._failing: set[object] = set()
        self._latest: Sample | None = None
        self._minute: int | None = None
        self._rolled: int | None = None  # the last second that is in a minute
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        # A disk that takes its time holds up the minutes, not the seconds.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="rollups")

    @property
    def latest(self) -> Sample | None:
        """The latest second; None: there was none yet."""
        return self._latest

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop; the minute that has begun is kept."""
        self._is_closing.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._minute is not None:
            self._roll(self._minute)
        self._writer.shutdown()
        self.rollups.close()

    def _run(self) -> None:
        while not self._is_closing.is_set():
            try:
                self.sample()
            except Exception:  # a border: whatever a second brings, the next one is looked at
                log.exception("a second could not be sampled")
            now_s = self._clock.monotonic_s()
            self._is_closing.wait(math.floor(now_s) + 1 - now_s)

    def sample(self) -> None:
        """One second; the thread does this, tests do it by hand."""
        second, wall_s = math.floor(self._clock.monotonic_s()), self._clock.wall_s()
        gpus, host = self._gpus.reading(), self._read_host()
        values = gpu_series(gpus) | (host_series(host) if host is not None else {})
        for source in self._sources:
            values |= self._ask(source)
        minute = int(wall_s // MINUTE_S)
        if self._minute is not None and minute != self._minute:
            self._roll(self._minute)
        self._minute = minute
        self.series.add(second, values)
        self._latest = Sample(second, wall_s, gpus, host)

    def _read_host(self) -> HostReading | None:
        try:
            reading = self._host.read()
        except Exception as error:  # a border: the cards are watched all the same
            self._tell(self._host.read, error)
            return None
        self._failing.discard(self._host.read)
        return reading

    def _ask(self, source: Source) -> dict[str, float]:
        try:
            values = {name: float(value) for name, value in source().items()}
        except Exception as error:  # a border: sources are other rooms' code
            self._tell(source, error)
            return {}
        self._failing.discard(source)
        return values

    def _tell(self, source: object, error: Exception) -> None:
        if source not in self._failing:
            self._failing.add(source)
            log.warning("a source of figures failed; it is asked again each second", exc_info=error)

    def _roll(self, minute: int) -> None:
        """Everything since the last minute was rolled up, as that minute."""
        last = self.series.last
        if last is None or last == self._rolled:
            return
        seconds = MINUTE_S if self._rolled is None else min(last - self._rolled, MINUTE_S)
        self._rolled = last
        bands = self.series.bands(self.series.names(), until=last, steps=1, step_s=seconds)
        known = {
            name: (float(band.low[0]), float(band.mean[0]), float(band.high[0]))
            for name, band in bands.items()
            if not math.isnan(band.mean[0])
        }
        if known:
            self._writer.submit(self.rollups.add, minute, known)

"""The last hour, second by second, in memory. Knows neither where values come from nor what they mean.

A ring of 3,600 seconds for each name; the second n lies at n mod 3,600, and NaN is where nothing is known. Seconds are
counted on the monotonic clock, so that a clock that is set does not tear the hour apart.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

HOUR_S = 3600
MAX_SERIES = 1024  # 14 KiB each

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Band:
    """Lowest, mean and highest value in each step of time; NaN where nothing is known."""

    low: Values
    mean: Values
    high: Values


class Series:
    """Safe from any thread."""

    def __init__(self) -> None:
        self._rings: dict[str, Values] = {}
        self._last: int | None = None
        self._lock = threading.Lock()
        self._is_full = False

    @property
    def last(self) -> int | None:
        """The latest second that was added; None: none yet."""
        return self._last

    def names(self) -> list[str]:
        """Those of which something is known in the last hour."""
        with self._lock:
            return sorted(self._rings)

    def add(self, second: int, values: Mapping[str, float]) -> None:
        """What was measured in a second; seconds between the last one and this were not measured."""
        with self._lock:
            self._forget_until(second)
            for name, value in values.items():
                if (ring := self._rings.get(name)) is None:
                    if len(self._rings) >= MAX_SERIES:
                        self._tell_full(name)
                        continue
                    ring = self._rings[name] = np.full(HOUR_S, np.nan, np.float32)
                ring[second % HOUR_S] = value

    def bands(self, names: Iterable[str], *, until: int, steps: int, step_s: int) -> dict[str, Band]:
        """The last ``steps`` steps of ``step_s`` seconds each; the last one ends with the second ``until``.

        Args:
            step_s: The whole may not be longer than an hour.
        """
        with self._lock:
            seconds = np.arange(until - steps * step_s + 1, until + 1)
            last = self._last if self._last is not None else until
            unknown = (seconds > last) | (seconds <= last - HOUR_S)
            found = {name: self._rings[name][seconds % HOUR_S] for name in names if name in self._rings}
        for values in found.values():
            values[unknown] = np.nan
        return {name: band_of(values.reshape(steps, step_s)) for name, values in found.items()}

    def _forget_until(self, second: int) -> None:
        last, self._last = self._last, second
        if last is None:
            return
        gone = np.arange(max(last, second - HOUR_S) + 1, second + 1) % HOUR_S
        for name, ring in list(self._rings.items()):
            ring[gone] = np.nan
            if second % 60 == 0 and np.isnan(ring).all():
                del self._rings[name]

    def _tell_full(self, name: str) -> None:
        if not self._is_full:
            self._is_full = True
            log.warning("%d series are kept, and no more: %s and what comes after it is not", MAX_SERIES, name)


def band_of(values: Values) -> Band:
    """Lowest, mean and highest of each row; of a row without values NaN."""
    return Band(np.fmin.reduce(values, axis=1), mean_of(values), np.fmax.reduce(values, axis=1))


def mean_of(values: Values) -> Values:
    """Of what is known in each row."""
    known = np.count_nonzero(~np.isnan(values), axis=1)
    sums = np.nansum(values, axis=1, dtype=np.float64)
    return np.where(known, sums / np.maximum(known, 1), np.nan).astype(np.float32)

"""A `GpuWatch` on a scripted driver, quick enough for tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from longtake.core.clock import SystemClock
from longtake.monitor.probes.gpus import GpuWatch
from longtake.monitor.probes.nvml import load_nvml
from longtake.monitor.probes.records import GpuReading
from tests.support.nvml.script import ScriptedNvml


def scripted(script: dict[str, Any]) -> ScriptedNvml:
    return ScriptedNvml(load_nvml(), script)


@contextmanager
def watching(script: dict[str, Any]) -> Iterator[GpuWatch]:
    """Looks every 10 ms, finds the driver silent after 100, asks again for what is absent every 50."""
    driver = scripted(script)
    watch = GpuWatch(SystemClock(), lambda: driver, period_s=0.01, retry_s=0.05, silent_after_s=0.1)
    watch.start()
    try:
        yield watch
    finally:
        script["hangs"] = False
        assert watch.close()


def until(watch: GpuWatch, holds: Callable[[GpuReading], object]) -> GpuReading:
    """The first reading of which that holds."""
    deadline = time.monotonic() + 10
    while True:
        reading = watch.reading()
        if holds(reading):
            return reading
        assert time.monotonic() < deadline, reading
        time.sleep(0.005)

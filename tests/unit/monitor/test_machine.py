"""A look at this very machine, with a scripted driver: what it gives, and what it costs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from longtake.core.clock import SystemClock
from longtake.monitor import Machine
from longtake.monitor.heat import HeatStatus
from longtake.monitor.probes.host import HostProbe
from longtake.monitor.probes.records import GpuState
from tests.support.nvml.script import card
from tests.support.nvml.watch import until, watching


def test_a_look_is_the_same_as_metrics_as_series_and_as_a_reading(tmp_path: Path) -> None:
    with watching({"cards": [card(0, temperature=71)]}) as watch:
        until(watch, lambda each: each.state is GpuState.OK)
        clock = SystemClock()
        machine = Machine(watch.reading, HostProbe(tmp_path, dict, clock), HeatStatus, clock)
        assert (machine.latest, machine.series()) == (None, {})
        samples = machine.samples()
        series = machine.series()
    assert machine.latest is not None
    assert machine.latest.gpus.cards[0].temperature_celsius == 71
    assert samples["longtake_gpu_temperature_celsius"] == {("0",): 71}
    assert (series["gpu_temperature_celsius:0"], series["heat_level"]) == (71, 0)
    total_bytes = psutil.virtual_memory().total
    assert samples["longtake_host_memory_size_bytes"] == {(): total_bytes}
    assert series["memory_total_bytes"] == total_bytes == machine.latest.host.memory_total_bytes


def test_a_look_costs_little(tmp_path: Path) -> None:
    """Less than 1 % of a core is wanted; on a busy machine it is dearer, so the test allows three times that."""
    with watching({"cards": [card(index) for index in range(8)]}) as watch:
        until(watch, lambda each: each.state is GpuState.OK)
        clock = SystemClock()
        probe = HostProbe(tmp_path, lambda: {os.getppid(): "espeak"}, clock)
        machine = Machine(watch.reading, probe, HeatStatus, clock)
        costs = []
        for _ in range(40):
            began_s = time.thread_time()
            machine.samples()
            machine.series()
            costs.append(time.thread_time() - began_s)
    assert sum(costs) / len(costs) < 0.03


def test_while_a_driver_hangs_a_look_does_not(tmp_path: Path) -> None:
    script: dict[str, object] = {"cards": [card()]}
    with watching(script) as watch:
        until(watch, lambda each: each.state is GpuState.OK)
        script["hangs"] = True
        until(watch, lambda each: each.state is GpuState.SILENT)
        clock = SystemClock()
        machine = Machine(watch.reading, HostProbe(tmp_path, dict, clock), HeatStatus, clock)
        began_s = time.perf_counter()
        samples = machine.samples()
        assert time.perf_counter() - began_s < 0.5
        assert samples["longtake_gpu_driver_up"] == {(): 0}
        assert not [name for name in machine.series() if name.startswith("gpu")]
        assert machine.series()["memory_used_bytes"] == pytest.approx(psutil.virtual_memory().used, rel=0.5)

"""Readings as series: what is known, under plain names, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from longtake.monitor.probes.records import (
    Card,
    CgroupReading,
    GpuReading,
    GpuState,
    HostReading,
    ProcessReading,
    Throttle,
)
from longtake.monitor.probes.series import gpu_series, host_series

CARDS = (
    Card(0, temperature_celsius=60.0, power_watts=100.0, throttles=frozenset()),
    Card(1, temperature_celsius=70.0, power_watts=200.0, throttles=frozenset({Throttle.POWER_CAP, Throttle.IDLE})),
    Card(2, is_lost=True, xid=79, xids=1),
)


def test_each_card_and_all_together() -> None:
    found = gpu_series(GpuReading(GpuState.OK, 0.0, cards=CARDS))
    assert (found["gpu_temperature_celsius:0"], found["gpu_temperature_celsius:1"]) == (60, 70)
    assert (found["gpu_temperature_celsius"], found["gpu_power_watts"]) == (70, 300)
    assert [found[f"gpu_lost:{index}"] for index in range(3)] == [0, 0, 1]
    assert found["gpu_xids:2"] == 1
    assert (found["gpu_throttle_power_cap_ratio:0"], found["gpu_throttle_power_cap_ratio:1"]) == (0, 1)
    assert "gpu_temperature_celsius:2" not in found
    assert "gpu_fan_ratio:0" not in found, "it has none"
    assert not [name for name in found if "idle" in name], "that slows no work down"
    assert not [name for name in found if name.startswith("gpu_throttle") and name.endswith(":2")]


@pytest.mark.parametrize("state", [each for each in GpuState if each is not GpuState.OK])
def test_while_the_driver_says_nothing_new_the_curves_have_a_gap(state: GpuState) -> None:
    assert gpu_series(GpuReading(state, 0.0, cards=CARDS)) == {}


def reading(**changes: Any) -> HostReading:
    nothing: dict[str, Any] = dict.fromkeys(HostReading.__dataclass_fields__)
    given = {"core_ratios": (), "processes": (), "memory_total_bytes": 10, "memory_available_bytes": 4}
    return HostReading(**(nothing | given | changes))


def test_what_is_not_known_of_the_machine_is_left_out() -> None:
    assert host_series(reading()) == {"memory_total_bytes": 10, "memory_used_bytes": 6}


def test_processes_of_one_worker_are_one_series() -> None:
    ours = (
        ProcessReading(1, "web", None, 5, None, 1),
        ProcessReading(2, "worker", "espeak", 7, 0.5, 1),
        ProcessReading(3, "child", "espeak", 1, 0.25, 1),
        ProcessReading(4, "child", "espeak", 2, 0.25, 1),
    )
    found = host_series(reading(processes=ours, cgroup=CgroupReading(None, None, 2.0), core_ratios=(0.5, 1.0)))
    assert found["process_resident_bytes:web"] == 5
    assert "process_cpu_cores:web" not in found
    assert found["process_resident_bytes:child/espeak"] == 3
    assert found["process_cpu_cores:child/espeak"] == 0.5
    assert "cgroup_memory_used_bytes" not in found
    assert (found["cpu_core_ratio:0"], found["cpu_core_ratio:1"]) == (0.5, 1.0)

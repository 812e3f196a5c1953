"""What probes find becomes metrics; what they do not find is absent."""

from __future__ import annotations

from dataclasses import replace

from longtake.monitor.probes.records import (
    Card,
    CgroupReading,
    DiskReading,
    GpuReading,
    GpuState,
    HostReading,
    ProcessReading,
    Throttle,
)
from longtake.monitor.readings import of_gpus, of_host

CARD = Card(
    index=0,
    name="Card",
    utilisation_ratio=0.9,
    memory_used_bytes=100,
    memory_total_bytes=200,
    temperature_celsius=71.0,
    power_watts=250.0,
    power_limit_watts=700.0,
    energy_joules=1e6,
    sm_clock_hz=1.7e9,
    memory_clock_hz=2.6e9,
    throttles=frozenset({Throttle.POWER_CAP}),
    fan_ratio=0.3,
    pcie_received_bytes_per_s=10.0,
    pcie_sent_bytes_per_s=20.0,
    xids=2,
)
GPUS = GpuReading(GpuState.OK, 0.0, cards=(CARD,))
HOST = HostReading(
    cpu_ratio=0.5,
    core_ratios=(0.4, 0.6),
    load_1m=1.5,
    memory_total_bytes=1000,
    memory_available_bytes=400,
    swap_total_bytes=50,
    swap_used_bytes=5,
    disk=DiskReading(3, 2, 1),
    disk_read_bytes_per_s=7.0,
    disk_written_bytes_per_s=8.0,
    cgroup=CgroupReading(500, 300, 2.0),
    processes=(
        ProcessReading(1, "web", None, 10, 0.25, 5),
        ProcessReading(2, "worker", "espeak", 10, 1.0, 5),
        ProcessReading(3, "child", "espeak", 10, 0.5, 1),
        ProcessReading(4, "worker", "vibevoice", 10, None, 1),
    ),
)


def test_a_card() -> None:
    found = of_gpus(GPUS)
    assert found["longtake_gpu_driver_up"] == {(): 1}
    assert found["longtake_gpu_memory_size_bytes"] == {("0",): 200}
    assert found["longtake_gpu_xids_total"] == {("0",): 2}
    assert found["longtake_gpu_lost"] == {("0",): 0}
    assert found["longtake_gpu_throttled"][("0", "power_cap")] == 1
    assert found["longtake_gpu_throttled"][("0", "hardware_thermal")] == 0
    assert len(found["longtake_gpu_throttled"]) == len(Throttle)


def test_what_a_card_does_not_tell_is_absent() -> None:
    bare = replace(GPUS, cards=(Card(index=0), replace(CARD, index=1)))
    found = of_gpus(bare)
    assert found["longtake_gpu_power_watts"] == {("1",): 250.0}
    assert {gpu for gpu, _ in found["longtake_gpu_throttled"]} == {"1"}


def test_a_lost_card_and_a_silent_driver() -> None:
    lost = of_gpus(replace(GPUS, cards=(Card(index=3, is_lost=True),)))
    assert lost["longtake_gpu_lost"] == {("3",): 1}
    for state in (GpuState.SILENT, GpuState.FAILED):
        silent = of_gpus(replace(GPUS, state=state))
        assert silent["longtake_gpu_driver_up"] == {(): 0}
        assert not silent["longtake_gpu_temperature_celsius"], "what it said before may be wrong by now"
    assert of_gpus(GpuReading(GpuState.ABSENT, 0.0)) == {}


def test_the_host() -> None:
    found = of_host(HOST)
    assert found["longtake_host_memory_size_bytes"] == {(): 1000}
    assert found["longtake_host_core_ratio"] == {("0",): 0.4, ("1",): 0.6}
    assert found["longtake_cgroup_memory_limit_bytes"] == {(): 500}
    assert found["longtake_process_cpu_cores"] == {("web", ""): 0.25, ("worker", "espeak"): 1.5}


def test_a_host_that_tells_little() -> None:
    found = of_host(replace(HOST, cpu_ratio=None, swap_total_bytes=None, cgroup=CgroupReading(None, 300, None)))
    for absent in ("longtake_host_cpu_ratio", "longtake_host_swap_size_bytes", "longtake_cgroup_memory_limit_bytes"):
        assert absent not in found
    assert not any(name.startswith("longtake_cgroup") for name in of_host(replace(HOST, cgroup=None)))

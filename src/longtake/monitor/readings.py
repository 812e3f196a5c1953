"""What the probes find, as metrics. What is not known is absent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from longtake.monitor.heat import ACTIONS, HeatStatus
from longtake.monitor.probes.records import Card, GpuReading, GpuState, HostReading, ProcessReading, Throttle
from longtake.monitor.watch import Samples

_OF_CARD = {
    "longtake_gpu_utilisation_ratio": "utilisation_ratio",
    "longtake_gpu_memory_used_bytes": "memory_used_bytes",
    "longtake_gpu_memory_size_bytes": "memory_total_bytes",
    "longtake_gpu_temperature_celsius": "temperature_celsius",
    "longtake_gpu_power_watts": "power_watts",
    "longtake_gpu_power_limit_watts": "power_limit_watts",
    "longtake_gpu_energy_joules_total": "energy_joules",
    "longtake_gpu_sm_clock_hertz": "sm_clock_hz",
    "longtake_gpu_memory_clock_hertz": "memory_clock_hz",
    "longtake_gpu_fan_ratio": "fan_ratio",
    "longtake_gpu_pcie_received_bytes_per_second": "pcie_received_bytes_per_s",
    "longtake_gpu_pcie_sent_bytes_per_second": "pcie_sent_bytes_per_s",
    "longtake_gpu_xids_total": "xids",
    "longtake_gpu_lost": "is_lost",
}
_OF_HOST = {
    "longtake_host_cpu_ratio": "cpu_ratio",
    "longtake_host_load": "load_1m",
    "longtake_host_memory_size_bytes": "memory_total_bytes",
    "longtake_host_memory_available_bytes": "memory_available_bytes",
    "longtake_host_swap_size_bytes": "swap_total_bytes",
    "longtake_host_swap_used_bytes": "swap_used_bytes",
    "longtake_host_disk_read_bytes_per_second": "disk_read_bytes_per_s",
    "longtake_host_disk_written_bytes_per_second": "disk_written_bytes_per_s",
}
_OF_CGROUP = {
    "longtake_cgroup_memory_limit_bytes": "memory_limit_bytes",
    "longtake_cgroup_memory_used_bytes": "memory_used_bytes",
    "longtake_cgroup_cpu_limit_cores": "cpu_limit_cores",
}


def of_gpus(reading: GpuReading) -> Samples:
    """Of a machine without a driver: nothing. What a silent driver told before it fell silent is not told again."""
    if reading.state in (GpuState.ABSENT, GpuState.STARTING):
        return {}
    is_up = reading.state is GpuState.OK
    cards = reading.cards if is_up else ()
    found: dict[str, dict[tuple[str, ...], float]] = {"longtake_gpu_driver_up": {(): int(is_up)}}
    for metric, name in _OF_CARD.items():
        found[metric] = {
            (str(card.index),): float(value) for card in cards if (value := getattr(card, name)) is not None
        }
    found["longtake_gpu_throttled"] = _throttled(cards)
    return found


def _throttled(cards: Sequence[Card]) -> dict[tuple[str, ...], float]:
    return {
        (str(card.index), str(reason)): int(reason in card.throttles)
        for card in cards
        if card.throttles is not None
        for reason in Throttle
    }


def of_host(reading: HostReading) -> Samples:
    """Of the machine, the container that we are in, and our processes."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for names, record in ((_OF_HOST, reading), (_OF_CGROUP, reading.cgroup)):
        for metric, name in names.items():
            if record is not None and (value := getattr(record, name)) is not None:
                found[metric] = {(): value}
    found["longtake_host_core_ratio"] = {(str(core),): ratio for core, ratio in enumerate(reading.core_ratios)}
    found["longtake_process_cpu_cores"] = _cores(reading.processes)
    return found


def of_heat(status: HeatStatus) -> Samples:
    """What the heat of the cards demands now, and what was done because of it."""
    return {
        "longtake_heat_level": {(): int(status.heat.level)},
        "longtake_heat_actions_total": {(action,): status.actions.get(action, 0) for action in ACTIONS},
    }


def _cores(processes: Sequence[ProcessReading]) -> dict[tuple[str, ...], float]:
    """The children of a worker count as the worker's."""
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for process in processes:
        if process.cpu_cores is not None:
            role = "worker" if process.role == "child" else process.role
            found[role, process.engine or ""] += process.cpu_cores
    return dict(found)

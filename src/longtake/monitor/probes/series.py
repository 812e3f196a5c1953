"""Readings as series: plain names with their unit, and which card, core or process after a colon."""

from __future__ import annotations

from collections.abc import Iterator

from longtake.monitor.probes.records import (
    HARDWARE_SLOWDOWNS,
    GpuReading,
    GpuState,
    HostReading,
    Throttle,
    total,
)

_CARD = (
    "utilisation_ratio",
    "memory_used_bytes",
    "memory_total_bytes",
    "temperature_celsius",
    "power_watts",
    "power_limit_watts",
    "energy_joules",
    "sm_clock_hz",
    "memory_clock_hz",
    "fan_ratio",
    "pcie_received_bytes_per_s",
    "pcie_sent_bytes_per_s",
)
# The mean of such a series is the share of time; what slows no work down, such as being idle, is left out.
_THROTTLES = (Throttle.POWER_CAP, Throttle.THERMAL, *sorted(HARDWARE_SLOWDOWNS))
_TOTAL = ("utilisation_ratio", "memory_used_bytes", "memory_total_bytes", "temperature_celsius", "power_watts")


def gpu_series(reading: GpuReading) -> dict[str, float]:
    """Of each card, and of all together without a colon; nothing at all while the driver says nothing new."""
    if reading.state is not GpuState.OK:
        return {}
    found: dict[str, float] = {}
    for card in reading.cards:
        values = {name: getattr(card, name) for name in _CARD}
        found |= {f"gpu_{name}:{card.index}": value for name, value in values.items() if value is not None}
        found[f"gpu_lost:{card.index}"] = float(card.is_lost)
        found[f"gpu_xids:{card.index}"] = float(card.xids)
        if card.throttles is not None:
            found |= {f"gpu_throttle_{each}_ratio:{card.index}": float(each in card.throttles) for each in _THROTTLES}
    all_cards = total(reading.cards)
    found |= {f"gpu_{name}": value for name in _TOTAL if (value := getattr(all_cards, name)) is not None}
    return found


def host_series(reading: HostReading) -> dict[str, float]:
    """Of the machine and of our processes: ``process_resident_bytes:web``, ``…:worker/espeak``."""
    return {name: float(value) for name, value in _host(reading) if value is not None}


def _host(reading: HostReading) -> Iterator[tuple[str, float | None]]:
    yield "cpu_ratio", reading.cpu_ratio
    for core, ratio in enumerate(reading.core_ratios):
        yield f"cpu_core_ratio:{core}", ratio
    yield "load_1m", reading.load_1m
    yield "memory_total_bytes", reading.memory_total_bytes
    yield "memory_used_bytes", reading.memory_total_bytes - reading.memory_available_bytes
    yield "swap_used_bytes", reading.swap_used_bytes
    yield "disk_read_bytes_per_s", reading.disk_read_bytes_per_s
    yield "disk_written_bytes_per_s", reading.disk_written_bytes_per_s
    if reading.disk is not None:
        yield "disk_used_bytes", reading.disk.used_bytes
        yield "disk_free_bytes", reading.disk.free_bytes
    if reading.cgroup is not None:
        yield "cgroup_memory_used_bytes", reading.cgroup.memory_used_bytes
        yield "cgroup_memory_limit_bytes", reading.cgroup.memory_limit_bytes
    for role in {(each.role, each.engine) for each in reading.processes}:
        ours = [each for each in reading.processes if (each.role, each.engine) == role]
        which = role[0] if role[1] is None else f"{role[0]}/{role[1]}"
        yield f"process_resident_bytes:{which}", sum(each.resident_bytes for each in ours)
        shares = [each.cpu_cores for each in ours if each.cpu_cores is not None]
        yield f"process_cpu_cores:{which}", sum(shares) if shares else None

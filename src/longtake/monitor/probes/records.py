"""What probes find. Frozen; None where nothing is known, and never a zero in its place. Knows no probe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Throttle(StrEnum):
    """Why a card's clocks are lower than they could be, in NVML's order."""

    IDLE = "idle"
    APPLICATION_CLOCKS = "application_clocks"
    POWER_CAP = "power_cap"
    HARDWARE_SLOWDOWN = "hardware_slowdown"
    SYNC_BOOST = "sync_boost"
    THERMAL = "thermal"
    HARDWARE_THERMAL = "hardware_thermal"
    POWER_BRAKE = "power_brake"
    DISPLAY_CLOCKS = "display_clocks"


HARDWARE_SLOWDOWNS = frozenset({Throttle.HARDWARE_SLOWDOWN, Throttle.HARDWARE_THERMAL, Throttle.POWER_BRAKE})
"""The card protects itself: clocks are halved or worse."""


@dataclass(frozen=True, slots=True)
class CardProcess:
    """A process that holds memory of a card."""

    pid: int
    memory_used_bytes: int | None


@dataclass(frozen=True, slots=True)
class Card:
    """One card at one moment.

    Attributes:
        index: NVML's number of it, which CUDA may count otherwise.
        is_lost: It fell off the bus or waits for a reset; what it is called is kept, what it measured is gone.
        throttles: Why its clocks are low; empty when they are not.
        energy_joules: Since the driver was loaded.
        xid: The latest critical error that the driver told of since this process watches; None: none.
        xids: How many it told of.
        is_mig: Cut into instances; the driver then gives no utilisation of the whole.
    """

    index: int
    uuid: str | None = None
    name: str | None = None
    is_lost: bool = False
    utilisation_ratio: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    energy_joules: float | None = None
    sm_clock_hz: float | None = None
    memory_clock_hz: float | None = None
    throttles: frozenset[Throttle] | None = None
    fan_ratio: float | None = None
    pcie_generation: int | None = None
    pcie_lanes: int | None = None
    pcie_received_bytes_per_s: float | None = None
    pcie_sent_bytes_per_s: float | None = None
    is_mig: bool | None = None
    xid: int | None = None
    xids: int = 0
    processes: tuple[CardProcess, ...] | None = None

    @property
    def is_slowed(self) -> bool:
        """Its hardware slows it down, to protect it."""
        return bool(self.throttles and self.throttles & HARDWARE_SLOWDOWNS)


@dataclass(frozen=True, slots=True)
class CardTotals:
    """All cards together: sums, the mean of utilisation, the highest temperature."""

    cards: int
    lost: int
    utilisation_ratio: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    temperature_celsius: float | None
    power_watts: float | None
    energy_joules: float | None


class GpuState(StrEnum):
    STARTING = "starting"  # nobody has looked yet
    OK = "ok"
    ABSENT = "absent"  # there is no NVIDIA driver on this machine
    FAILED = "failed"  # there is one, and it refused to answer
    SILENT = "silent"  # it was asked and has not answered for seconds


@dataclass(frozen=True, slots=True)
class GpuReading:
    """What is known of the cards.

    Attributes:
        at_s: Monotonic time of the look; while the driver is silent, of the last one that it answered.
        reason: Why there is nothing to see, or nothing new; None when all is well.
    """

    state: GpuState
    at_s: float
    reason: str | None = None
    driver_version: str | None = None
    cards: tuple[Card, ...] = ()


@dataclass(frozen=True, slots=True)
class DiskReading:
    """The disk on which the data folder lies."""

    total_bytes: int
    used_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class CgroupReading:
    """Limits of the control group that this process is in; None where there is no limit."""

    memory_limit_bytes: int | None
    memory_used_bytes: int | None
    cpu_limit_cores: float | None


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """A process of longtake.

    Attributes:
        role: ``web``, ``worker`` or ``child`` (of a worker).
        engine: Of a worker and its children.
        cpu_cores: Processor time used over the last second, in seconds a second; None at the first look.
    """

    pid: int
    role: str
    engine: str | None
    resident_bytes: int
    cpu_cores: float | None
    threads: int


@dataclass(frozen=True, slots=True)
class HostReading:
    """The machine at one moment.

    Attributes:
        cpu_ratio, core_ratios: Busy share since the look before; None and empty at the first.
        disk_read_bytes_per_s, disk_written_bytes_per_s: Of all disks together.
    """

    cpu_ratio: float | None
    core_ratios: tuple[float, ...]
    load_1m: float | None
    memory_total_bytes: int
    memory_available_bytes: int
    swap_total_bytes: int | None
    swap_used_bytes: int | None
    disk: DiskReading | None
    disk_read_bytes_per_s: float | None
    disk_written_bytes_per_s: float | None
    cgroup: CgroupReading | None
    processes: tuple[ProcessReading, ...]


def total(cards: Sequence[Card]) -> CardTotals:
    """What the cards measure together; what none of them tells is None."""
    known = [card for card in cards if not card.is_lost]

    def values(name: str) -> list[float]:
        return [value for card in known if (value := getattr(card, name)) is not None]

    utilisations, temperatures = values("utilisation_ratio"), values("temperature_celsius")
    return CardTotals(
        cards=len(cards),
        lost=len(cards) - len(known),
        utilisation_ratio=sum(utilisations) / len(utilisations) if utilisations else None,
        memory_used_bytes=_whole(_sum(values("memory_used_bytes"))),
        memory_total_bytes=_whole(_sum(values("memory_total_bytes"))),
        temperature_celsius=max(temperatures, default=None),
        power_watts=_sum(values("power_watts")),
        energy_joules=_sum(values("energy_joules")),
    )


def _sum(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) if found else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)

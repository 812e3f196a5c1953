"""What the monitor's routes answer. null is what nobody knows; a zero is a zero."""

from __future__ import annotations

from longtake.wire.fields import View


class CardProcessView(View):
    pid: int
    memory_used_bytes: int | None


class CardView(View):
    """A graphics card. `throttles` are the reasons why its clocks are low; `xid` is the latest critical error."""

    index: int
    uuid: str | None
    name: str | None
    is_lost: bool
    utilisation_ratio: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    temperature_celsius: float | None
    power_watts: float | None
    power_limit_watts: float | None
    energy_joules: float | None
    sm_clock_hz: float | None
    memory_clock_hz: float | None
    throttles: list[str] | None
    fan_ratio: float | None
    pcie_generation: int | None
    pcie_lanes: int | None
    pcie_received_bytes_per_s: float | None
    pcie_sent_bytes_per_s: float | None
    is_mig: bool | None
    xid: int | None
    xids: int
    processes: list[CardProcessView] | None


class CardTotalsView(View):
    """All cards together: sums, the mean of utilisation, the highest temperature."""

    cards: int
    lost: int
    utilisation_ratio: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    temperature_celsius: float | None
    power_watts: float | None
    energy_joules: float | None


class GpusView(View):
    """`state` is starting, ok, absent, failed or silent; of a silent driver the cards are those of its last answer,
    `age_seconds` ago."""

    state: str
    reason: str | None
    age_seconds: float
    driver_version: str | None
    cards: list[CardView]
    total: CardTotalsView


class DiskView(View):
    total_bytes: int
    used_bytes: int
    free_bytes: int


class CgroupView(View):
    memory_limit_bytes: int | None
    memory_used_bytes: int | None
    cpu_limit_cores: float | None


class ProcessView(View):
    """A process of longtake; `role` is web, worker or child (of a worker)."""

    pid: int
    role: str
    engine: str | None
    resident_bytes: int
    cpu_cores: float | None
    threads: int


class HostView(View):
    cpu_ratio: float | None
    core_ratios: list[float]
    load_1m: float | None
    memory_total_bytes: int
    memory_available_bytes: int
    swap_total_bytes: int | None
    swap_used_bytes: int | None
    disk: DiskView | None
    disk_read_bytes_per_s: float | None
    disk_written_bytes_per_s: float | None
    cgroup: CgroupView | None
    processes: list[ProcessView]


class HeatView(View):
    """`level` is normal, hold (no new jobs) or pause (running ones are paused, too). The temperatures at which that
    changes are null where the policy is off."""

    level: str
    card: int | None
    reason: str | None
    since: float | None
    actions: dict[str, int]
    go_celsius: float | None = None
    hold_celsius: float | None = None
    pause_celsius: float | None = None


class WorkerView(View):
    engine: str
    state: str
    pid: int | None
    reason: str | None
    restarts: int
    steps: int


class EngineFiguresView(View):
    """`rtf` is compute over audio seconds, `speed` its inverse, over the last seconds; null while nothing is spoken."""

    rtf: float | None
    speed: float | None
    batch_fill_ratio: float | None
    jobs: int | None
    requests: int | None
    held_bytes: int | None
    limit_bytes: int | None


class Snapshot(View):
    at: float
    age_seconds: float
    gpus: GpusView
    host: HostView
    heat: HeatView
    workers: list[WorkerView]
    engines: dict[str, EngineFiguresView]
    queue_jobs: int | None


class SeriesView(View):
    """Lowest, mean and highest of each step; null where nothing is known."""

    name: str
    min: list[float | None]
    mean: list[float | None]
    max: list[float | None]


class SeriesList(View):
    """The first step begins at `begins_at`, each lasts `step_seconds`. `names` only when none is asked for."""

    begins_at: float
    step_seconds: int
    steps: int
    series: list[SeriesView]
    names: list[str]

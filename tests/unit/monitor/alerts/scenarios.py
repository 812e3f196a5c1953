"""What happens, and which alert is on then. Played to our own evaluator and to Prometheus', which must agree.

A series is a list of values, one a step. `run(value, minutes)` makes one that stands still, `ramp` one that grows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

STEP_S = 60
GIB = 1 << 30


def run(value: float, minutes: int) -> list[float]:
    return [value] * minutes


def ramp(start: float, a_minute: float, minutes: int) -> list[float]:
    return [start + a_minute * minute for minute in range(minutes)]


@dataclass(frozen=True)
class Scenario:
    """`on`: minute → the labels that the alert has then; None: it is off."""

    rule: str
    title: str
    series: Mapping[str, Sequence[float]]
    on: Mapping[int, Mapping[str, str] | None] = field(default_factory=dict)


ESPEAK = {"engine": "espeak"}
GPU = {"gpu": "0"}
BUSY, AUDIO = (f'longtake_engine_{what}_seconds_total{{engine="espeak"}}' for what in ("busy", "audio"))


def _rtf(now: float) -> Mapping[str, Sequence[float]]:
    """A day at 0.1, then an hour at `now`: seconds of compute and of audio."""
    day = ramp(0, 6, 1440)
    return {BUSY: day + ramp(day[-1] + now * 60, now * 60, 60), AUDIO: ramp(0, 60, 1500)}


def _memory(available: Sequence[float]) -> Mapping[str, Sequence[float]]:
    return {
        "longtake_host_memory_available_bytes": available,
        "longtake_host_memory_size_bytes": run(100 * GIB, len(available)),
    }


def _throttled(reason: str, values: Sequence[float]) -> Mapping[str, Sequence[float]]:
    return {f'longtake_gpu_throttled{{gpu="0",reason="{reason}"}}': values}


SCENARIOS = (
    Scenario("LongtakeMemoryHigh", "fires", _memory(run(5 * GIB, 20)), {4: None, 6: {}}),
    Scenario("LongtakeMemoryHigh", "a peak is no trouble", _memory([*run(5 * GIB, 4), *run(20 * GIB, 16)]), {19: None}),
    Scenario("LongtakeMemoryHigh", "quiet", _memory(run(9 * GIB, 20)), {19: None}),
    Scenario(
        "LongtakeContainerMemoryHigh",
        "fires",
        {
            "longtake_cgroup_memory_used_bytes": run(95, 10),
            "longtake_cgroup_memory_limit_bytes": run(100, 10),
        },
        {3: None, 6: {}},
    ),
    Scenario("LongtakeContainerMemoryHigh", "no limit", {"longtake_cgroup_memory_used_bytes": run(95, 10)}, {9: None}),
    Scenario(
        "LongtakeThermalThrottling",
        "fires, and flutters without being over",
        _throttled("hardware_thermal", [*run(1, 5), 0, 0, 1, 0, 0, *run(0, 10)]),
        {0: None, 2: GPU | {"reason": "hardware_thermal"}, 6: GPU | {"reason": "hardware_thermal"}, 15: None},
    ),
    Scenario("LongtakeThermalThrottling", "a power cap is no heat", _throttled("power_cap", run(1, 10)), {9: None}),
    Scenario(
        "LongtakeXid",
        "fires at once and for a while",
        {'longtake_gpu_xids_total{gpu="0"}': [*run(0, 5), *run(1, 40)]},
        {4: None, 6: GPU, 18: GPU, 44: None},
    ),
    Scenario("LongtakeXid", "quiet", {'longtake_gpu_xids_total{gpu="0"}': run(3, 20)}, {19: None}),
    Scenario("LongtakeGpuLost", "fires", {'longtake_gpu_lost{gpu="0"}': [0, 0, 1, 1, 1, 1]}, {1: None, 4: GPU}),
    Scenario("LongtakeGpuLost", "quiet", {'longtake_gpu_lost{gpu="0"}': run(0, 9)}, {8: None}),
    Scenario("LongtakeGpuSilent", "fires", {"longtake_gpu_driver_up": [1, 1, 0, 0, 0, 0]}, {1: None, 4: {}}),
    Scenario("LongtakeGpuSilent", "quiet", {"longtake_gpu_driver_up": run(1, 9)}, {8: None}),
    Scenario(
        "LongtakeJobStalled",
        "fires, and is over",
        {'longtake_job_stalled_seconds{engine="espeak"}': [*ramp(0, 60, 14), *run(0, 6)]},
        {10: None, 13: ESPEAK, 18: None},
    ),
    Scenario("LongtakeJobStalled", "quiet", {'longtake_job_stalled_seconds{engine="espeak"}': run(500, 9)}, {8: None}),
    Scenario(
        "LongtakeQueueOld",
        "fires",
        {'longtake_queue_oldest_seconds{engine="espeak"}': run(15_000, 10)},
        {3: None, 6: ESPEAK},
    ),
    Scenario("LongtakeQueueOld", "quiet", {'longtake_queue_oldest_seconds{engine="espeak"}': run(900, 9)}, {8: None}),
    Scenario("LongtakeSlow", "fires", _rtf(0.25), {1439: None, 1495: ESPEAK}),
    Scenario("LongtakeSlow", "a little slower is no trouble", _rtf(0.12), {1495: None}),
    Scenario(
        "LongtakeWorkerCrashLoop",
        "fires",
        {'longtake_worker_restarts_total{engine="espeak"}': [0, 0, 1, 2, 3, 4, 4, *run(4, 33)]},
        {3: None, 6: ESPEAK, 39: None},
    ),
    Scenario(
        "LongtakeWorkerCrashLoop",
        "quiet",
        {'longtake_worker_restarts_total{engine="espeak"}': [0, 0, 1, *run(1, 15), 2, 2]},
        {4: None, 19: None},
    ),
    Scenario(
        "LongtakeWorkerBroken", "fires", {'longtake_worker_broken{engine="espeak"}': [0, 1, 1, 1]}, {0: None, 2: ESPEAK}
    ),
    Scenario("LongtakeWorkerBroken", "quiet", {'longtake_worker_broken{engine="espeak"}': run(0, 4)}, {3: None}),
    Scenario("LongtakeDiskLow", "fires", {"longtake_disk_free_bytes": run(4 * GIB, 9)}, {4: None, 6: {}}),
    Scenario("LongtakeDiskLow", "quiet", {"longtake_disk_free_bytes": run(6 * GIB, 9)}, {8: None}),
    Scenario(
        "LongtakeWriteFailed",
        "fires",
        {'longtake_write_failures_total{engine="espeak"}': [0, 0, 1, 1, 1, 1]},
        {1: None, 3: ESPEAK},
    ),
    Scenario("LongtakeWriteFailed", "quiet", {'longtake_write_failures_total{engine="espeak"}': run(7, 9)}, {8: None}),
    Scenario("LongtakeFiguresOld", "fires", {"longtake_monitor_age_seconds": run(40, 6)}, {0: None, 2: {}}),
    Scenario("LongtakeFiguresOld", "quiet", {"longtake_monitor_age_seconds": run(1.5, 6)}, {5: None}),
)

"""Sources that tell what a test wants, for a watch."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from longtake.core.clock import Clock
from longtake.core.stats import Counts, Spread, StepStats, write_stats
from longtake.monitor import Sources, WorkerFigures
from tests.support.clock import HandClock

COUNTS = Counts(
    steps=40,
    step_requests=60,
    passages=5,
    audio_s=20.0,
    busy_s=2.0,
    frames=150,
    tokens=160,
    read_tokens=300,
    parts_s={"lm": 1.0, "diffusion": 0.5, "codec": 0.25, "prefill": 0.125},
    resumes=1,
    preemptions=2,
    out_of_memory=3,
    truncations=4,
    write_failures=5,
    first_audio_s={"job": Spread().with_wait(0.2).with_wait(700.0)},
    queue_wait_s={"job": Spread().with_wait(0.1)},
)
STATS = StepStats(
    "espeak-1",
    "espeak",
    os.getpid(),
    "boot",
    0.0,
    "ready",
    COUNTS,
    jobs=2,
    active=1,
    max_active=8,
    held_bytes=10,
    limit_bytes=20,
    budget_bytes=30,
    kv_bytes=5,
    device_allocated_bytes=7,
    device_reserved_bytes=9,
)
WORKER = WorkerFigures("espeak", True, 3, 41, os.getpid(), "espeak-1")


def tell(folder: Path, clock: Clock, **changes: Any) -> StepStats:
    """Have the worker write what it counts, now."""
    folder.mkdir(exist_ok=True)
    stats = replace(STATS, boot_id=clock.boot_id, told_s=clock.monotonic_s(), **changes)
    write_stats(folder, stats)
    return stats


def sources(folder: Path, clock: Clock | None = None, **changes: Any) -> Sources:
    given = Sources(
        version="9.9",
        jobs=lambda: {("espeak", "done"): 4},
        queue=lambda: (2, 61.5),
        oldest_queued_s=lambda: {"espeak": 33.0},
        stalled_s=lambda: {"espeak": 0.0},
        spoken_s=lambda: {"espeak": 12.5},
        workers=lambda: [
            WORKER,
            WorkerFigures("vibevoice", False, 0, 0, None, is_broken=True),
            WorkerFigures("gone", False, 0, 0, 2**22 - 1),
        ],
        cache_counts=lambda: {"espeak": (3, 1), "vibevoice": (0, 0)},
        cache_bytes=lambda: 4096,
        wal_bytes=lambda: 1024,
        disk=lambda: (2048, 8192),
        stats_folder=folder,
        clock=clock or HandClock(),
    )
    return replace(given, **changes)

"""From job store, monitor and disk to a `Report`. Reads only. Thirty days of minutes are a second of a
processor's work, so not on an event loop.

A source that is not there leaves its part of the report empty, and the report says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from longtake import __version__
from longtake.core.units import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ
from longtake.jobs.history import History
from longtake.monitor.rollups import Rollups
from longtake.report.advice import advise
from longtake.report.machine import Machine, look_at
from longtake.report.past import look_back
from longtake.report.records import Deaths, Disk, Load, Report, Setup
from longtake.supervise.crashes import Crash

USUAL_S = 30 * 86_400.0
# What an hour takes: the passages as they were spoken, which stay, and a file of the same size, if it is a WAV.
BYTES_PER_HOUR = 2 * 3600 * SAMPLE_RATE_HZ * BYTES_PER_SAMPLE


@dataclass(frozen=True, slots=True)
class Sources:
    """
    Attributes:
        minutes: The file of the monitor's roll-ups; it may be missing.
        crashes: The newest that are kept.
        free_bytes: On the data folder's disk, above what must stay free.
        budgets: Engine → what its worker's requests may hold, of the workers that live.
    """

    history: History
    minutes: Path
    crashes: Callable[[], Sequence[Crash]]
    free_bytes: Callable[[], int]
    budgets: Callable[[], Mapping[str, int]]
    setup: Setup


def gather(sources: Sources, since_s: float, until_s: float) -> Report:
    """A report of the time between two moments on the wall clock, with its advice."""
    past = look_back(sources.history, since_s, until_s, since_s - USUAL_S)
    machine = _machine(sources.minutes, since_s, until_s)
    measured = {speed.engine for speed in machine.speeds}
    speeds = [*machine.speeds, *(speed for speed in past.speeds if speed.engine not in measured)]
    report = Report(
        version=__version__,
        since_s=since_s,
        until_s=until_s,
        setup=sources.setup,
        load=past.load,
        speeds=tuple(sorted(speeds, key=lambda speed: speed.engine)),
        interruptions=past.interruptions,
        failures=past.failures,
        deaths=_deaths(sources.crashes(), since_s, until_s),
        slowest=past.slowest,
        disk=_disk(sources.free_bytes(), past.load, until_s - since_s),
        known_s=machine.known_s,
        cpu_ratio=machine.cpu_ratio,
        memory=machine.memory,
        budgets=sources.budgets(),
        cards=machine.cards,
        ends=past.ends,
        curves=machine.curves,
    )
    return replace(report, advice=advise(report))


def _machine(path: Path, since_s: float, until_s: float) -> Machine:
    if not path.exists():  # nobody has watched yet: no reason to complain
        return Machine()
    with closing(Rollups(path, only_reads=True)) as rollups:
        return look_at(rollups, since_s, until_s, since_s - USUAL_S)


def _deaths(crashes: Sequence[Crash], since_s: float, until_s: float) -> tuple[Deaths, ...]:
    by_process: dict[str, list[Crash]] = defaultdict(list)
    for crash in crashes:
        if since_s <= crash.at < until_s:
            by_process[crash.process].append(crash)
    return tuple(
        Deaths(process, len(found), max(each.at for each in found), sum(each.memory is not None for each in found))
        for process, found in sorted(by_process.items())
    )


def _disk(free_bytes: int, load: Load, window_s: float) -> Disk:
    hours = max(0, free_bytes) / BYTES_PER_HOUR
    spoken_hours = sum(load.audio_s.values()) / 3600
    days = hours / spoken_hours * window_s / 86_400 if spoken_hours else None
    return Disk(max(0, free_bytes), hours, days)

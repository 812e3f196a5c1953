"""The jobs' part of a report: load, waits, failures, interruptions, the slowest, and speed as jobs show it."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from longtake.jobs.history import History, PastJob
from longtake.jobs.states import OWNED, State
from longtake.monitor.heat import HEAT_REASON
from longtake.report.records import Cause, Failure, Interruption, Load, Measured, SlowJob, Speed
from longtake.report.speed import slow_since

MOST_JOBS = 2000  # that are looked at one by one
MOST_USUAL = 20_000  # of the thirty days before: one row of an index each
SLOWEST = 5
SHORTEST_S = 10.0  # what is shorter is mostly waiting for the start

# How the reasons begin that workers and host give; tests/unit/report keeps this table true.
REASONS: Mapping[str, Cause] = {
    "its worker died": Cause.WORKER_DIED,
    "its worker fell silent": Cause.WORKER_SILENT,
    "it stumbled": Cause.STUMBLED,
    "waits for memory, fewer jobs": Cause.OUT_OF_MEMORY,
    "waits for memory": Cause.MEMORY_TAKEN,
    "disk full": Cause.DISK_FULL,
    HEAT_REASON: Cause.HEAT,
}


@dataclass(frozen=True, slots=True)
class Past:
    """What the job store knows of a window."""

    load: Load
    failures: tuple[Failure, ...]
    interruptions: tuple[Interruption, ...]
    slowest: tuple[SlowJob, ...]
    speeds: tuple[Speed, ...]
    ends: Mapping[str, tuple[float, ...]]


def look_back(history: History, since_s: float, until_s: float, usual_since_s: float) -> Past:
    """Everything about jobs between ``since_s`` and ``until_s``.

    Args:
        usual_since_s: Since when jobs count for what is usual; until ``since_s``.
    """
    ended = history.ended(since_s, until_s, limit=MOST_JOBS)
    unended = history.unended(limit=MOST_JOBS)
    interruptions, by_job = _interruptions(history, [*ended, *unended], since_s)
    usual = history.ended(usual_since_s, since_s, limit=MOST_USUAL)
    return Past(
        load=replace(_load(ended, unended, since_s, until_s), is_cut=MOST_JOBS in (len(ended), len(unended))),
        failures=_failures(history, ended),
        interruptions=interruptions,
        slowest=_slowest(ended, by_job),
        speeds=_speeds(ended, usual),
        ends={
            state: tuple(sorted(job.ended_at for job in ended if job.state == state and job.ended_at is not None))
            for state in sorted({str(job.state) for job in ended})
        },
    )


def rank(values: Iterable[float], share: float) -> float | None:
    """The value that ``share`` of all values do not exceed, by nearest rank; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _load(ended: Sequence[PastJob], unended: Sequence[PastJob], since_s: float, until_s: float) -> Load:
    everyone = [*ended, *unended]
    waits = [
        max(0.0, job.started_at - job.created_at)
        for job in everyone
        if job.started_at is not None and since_s <= job.started_at < until_s
    ]
    waiting = [job for job in unended if job.state is State.QUEUED]
    audio_s: dict[str, float] = defaultdict(float)
    for job in ended:
        if job.state is State.DONE:
            audio_s[job.engine] += job.audio_s
    return Load(
        accepted=sum(since_s <= job.created_at < until_s for job in everyone),
        ended=dict(Counter(str(job.state) for job in ended)),
        audio_s=dict(sorted(audio_s.items())),
        waiting=len(waiting),
        running=sum(job.state in OWNED for job in unended),
        wait_p50_s=rank(waits, 0.5),
        wait_p95_s=rank(waits, 0.95),
        oldest_wait_s=max((until_s - job.created_at for job in waiting if job.started_at is None), default=None),
    )


def _failures(history: History, ended: Sequence[PastJob]) -> tuple[Failure, ...]:
    by_code: dict[str, list[PastJob]] = defaultdict(list)
    for job in ended:
        if job.state is State.FAILED:
            by_code[history.error_code(job.id) or "unknown"].append(job)
    found = [Failure(code, len(jobs), jobs[0].id, jobs[0].ended_at or 0.0) for code, jobs in by_code.items()]
    return tuple(sorted(found, key=lambda each: (-each.count, each.code)))


def _interruptions(
    history: History, jobs: Sequence[PastJob], since_s: float
) -> tuple[tuple[Interruption, ...], Counter[str]]:
    """Of each cause; and job id → how often it was interrupted."""
    found: dict[Cause, list[tuple[float, str]]] = defaultdict(list)
    for job in jobs:
        if job.started_at is None:
            continue
        for change in history.changes(job.id, since_s):
            cause = next((cause for words, cause in REASONS.items() if (change.reason or "").startswith(words)), None)
            if cause is not None and change.state in (State.QUEUED, State.PAUSED):
                found[cause].append((change.at, job.id))
    told = []
    for cause, times in found.items():
        at_s, job_id = max(times)
        told.append(Interruption(cause, len(times), job_id, at_s))
    told.sort(key=lambda each: (-each.count, each.cause))
    return tuple(told), Counter(job_id for times in found.values() for _, job_id in times)


def _slowest(ended: Sequence[PastJob], interruptions: Counter[str]) -> tuple[SlowJob, ...]:
    found = [
        SlowJob(job.id, job.engine, job.audio_s, took_s, interruptions[job.id])
        for job in ended
        if (took_s := _took_s(job)) is not None
    ]
    return tuple(sorted(found, key=lambda job: (-job.rtf, job.id))[:SLOWEST])


def _took_s(job: PastJob) -> float | None:
    """None of a job that tells nothing about speed: not done, or too short."""
    if job.state is not State.DONE or job.started_at is None or job.ended_at is None or job.audio_s < SHORTEST_S:
        return None
    return max(0.0, job.ended_at - job.started_at)


def _speeds(ended: Sequence[PastJob], usual: Sequence[PastJob]) -> tuple[Speed, ...]:
    now, before = _rtfs(ended), _rtfs(usual)
    found = []
    for engine, points in sorted(now.items()):
        normal = statistics.median(rtf for _, rtf in before[engine]) if before.get(engine) else None
        found.append(
            Speed(
                engine,
                Measured.BY_JOBS,
                statistics.median(rtf for _, rtf in points),
                normal,
                slow_since(points, normal),
            )
        )
    return tuple(found)


def _rtfs(jobs: Sequence[PastJob]) -> dict[str, list[tuple[float, float]]]:
    """Engine → (start, RTF) of its jobs, in order of their ends."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for job in reversed(jobs):
        if (took_s := _took_s(job)) is not None and job.started_at is not None:
            found[job.engine].append((job.started_at, took_s / job.audio_s))
    return found

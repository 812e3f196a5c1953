"""Looks at every source once a second, in a thread of its own, so that nobody who asks for figures waits for one."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import psutil

from longtake.core.clock import Clock, SystemClock
from longtake.core.stats import Spread
from longtake.monitor.totals import EngineFigures, Totals

log = logging.getLogger(__name__)

PERIOD_S = 1.0
CACHE_EVERY = 15  # looks: its files are counted one by one

Samples: TypeAlias = Mapping[str, Mapping[tuple[str, ...], float]]
"""Name of a metric → values of its labels → value."""


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """One worker in numbers. `pid` is None while no process lives, `worker_id` is empty when nobody knows it."""

    engine: str
    is_up: bool
    restarts: int
    steps: int
    pid: int | None
    worker_id: str = ""
    is_broken: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers come from. Every callable is called from the thread that looks, and must be safe there.

    Attributes:
        jobs: (engine, state) → number of jobs.
        queue: Jobs not ended, and seconds of audio not yet spoken.
        oldest_queued_s: Engine → how long its oldest queued job has waited.
        stalled_s: Engine → how long one of its running jobs has not got on, at most.
        spoken_s: Engine → seconds of audio spoken, ever.
        cache_counts: Engine → passages found in the cache and not found there, ever.
        disk: Free bytes and size.
        stats_folder: Where workers write what they count.
        more: Samples of others, of metrics that are in the catalogue; each is asked at every look.
    """

    version: str
    jobs: Callable[[], Mapping[tuple[str, str], int]]
    queue: Callable[[], tuple[int, float]]
    oldest_queued_s: Callable[[], Mapping[str, float]]
    stalled_s: Callable[[], Mapping[str, float]]
    spoken_s: Callable[[], Mapping[str, float]]
    workers: Callable[[], Sequence[WorkerFigures]]
    cache_counts: Callable[[], Mapping[str, tuple[int, int]]]
    cache_bytes: Callable[[], int]
    wal_bytes: Callable[[], int]
    disk: Callable[[], tuple[int, int]]
    stats_folder: Path
    clock: Clock = field(default_factory=SystemClock)
    more: Sequence[Callable[[], Samples]] = ()


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look has seen.

    Attributes:
        seen_s: When, on the monotonic clock.
        spreads: Name of a histogram → values of its labels → how it is spread.
        engines: Engine → its figures.
    """

    seen_s: float
    samples: Samples
    spreads: Mapping[str, Mapping[tuple[str, ...], Spread]]
    engines: Mapping[str, EngineFigures]


class Watch:
    """`start` and `stop` are the owner's; `latest` is for any thread."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._clock = sources.clock
        self._totals = Totals(sources.stats_folder, sources.clock)
        self._looks = 0
        self._cache_bytes: float | None = None
        self._failed: set[str] = set()
        self._lock = threading.Lock()
        self._latest: Sight | None = None
        self._heard: list[Callable[[Sight], None]] = []
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def on_sight(self, listener: Callable[[Sight], None]) -> None:
        """Have someone told of every look, in the thread that looks; he must be quick. Before `start`."""
        self._heard.append(listener)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """A source that hangs holds up the end by a second at most."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(1.0)
            self._thread = None

    def latest(self) -> Sight:
        """What was seen last; without a thread that looks, what is seen now."""
        if self._latest is None or self._thread is None:
            self.look()
        assert self._latest is not None  # noqa: S101
        return self._latest

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except Exception:  # a border: a watch that has died would show its last sight for ever
                log.exception("the figures could not be taken")
            now_s = time.monotonic()
            if self._stopping.wait(math.floor(now_s) + PERIOD_S - now_s):  # on the beat: a late look delays no other
                return

    def look(self) -> None:
        """One look at every source; one that fails is told once, and what it would have told is absent."""
        with self._lock:
            samples: dict[str, Mapping[tuple[str, ...], float]] = {}
            spreads: dict[str, Mapping[tuple[str, ...], Spread]] = {}
            engines: dict[str, EngineFigures] = {}

            def workers() -> Samples:
                found = self._sources.workers()
                engines.update(self._totals.look({each.engine: each.worker_id for each in found if each.worker_id}))
                spreads.update(_spreads(engines))
                return _of_workers(found) | _of_engines(engines)

            for name, source in (
                ("store", self._of_store),
                ("folder", self._of_folder),
                ("workers", workers),
                *((f"source {number}", each) for number, each in enumerate(self._sources.more)),
            ):
                samples |= self._ask(name, source)
            self._looks += 1
            self._latest = Sight(self._clock.monotonic_s(), samples, spreads, engines)
        for number, listener in enumerate(self._heard):
            self._tell(f"listener {number}", listener, self._latest)

    def _tell(self, name: str, listener: Callable[[Sight], None], sight: Sight) -> None:
        try:
            listener(sight)
        except Exception as error:  # a border, too: a page that cannot be written costs no curve
            if name not in self._failed:
                log.warning("what was seen is lost on %s: %s", name, error, exc_info=True)
            self._failed.add(name)
        else:
            self._failed.discard(name)

    def _ask(self, name: str, source: Callable[[], Samples]) -> dict[str, Mapping[tuple[str, ...], float]]:
        try:
            found = dict(source())
        except Exception as error:  # a border: whatever is wrong with one source, the others are to be seen
            if name not in self._failed:
                log.warning("no figures of the %s: %s", name, error, exc_info=True)
            self._failed.add(name)
            return {}
        self._failed.discard(name)
        return found

    def _of_store(self) -> Samples:
        sources = self._sources
        queue_jobs, queue_s = sources.queue()
        counts = sources.cache_counts()
        return {
            "longtake_build_info": {(sources.version,): 1},
            "longtake_jobs": {(engine, state): count for (engine, state), count in sources.jobs().items()},
            "longtake_queue_jobs": {(): queue_jobs},
            "longtake_queue_audio_seconds": {(): queue_s},
            "longtake_queue_oldest_seconds": _by_engine(sources.oldest_queued_s()),
            "longtake_job_stalled_seconds": _by_engine(sources.stalled_s()),
            "longtake_spoken_audio_seconds_total": _by_engine(sources.spoken_s()),
            "longtake_cache_hits_total": {(name,): hits for name, (hits, _) in counts.items()},
            "longtake_cache_misses_total": {(name,): misses for name, (_, misses) in counts.items()},
            "longtake_cache_hit_ratio": {
                (name,): hits / (hits + misses) for name, (hits, misses) in counts.items() if hits + misses
            },
            "longtake_store_wal_bytes": {(): sources.wal_bytes()},
        }

    def _of_folder(self) -> Samples:
        free_bytes, size_bytes = self._sources.disk()
        if self._cache_bytes is None or self._looks % CACHE_EVERY == 0:
            self._cache_bytes = self._sources.cache_bytes()
        return {
            "longtake_cache_bytes": {(): self._cache_bytes},
            "longtake_disk_free_bytes": {(): free_bytes},
            "longtake_disk_size_bytes": {(): size_bytes},
        }


def _by_engine(values: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    return {(engine,): value for engine, value in values.items()}


def _of_workers(workers: Sequence[WorkerFigures]) -> dict[str, Mapping[tuple[str, ...], float]]:
    return {
        "longtake_worker_up": {(each.engine,): int(each.is_up) for each in workers},
        "longtake_worker_broken": {(each.engine,): int(each.is_broken) for each in workers},
        "longtake_worker_restarts_total": {(each.engine,): each.restarts for each in workers},
        "longtake_worker_steps_total": {(each.engine,): each.steps for each in workers},
        "longtake_process_resident_bytes": _resident(workers),
    }


def _resident(workers: Sequence[WorkerFigures]) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {("web", ""): psutil.Process(os.getpid()).memory_info().rss}
    for worker in workers:
        if worker.pid is not None:
            try:
                found["worker", worker.engine] = psutil.Process(worker.pid).memory_info().rss
            except psutil.Error:  # it has just died: the next look knows
                continue
    return found


# Metric → what of `Counts`, of the worker of now, and of the figures of the last seconds.
_COUNTED = {
    "longtake_engine_busy_seconds_total": "busy_s",
    "longtake_engine_audio_seconds_total": "audio_s",
    "longtake_engine_steps_total": "steps",
    "longtake_engine_step_requests_total": "step_requests",
    "longtake_engine_passages_total": "passages",
    "longtake_engine_frames_total": "frames",
    "longtake_engine_tokens_total": "tokens",
    "longtake_engine_read_tokens_total": "read_tokens",
    "longtake_resumes_total": "resumes",
    "longtake_preemptions_total": "preemptions",
    "longtake_out_of_memory_total": "out_of_memory",
    "longtake_truncations_total": "truncations",
    "longtake_write_failures_total": "write_failures",
}
_HELD = {
    "longtake_worker_jobs": "jobs",
    "longtake_engine_requests": "active",
    "longtake_engine_max_requests": "max_active",
    "longtake_pool_held_bytes": "held_bytes",
    "longtake_pool_limit_bytes": "limit_bytes",
    "longtake_pool_budget_bytes": "budget_bytes",
    "longtake_kv_bytes": "kv_bytes",
    "longtake_device_allocated_bytes": "device_allocated_bytes",
    "longtake_device_reserved_bytes": "device_reserved_bytes",
}
_SPREAD = {"longtake_first_audio_seconds": "first_audio_s", "longtake_queue_wait_seconds": "queue_wait_s"}


def _of_engines(engines: Mapping[str, EngineFigures]) -> dict[str, Mapping[tuple[str, ...], float]]:
    """What an engine does not have is absent, not zero."""
    found: dict[str, dict[tuple[str, ...], float]] = {}

    def tell(metric: str, labels: tuple[str, ...], value: float | None) -> None:
        if value is not None:
            found.setdefault(metric, {})[labels] = value

    for engine, figures in engines.items():
        for metric, name in _COUNTED.items():
            tell(metric, (engine,), getattr(figures.counts, name))
        for part, seconds in figures.counts.parts_s.items():
            tell("longtake_engine_part_seconds_total", (engine, part), seconds)
        for metric, name in _HELD.items():
            tell(metric, (engine,), getattr(figures.now, name) if figures.now is not None else None)
        tell("longtake_engine_rtf_ratio", (engine,), figures.rtf)
        tell("longtake_engine_speed_ratio", (engine,), 1 / figures.rtf if figures.rtf else None)
        tell("longtake_engine_batch_fill_ratio", (engine,), figures.batch_fill)
    return dict(found)


def _spreads(engines: Mapping[str, EngineFigures]) -> dict[str, Mapping[tuple[str, ...], Spread]]:
    return {
        metric: {
            (engine, kind): spread
            for engine, figures in engines.items()
            for kind, spread in getattr(figures.counts, name).items()
        }
        for metric, name in _SPREAD.items()
    }

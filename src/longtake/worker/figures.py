"""What a worker counts, and how its parent hears of it: a small file, replaced twice a second. Nobody waits for it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil

from longtake.core.clock import Clock
from longtake.core.stats import Counts, Spread, StepStats, write_stats
from longtake.core.units import seconds_of
from longtake.engines.base import End, Ended, Engine, StepResult
from longtake.jobs.records import Claim, Job, Kind
from longtake.scheduling import Scheduler
from longtake.worker.reuse import Reuse

log = logging.getLogger(__name__)

LOOK_S = 0.25
PERIOD_S = 0.5  # with a look a second of the parent's, what a page shows is never older than two seconds
KEPT_FILES = 5  # of workers that are gone: evidence of how they were


class Figures:
    """The loop's thread owns it; `latest` may be read from any. Every method takes some microseconds at most."""

    def __init__(self, engine: Engine, scheduler: Scheduler, reuse: Reuse, clock: Clock) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._reuse = reuse
        self._clock = clock
        self._looked_at = float("-inf")
        self._unheard: dict[str, Job] = {}  # jobs held of which nothing was spoken yet
        self._first_audio: dict[str, Spread] = {}
        self._queue_wait: dict[str, Spread] = {}
        self._steps = self._step_requests = self._passages = self._resumes = 0
        self._audio_s = self._busy_s = 0.0
        self.preemptions = 0
        self.out_of_memory = 0
        self.truncations = 0
        self.write_failures = 0
        self.latest = StepStats("", engine.info.name, os.getpid(), clock.boot_id, clock.monotonic_s(), "ready")

    def look(self, jobs: int, *, is_last: bool = False) -> None:
        """
        Args:
            jobs: Held now.
            is_last: Look whenever the last one was: the engine goes.
        """
        now_s = self._clock.monotonic_s()
        if now_s - self._looked_at < LOOK_S and not is_last:
            return
        self._looked_at = now_s
        engine, scheduler = self._engine.stats(), self._scheduler
        self.latest = replace(
            self.latest,
            counts=Counts(
                steps=self._steps,
                step_requests=self._step_requests,
                passages=self._passages,
                audio_s=self._audio_s,
                busy_s=self._busy_s,
                frames=engine.frames,
                tokens=engine.tokens,
                read_tokens=engine.read_tokens,
                parts_s=engine.parts_s,
                cache_hits=self._reuse.hits,
                cache_misses=self._reuse.misses,
                resumes=self._resumes,
                preemptions=self.preemptions,
                out_of_memory=self.out_of_memory,
                truncations=self.truncations,
                write_failures=self.write_failures,
                first_audio_s=dict(self._first_audio),
                queue_wait_s=dict(self._queue_wait),
            ),
            jobs=jobs,
            active=scheduler.active,
            max_active=self._engine.info.max_active,
            held_bytes=scheduler.used_bytes,
            limit_bytes=scheduler.limit_bytes,
            budget_bytes=scheduler.budget_bytes,
            kv_bytes=engine.kv_bytes,
            device_allocated_bytes=engine.device_allocated_bytes,
            device_reserved_bytes=engine.device_reserved_bytes,
        )

    def claimed(self, claim: Claim) -> None:
        job = claim.job
        if job.kind is Kind.PROBE:
            return
        if claim.token == 1:
            self._add(self._queue_wait, job)
        if claim.spoken:
            self._resumes += 1
        else:
            self._unheard[job.id] = job

    def let_go(self, job_id: str) -> None:
        self._unheard.pop(job_id, None)

    def heard(self, job_id: str) -> None:
        """There is audio of a job, from wherever."""
        if job := self._unheard.pop(job_id, None):
            self._add(self._first_audio, job)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """The engine computes."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self._busy_s += time.perf_counter() - began_s

    def stepped(self, requests: int, result: StepResult) -> None:
        """
        Args:
            requests: Active in this step.
        """
        self._steps += 1
        self._step_requests += requests
        self._audio_s += seconds_of(sum(chunk.pcm_T.size for chunk in result.chunks))

    def ended(self, ended: Ended) -> None:
        if ended.end is End.FINISHED:
            self._passages += 1
        else:
            self.truncations += 1

    def _add(self, spreads: dict[str, Spread], job: Job) -> None:
        waited_s = self._clock.wall_s() - job.created_at
        spreads[job.kind] = spreads.get(job.kind, Spread()).with_wait(waited_s)


class Reporter:
    """A thread that writes what the worker counts. Failures are harmless: the next write may go well."""

    def __init__(
        self, folder: Path, latest: Callable[[], StepStats], clock: Clock, *, period_s: float = PERIOD_S
    ) -> None:
        """
        Args:
            folder: Where the files of all workers lie; made when it is missing.
            latest: The newest figures, with the worker's id.
        """
        self._folder = folder
        self._latest = latest
        self._clock = clock
        self._period_s = period_s
        self._process = psutil.Process()
        self._is_told = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        self._clear_up()
        self.write()
        self._thread.start()

    def stop(self) -> None:
        """With one last file, which stays."""
        self._stopping.set()
        self._thread.join()
        self.write("gone")

    def write(self, state: str | None = None) -> None:
        stats = self._latest()
        stats = replace(
            stats,
            told_s=self._clock.monotonic_s(),
            state=state or stats.state,
            resident_bytes=self._process.memory_info().rss,
        )
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_stats(self._folder, stats)
            self._is_told = False
        except OSError as error:
            if not self._is_told:  # once, and not twice a second for as long as the disk is full
                log.warning("the worker's figures cannot be written: %s", error)
            self._is_told = True

    def _run(self) -> None:
        while not self._stopping.wait(self._period_s):
            self.write()

    def _clear_up(self) -> None:
        """Keep the newest files of this engine's earlier workers."""
        with suppress(OSError):
            files = sorted(self._folder.glob(f"{self._latest().engine}-*.*"), key=lambda path: path.stat().st_mtime)
            for path in files[:-KEPT_FILES]:
                path.unlink(missing_ok=True)

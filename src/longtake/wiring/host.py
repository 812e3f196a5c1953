"""A data folder opened, with or without workers of its own. Knows no terminal and no HTTP."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from longtake.cache import PassageCache
from longtake.config import Settings
from longtake.core.clock import Clock, SystemClock
from longtake.core.disk import Cleaned
from longtake.core.errors import DiskFullError, LongtakeError
from longtake.core.units import parse_size
from longtake.delivery import audio_path
from longtake.engines.base import Loads
from longtake.intake import Intake
from longtake.jobs.damage import require_new
from longtake.jobs.database import Database
from longtake.jobs.folder import DataFolder
from longtake.jobs.paths import recordings_below
from longtake.jobs.records import Job, QueueLimits
from longtake.jobs.removal import remove_earlier, remove_job
from longtake.jobs.repair import Repair, repair_store
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from longtake.script import Limits
from longtake.supervise import Mending, Patience, Progress, Supervisor, WorkerProcess, WorkerStatus
from longtake.supervise.process import bound_words
from longtake.voices import VoiceStore
from longtake.wiring.cards import Cards
from longtake.wiring.cleaning import clean
from longtake.wiring.keeper import Keeper
from longtake.wiring.report import WeeklyReport, report_sources
from longtake.wiring.witness import Witness
from longtake.worker.held import DISK_FULL_REASON
from longtake.worker.orders import Assignment

log = logging.getLogger(__name__)

TIDY_S = 5.0
TRANSIENT_KEEP_S = 60.0


class Host:
    """Everything that works on one data folder in this process."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None, recordings: Path | None = None) -> None:
        """Open the folder; no process is started yet.

        Args:
            recordings: Where recorded voices lie, if not in the data folder.

        Raises:
            InputError: The data folder or an engine's name cannot be used.
            WorkerError: The job store is damaged or lost.
        """
        self.settings = settings
        self.clock = clock or SystemClock()
        limits = settings.limits
        self.folder = DataFolder(settings.data, floor_bytes=settings.disk_floor_mib << 20)
        self.cache = PassageCache(self.folder.cache)
        self.folder.make_room = self.cache.give_back
        self.db = Database(
            self.folder.database,
            when_full=self.folder.release_reserve,
            when_new=partial(require_new, self.folder),
        )
        queue = QueueLimits(limits.max_queued_jobs, limits.max_queued_hours * 3600)
        self.store = JobStore(self.db, clock=self.clock, limits=queue)
        self.voices = VoiceStore(recordings or self.folder.voices, clock=self.clock)
        self.intake = Intake(
            self.store,
            self.folder,
            self.voices,
            settings.engines,
            Limits(max_characters=limits.max_characters, max_minutes=limits.max_minutes),
            loads=Loads(settings.engine.model, settings.engine.dtype, settings.engine.kv_dtype),
            memory_budget=parse_size(budget, "memory_budget") if (budget := settings.engine.memory_budget) else None,
        )
        self._keeper = Keeper(self.store, self.db, self.folder, settings.keep, self.clock)
        self._weekly = WeeklyReport(
            report_sources(self.store, self.folder, settings),
            self.folder.reports,
            settings.report,
            settings.alerts.urls,
            self.clock,
        )
        self.cards = Cards(settings, self.intake.engines, self.store, self.folder.power_limits, self._order, self.clock)
        self.witness = Witness(self.folder, self.clock)
        self._is_store_checked = False
        self._supervisor: Supervisor | None = None
        self.mending: Mending | None = None  # what may be asked of the workers, while they are this process's own
        self._only_job: str | None = None
        self._tidy_now = threading.Event()
        self._is_closing = False
        self._tidier = threading.Thread(target=self._tidy_often, name="tidier", daemon=True)

    @property
    def is_hosting(self) -> bool:
        """Whether the workers are this process's own."""
        return self._supervisor is not None

    def check_store(self) -> None:
        """Have SQLite read all of the store, once a host; some milliseconds for a small store.

        Raises:
            WorkerError: It is damaged; the message has the remedy.
        """
        if not self._is_store_checked:
            self.db.check()
            self._is_store_checked = True

    def start_workers(self, *, only_job: Job | None = None) -> None:
        """Become the folder's host: free what a dead host left, start a worker an engine.

        Args:
            only_job: Start its engine's worker alone, and speak nothing but this job.

        Raises:
            ConflictError: Another process is the host.
            WorkerError: The job store is damaged.
        """
        self.folder.require_lock()
        self.check_store()
        self.witness.begin("say" if only_job else "web")
        self.folder.keep_reserve()
        self._keeper.start()
        for job in self.store.release_all():
            log.info("job was interrupted and goes on", extra={"job": job.id})
        worker = self.settings.worker
        self._only_job = only_job.id if only_job else None
        self._supervisor = Supervisor(
            (only_job.spec.engine,) if only_job else self.settings.engines,
            spawn=self._spawn,
            progress=self._progress,
            died=self._free_jobs_of,
            crashed=self.witness.see,
            patience=Patience(
                start_s=worker.start_timeout_s,
                stall_s=worker.stall_s,
                ceiling_s=worker.ceiling_s,
                silence_s=worker.lease_s,  # others may take its jobs by then: it does no more good
                stop_s=worker.stop_timeout_s,
            ),
            clock=self.clock,
        )
        self.mending = Mending(self._supervisor, self.folder.run, self.clock)
        self._supervisor.start()
        self._tidier.start()
        self.cards.start()

    def free_orphans(self) -> None:
        """Free at once what a killed host left running, not when its leases run out; nothing while a host lives."""
        if not self.is_hosting and self.folder.lock():
            try:
                self.store.release_all()
            finally:
                self.folder.unlock()

    def wake(self, engine: str) -> None:
        """Nudge the engine's worker; one of another process finds the work by itself."""
        if self._supervisor is not None:
            self._supervisor.wake(engine)

    def _order(self, engine: str, order: str) -> None:
        if self._supervisor is not None:
            self._supervisor.order(engine, order)

    def clean(self, with_cache: bool) -> Cleaned:
        """Free what nobody needs of the data folder."""
        return clean(self.folder, self.db, self.cache, with_cache=with_cache)

    def statuses(self) -> tuple[WorkerStatus, ...]:
        return self._supervisor.statuses() if self._supervisor is not None else ()

    def has_living_worker(self, engine: str) -> bool:
        """Whether some process speaks for this engine on this folder."""
        heard_since_s = self.clock.monotonic_s() - self.settings.worker.lease_s
        return any(
            row.engine == engine and row.boot_id == self.clock.boot_id and row.beat_monotonic_s > heard_since_s
            for row in self.store.workers()
        )

    def close(self) -> None:
        """Stop the workers in good order; unfinished jobs are queued again."""
        self._is_closing = True
        if self._supervisor is not None:
            self._tidy_now.set()
            if self._tidier.is_alive():  # an interrupt may have come before it was started
                self._tidier.join()
            self._weekly.close()
            self._supervisor.stop()
            self.cards.close()
            self._supervisor = self.mending = None
        self.witness.end()
        self.db.close()
        self.folder.unlock()

    def _spawn(self, engine: str, worker_id: str) -> WorkerProcess:
        assignment = Assignment(worker_id, engine, self.settings, self._only_job)
        return WorkerProcess("longtake.worker.main", assignment.to_line(), self.folder.words(engine))

    def _progress(self) -> dict[str, Progress]:
        return {
            row.id: Progress(
                row.state in ("ready", "unloaded"),
                row.steps,
                max(row.active, row.held),
                row.beat_monotonic_s,
                row.committed_monotonic_s,
                is_unloaded=row.state == "unloaded",
            )
            for row in self.store.workers()
        }

    def _free_jobs_of(self, worker_id: str, crashed: str | None) -> None:
        try:
            for job in self.store.release_worker(worker_id, crashed=crashed):
                log.info("its worker ended, and the job is %s", job.state, extra={"job": job.id, "worker": worker_id})
        except LongtakeError as error:  # as on a full disk; whoever claims next finds the leases lapsed
            log.warning("the jobs of %s are free when their leases end: %s", worker_id, error)

    def _tidy_often(self) -> None:
        while not self._is_closing:
            self._tidy_now.wait(TIDY_S)
            try:
                self.tidy()
            except LongtakeError as error:
                log.warning("tidying failed: %s", error)

    def tidy(self) -> None:
        """What nobody asks for: delete what is kept no longer, resume what a full disk paused."""
        self.folder.keep_reserve()
        for engine in self.settings.engines:
            bound_words(self.folder.words(engine))  # a library that complains without end
        self._keeper.tidy()
        if self._only_job is None:
            self._weekly.tidy()
        for job_id in self.store.stale_transients(TRANSIENT_KEEP_S):
            remove_job(self.store, self.folder, job_id)
        self.forget_earlier_versions()
        for job in self.store.jobs_in(State.PAUSED):
            if (job.reason or "").startswith(DISK_FULL_REASON) and self._has_room():
                log.info("there is room again: the job goes on", extra={"job": job.id})
                self.store.resume(job.id)

    def forget_earlier_versions(self) -> None:
        """Delete what jobs were before they were spoken again, once they are done: rows first, then files."""
        for earlier_id, job_id in self.store.cuts.superseded():
            has_audio = audio_path(self.folder, self.store.job(job_id)) is not None
            if has_audio and remove_earlier(self.store, self.folder, earlier_id):
                log.info("the earlier version %s is deleted", earlier_id, extra={"job": job_id})

    def _has_room(self) -> bool:
        try:
            # Twice the floor, so that a job does not go to and fro between pause and resume.
            self.folder.require_room(self.folder.floor_bytes, "Going on")
        except DiskFullError:
            return False
        return True


@contextmanager
def open_host(settings: Settings, *, workers: bool) -> Iterator[Host]:
    """A host for the length of a block.

    Args:
        workers: Become the folder's host; else only look and ask.
    """
    host = Host(settings)
    try:
        if workers:
            host.start_workers()
        yield host
    finally:
        host.close()


def repair_data(settings: Settings) -> Repair:
    """Mend the job store of a data folder, as its host for that long.

    Raises:
        ConflictError: Another process is the host; or a newer longtake wrote the store.
        CapacityError: There is no room for a new store.
        WorkerError: No new store can be made.
    """
    folder = DataFolder(settings.data, floor_bytes=settings.disk_floor_mib << 20)
    folder.require_lock()
    try:
        return repair_store(folder, SystemClock())
    finally:
        folder.unlock()


@contextmanager
def open_intake(settings: Settings) -> Iterator[Intake]:
    """An intake to judge scripts with; it may keep nothing.

    A data folder that is not there is not made. One that cannot be used, as on a read-only disk, does no harm: only the
    paces that were learned in it are not known then.
    """
    with ExitStack() as stack:
        host: Host | None = None
        if settings.data.expanduser().is_dir():
            try:
                host = stack.enter_context(open_host(settings, workers=False))
            except LongtakeError as error:  # what is not the folder's fault comes again below
                log.info("judged without the data folder: %s", error)
        if host is None:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="longtake-")))
            host = Host(settings.model_copy(update={"data": scratch}), recordings=recordings_below(settings.data))
            stack.callback(host.close)
        yield host.intake

"""The worker's loop: the same for every engine. Knows no HTTP, no process, no codec.

One beat:
    look      what happened to the jobs held (pause, cancel, lost lease, recorder done), which new ones may be claimed
    schedule  replay what was spoken before, start what the scheduler admits (`Stage`)
    step      one beat for every active request (`Stage`)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from longtake.cache import PassageCache
from longtake.config import WorkerSettings
from longtake.core.clock import Clock
from longtake.core.errors import (
    DiskFullError,
    LeaseLostError,
    TransientError,
)
from longtake.engines.base import Engine
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Claim, Kind
from longtake.jobs.states import State
from longtake.scheduling import Scheduler
from longtake.worker.figures import Figures
from longtake.worker.held import Held
from longtake.worker.mend import mend
from longtake.worker.orders import HOLD, PAUSE, Rest
from longtake.worker.pressure import Pressure
from longtake.worker.recorder import Recorder
from longtake.worker.reuse import Reuse
from longtake.worker.run import JobRun
from longtake.worker.stage import Stage
from longtake.worker.verdicts import tell_lost
from longtake.worker.waits import Teller

log = logging.getLogger(__name__)

FAST_LANE = 8  # speech and probe jobs taken beside `max_jobs`: someone holds a connection open for each
WAITING_ROOM = 8  # jobs that wait for memory take no place of `max_jobs`, up to so many: smaller ones may fit
LOOK_S = 1.0  # at the latest after this long the loop looks, whether or not the store seems changed


class WorkerLoop:
    """Owns the engine. Everything runs in the thread that calls `run`, but `wake`, `rest` and `stop`."""

    def __init__(
        self,
        engine: Engine,
        desk: WorkerDesk,
        folder: DataFolder,
        settings: WorkerSettings,
        clock: Clock,
        *,
        budget_bytes: int,
        cache: PassageCache | None = None,
        pressure: Pressure | None = None,
        attend: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            budget_bytes: What requests may hold.
            pressure: How much of that they may hold now; None: always all of it.
            attend: Called between two beats, in the loop's thread: the place for orders that concern the engine.
        """
        self._engine = engine
        self._desk = desk
        self._folder = folder
        self._settings = settings
        self._clock = clock
        self._scheduler = Scheduler(engine.info.max_active, budget_bytes)
        self.reuse = Reuse(engine, cache)
        self.figures = Figures(engine, self._scheduler, self.reuse, clock)
        pressure = pressure or Pressure(budget_bytes, lambda: budget_bytes, 0, clock)
        self._teller = Teller(desk, pressure)
        self._held = Held(engine, self._scheduler, desk, self.reuse, self.figures)
        self._stage = Stage(
            engine, self._scheduler, self._held, self.reuse, self.figures, pressure, clock, lead_s=settings.lead_s
        )
        self._rest = Rest()
        self._news = threading.Event()
        self._attend = attend
        self._is_stopping = False
        self._is_draining = False
        self._parting: str | None = None
        self._seen_version = -1
        self._looked_at = float("-inf")

    @property
    def active(self) -> int:
        """Jobs held: while it is not 0, `steps` must grow."""
        return len(self._held)

    @property
    def steps(self) -> int:
        """Grows with everything that brings a job nearer to its end. From any thread."""
        return self._stage.steps + self._held.steps + sum(run.recorder.steps for run in self._held)

    def wake(self) -> None:
        """There may be work. From any thread."""
        self._news.set()

    def rest(self, rest: Rest) -> None:
        """How far to rest from the next look on. From any thread."""
        self._rest = rest
        self._news.set()

    def stop(self, reason: str | None = None) -> None:
        """End after the running beat, with every job released. From any thread.

        Args:
            reason: For the users of those jobs.
        """
        self._parting = reason
        self._is_stopping = True
        self._news.set()

    def drain(self) -> None:
        """End once the jobs held are spoken. Until then speech and probes are still taken: somebody waits for each."""
        self._is_draining = True

    @property
    def is_busy(self) -> bool:
        """Somebody's words are in hand; a probe is nobody's."""
        return any(run.claim.job.kind is not Kind.PROBE for run in self._held)

    @property
    def held_bytes(self) -> int:
        """What active requests hold, at most."""
        return self._scheduler.used_bytes

    def release(self) -> None:
        """Have the engine give up what it keeps only to be quicker. In the loop's thread."""
        self._engine.release()

    def run(self) -> None:
        """
        Raises:
            WorkerError: The engine is beyond use. Leases are left to the supervisor, which counts the crash.
        """
        while not self._is_stopping:
            self._attend()
            self._look()
            replayed = self._stage.schedule()
            self.figures.look(len(self._held))  # here: before, whoever has just ended has not yet been followed
            if self._stage.is_active:
                self._stage.step()
            elif not replayed:
                self._news.wait(self._settings.poll_s)
                self._news.clear()
        for run in self._held:
            self._held.checkpoint(run)
            self._held.let_go(run, partial(self._desk.release, run.claim, self._parting))
        self._held.verdicts.settle()
        self.figures.look(0, is_last=True)

    def settle(self) -> bool:
        """Once it has run: write what could not be written then; gives whether all is."""
        return self._held.verdicts.settle()

    # Looking

    def _look(self) -> None:
        self._held.verdicts.settle()
        for run in self._held:
            if run.recorder.outcome is not None:
                self._held.conclude(run)
        version, now = self._desk.data_version(), self._clock.monotonic_s()
        if version == self._seen_version and now - self._looked_at < LOOK_S:
            return
        self._seen_version, self._looked_at = version, now
        try:
            self._stage.mind_memory()
            self._obey()
            self._lie_down()
            self._claim()
            self._teller.tell(self._held, self._scheduler.waits(), now)
        except (TransientError, DiskFullError) as error:
            log.warning("the store cannot be written now: %s", error)
            self._seen_version = -1

    def _obey(self) -> None:
        """Carry out what users asked of the jobs held, and drop those that are held no more."""
        if not self._held:
            return
        owned = self._desk.owned()
        for run in self._held:
            claim = run.claim
            token, state = owned.get(claim.job.id, (None, None))
            if token != claim.token:
                self._held.lose(run)
            elif state in (State.PAUSING, State.CANCELLING):
                if state is State.PAUSING:
                    self._held.checkpoint(run)
                self._held.let_go(run, partial(self._desk.release, claim))

    def _lie_down(self) -> None:
        """Told to speak nothing: jobs are paused, and who waits for speech goes on waiting."""
        rest = self._rest
        if rest.word != PAUSE:
            return
        for run in self._held:
            claim = run.claim
            let_go = self._desk.suspend if claim.job.kind is Kind.JOB else self._desk.release
            log.warning("job set aside: %s", rest.reason, extra={"job": claim.job.id})
            self._held.checkpoint(run)
            self._held.let_go(run, partial(let_go, claim, rest.reason or "told to rest"))

    def _claim(self) -> None:
        while not self._is_stopping:
            rest = self._rest.word
            batch = sum(run.claim.job.kind is Kind.JOB for run in self._held)
            if self._is_draining and not batch:
                self._is_stopping = not self._held
                return
            if len(self._held) - batch >= FAST_LANE or self._stage.preemption.is_resting or rest == PAUSE:
                return
            waiting = sum(run.waits_for_memory for run in self._held)
            most = 1 if self._stage.preemption.is_scarce else self._settings.max_jobs + min(waiting, WAITING_ROOM)
            if any(run.is_suspect for run in self._held):
                return
            claim = self._desk.claim(
                min_priority=0 if batch < most and not self._is_draining and rest != HOLD else 1,
                suspects=not self._held,
                place=self._engine.place,
            )
            if claim is None:
                return
            if (before := self._held.get(claim.job.id)) is not None:
                self._held.let_go(before, None)  # taken from us, and queued again before we noticed
            self._begin(claim)

    def _begin(self, claim: Claim) -> None:
        info = self._engine.info
        try:
            claim = mend(claim, self._desk, self._folder, keeps_traces=info.keeps_traces)
        except LeaseLostError:
            tell_lost(claim)
            return
        except (TransientError, DiskFullError) as error:
            log.warning("the job cannot be begun now: %s", error, extra={"job": claim.job.id})
            self._held.verdicts.add(claim, partial(self._desk.release, claim))
            return
        recorder = Recorder(claim, self._desk, self._folder, keeps_traces=info.keeps_traces, news=self._news.set)
        self._held.add(JobRun(claim, recorder, past_passages=info.past_passages))
        self.figures.claimed(claim)
        recorder.start()

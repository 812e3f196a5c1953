"""The worker's loop: the same for every engine. Knows no HTTP, no process, no codec.

One beat:
    look      what happened to the jobs held (pause, cancel, lost lease, recorder done), which new ones may be claimed
    schedule  replay what was spoken before, start what the scheduler admits; say of those that wait why
    step      engine.step(): one beat for every active request; chunks go to their runs, ended passages to the recorders
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeGuard

from longtake.cache import PassageCache
from longtake.config import WorkerSettings
from longtake.core.clock import Clock
from longtake.core.errors import (
    CapacityError,
    DiskFullError,
    EngineError,
    LeaseLostError,
    TransientError,
    WorkerError,
)
from longtake.engines.base import OUT_OF_MEMORY, Chunk, End, Ended, Engine, Failed, SpeakRequest, StepResult
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Claim, Kind
from longtake.jobs.states import State
from longtake.scheduling import Candidate, Scheduler
from longtake.worker.figures import Figures
from longtake.worker.held import Held
from longtake.worker.mend import mend
from longtake.worker.orders import HOLD, PAUSE, Rest
from longtake.worker.preemption import Preemption
from longtake.worker.pressure import Pressure
from longtake.worker.recorder import Recorder
from longtake.worker.reuse import Reuse
from longtake.worker.run import STRETCH_AUDIO_S, JobRun
from longtake.worker.verdicts import tell_lost
from longtake.worker.waits import Teller, put_back, ran_out

log = logging.getLogger(__name__)

FAST_LANE = 8  # speech and probe jobs taken beside `max_jobs`: someone holds a connection open for each
WAITING_ROOM = 8  # jobs that wait for memory take no place of `max_jobs`, up to so many: smaller ones may fit
LOOK_S = 1.0  # at the latest after this long the loop looks, whether or not the store seems changed
REPLAYS = 8  # passages of one job taken from the cache in one beat: no job may hold up the others, or the look


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
        self._pressure = pressure or Pressure(budget_bytes, lambda: budget_bytes, 0, clock)
        self._preemption = Preemption(self._scheduler, self._pressure, clock, keeps_traces=engine.info.keeps_traces)
        self._teller = Teller(desk, self._pressure)
        self._held = Held(engine, self._scheduler, desk, self.reuse, self.figures)
        self._rest = Rest()
        self._news = threading.Event()
        self._attend = attend
        self._is_stopping = False
        self._is_draining = False
        self._parting: str | None = None
        self._seen_version = -1
        self._looked_at = float("-inf")
        self._steps = 0

    @property
    def active(self) -> int:
        """Jobs held: while it is not 0, `steps` must grow."""
        return len(self._held)

    @property
    def steps(self) -> int:
        """Grows with everything that brings a job nearer to its end. From any thread."""
        return self._steps + self._held.steps + sum(run.recorder.steps for run in self._held)

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
            replayed = self._schedule()
            self._steps += replayed
            if self._scheduler.active:
                self._step()
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
        self.figures.look(len(self._held))
        self._held.verdicts.settle()
        for run in self._held:
            if run.recorder.outcome is not None:
                self._held.conclude(run)
        version, now = self._desk.data_version(), self._clock.monotonic_s()
        if version == self._seen_version and now - self._looked_at < LOOK_S:
            return
        self._seen_version, self._looked_at = version, now
        try:
            self._mind_memory()
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
            if len(self._held) - batch >= FAST_LANE or self._preemption.is_resting or rest == PAUSE:
                return
            waiting = sum(run.waits_for_memory for run in self._held)
            most = 1 if self._preemption.is_scarce else self._settings.max_jobs + min(waiting, WAITING_ROOM)
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

    # Speaking

    def _schedule(self) -> int:
        """Gives how many passages were taken from the cache."""
        replayed = sum([self._offer(run) for run in self._held])
        if sum(run.recorder.uncommitted_s for run in self._held) > STRETCH_AUDIO_S / 2:
            # With the passage that would start now it would be more than may be lost: the disk sets the pace.
            return replayed
        for candidate in self._scheduler.schedule():
            holder = self._held.get(str(candidate.job))
            if holder is None:
                continue  # a request of the same job was refused a moment ago, and the job has failed
            try:
                with self.figures.busy():
                    self._engine.start(holder.request(candidate.id))
            except Exception as error:  # the request is at fault, not the engine: its job fails, the others go on
                if isinstance(error, WorkerError) and not isinstance(error, EngineError):
                    raise
                if _is_out_of_memory(error):
                    self._run_out([Failed(candidate.id, error)])
                else:
                    self._held.fail(holder, error)
        return replayed

    def _offer(self, run: JobRun) -> int:
        job = run.claim.job
        replayed = 0
        while (
            replayed < REPLAYS
            and self._scheduler.waiting(job.id) < self._engine.info.max_active
            and (run.recorder.lead_s < self._settings.lead_s or run.recorder.has_damaged)
        ):
            try:
                request = run.next_request()
                if request is None:
                    break
                if self._replay(run, request):
                    replayed += 1
                    continue
                cost = self._engine.cost(request)
                self._scheduler.offer(Candidate(request.id, job.id, cost.used_bytes, job.kind.priority, cost.steps))
            except Exception as error:
                self._held.fail(run, error)
                break
        return replayed

    def _replay(self, run: JobRun, request: SpeakRequest) -> bool:
        """A passage that was spoken before goes the way of one that was spoken now."""
        if run.claim.job.kind is Kind.PROBE:  # it asks whether the engine can speak
            return False
        entry = self.reuse.find(request)
        if entry is None:
            return False
        run.take(Chunk(request.id, entry.pcm_T), self._clock.monotonic_s())
        run.end(Ended(request.id, End.FINISHED, entry.marks), is_cached=True)
        self.figures.heard(run.claim.job.id)
        return True

    def _step(self) -> None:
        active = self._scheduler.active
        with self.figures.busy():
            result = self._engine.step()
        self.figures.stepped(active, result)
        self._take(result)
        self._scheduler.count_step()
        self._steps += 1

    def _take(self, result: StepResult) -> None:
        now = self._clock.monotonic_s()
        for chunk in result.chunks:
            if run := self._held.of(chunk.request_id):
                run.take(chunk, now)
                self.reuse.take(chunk)
                self.figures.heard(run.claim.job.id)
        for ended in result.ended:
            self._scheduler.end(ended.request_id)
            if run := self._held.of(ended.request_id):
                self._take_ended(run, ended)
        if without_room := [failed for failed in result.failed if _is_out_of_memory(failed.error)]:
            self._run_out(without_room)
        for failed in result.failed:
            if failed not in without_room:
                self._take_failed(failed)
        for run in self._held:
            for request_id in run.due(now):
                run.cut(request_id, self._engine.trace(request_id))

    def _take_ended(self, run: JobRun, ended: Ended) -> None:
        self.figures.ended(ended)
        if ended.end is End.FINISHED:
            run.end(ended)
            self.reuse.end(ended)
        else:  # what was spoken is kept, and truncated is never done
            run.cut(ended.request_id, ended.trace)
            run.recorder.stop(encode=True)
            self._held.fail(run, CapacityError(ended.message, code="truncated"))

    def _take_failed(self, failed: Failed) -> None:
        self._scheduler.end(failed.request_id)
        if run := self._held.of(failed.request_id):
            self._held.fail(run, failed.error, passage=run.request(failed.request_id).passage.index)

    # Memory

    def _mind_memory(self) -> None:
        if (youngest := self._preemption.look(self._held)) is not None:
            self._held.put_back(youngest, put_back(self._pressure))

    def _run_out(self, failures: list[Failed]) -> None:
        self.figures.out_of_memory += len(failures)
        is_alone = self._preemption.run_out(failures)
        for failed in failures:
            if (run := self._held.of(failed.request_id)) is None:
                continue
            if failed.trace:
                run.cut(failed.request_id, failed.trace)
            log.warning("memory ran out: %s", failed.error, extra={"job": run.claim.job.id})
            if is_alone:
                self._held.stumble(run, failed.error)
            else:
                self._held.put_back(run, ran_out(failed.error.message))


def _is_out_of_memory(error: BaseException) -> TypeGuard[CapacityError]:
    return isinstance(error, CapacityError) and error.code == OUT_OF_MEMORY

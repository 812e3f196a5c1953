"""The engine at work: which passages start, and what becomes of what it gives. Knows no claim and no order.

schedule   replay what was spoken before, offer the next passages, start what the scheduler admits
step       one beat for every active request: chunks go to their runs, ended passages to the recorders
memory     who leaves when there is less of it than was thought
"""

from __future__ import annotations

import logging
from typing import TypeGuard

from longtake.core.clock import Clock
from longtake.core.errors import CapacityError, EngineError, WorkerError
from longtake.engines.base import OUT_OF_MEMORY, Chunk, End, Ended, Engine, Failed, SpeakRequest, StepResult
from longtake.jobs.records import Kind
from longtake.scheduling import Candidate, Scheduler
from longtake.worker.figures import Figures
from longtake.worker.held import Held
from longtake.worker.preemption import Preemption
from longtake.worker.pressure import Pressure
from longtake.worker.reuse import Reuse
from longtake.worker.run import STRETCH_AUDIO_S, JobRun
from longtake.worker.waits import put_back, ran_out

log = logging.getLogger(__name__)

REPLAYS = 8  # passages of one job taken from the cache in one beat: no job may hold up the others, or the look


class Stage:
    """Belongs to the loop's thread.

    Attributes:
        steps: Grows with every passage replayed and every step.
    """

    def __init__(
        self,
        engine: Engine,
        scheduler: Scheduler,
        held: Held,
        reuse: Reuse,
        figures: Figures,
        pressure: Pressure,
        clock: Clock,
        *,
        lead_s: float,
    ) -> None:
        """
        Args:
            lead_s: Audio of a job that may be spoken and not yet encoded, in seconds.
        """
        self._engine = engine
        self._scheduler = scheduler
        self._held = held
        self._reuse = reuse
        self._figures = figures
        self._pressure = pressure
        self._clock = clock
        self._lead_s = lead_s
        self.preemption = Preemption(scheduler, pressure, clock, keeps_traces=engine.info.keeps_traces)
        self.steps = 0

    @property
    def is_active(self) -> bool:
        """The engine has something to speak."""
        return self._scheduler.active > 0

    def schedule(self) -> int:
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
                with self._figures.busy():
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
            and (run.recorder.lead_s < self._lead_s or run.recorder.has_damaged)
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
        entry = self._reuse.find(request)
        if entry is None:
            return False
        run.take(Chunk(request.id, entry.pcm_T), self._clock.monotonic_s())
        run.end(Ended(request.id, End.FINISHED, entry.marks), is_cached=True)
        self._figures.heard(run.claim.job.id)
        return True

    def step(self) -> None:
        active = self._scheduler.active
        with self._figures.busy():
            result = self._engine.step()
        self._figures.stepped(active, result)
        self._take(result)
        self._scheduler.count_step()
        self.steps += 1

    def _take(self, result: StepResult) -> None:
        now = self._clock.monotonic_s()
        for chunk in result.chunks:
            if run := self._held.of(chunk.request_id):
                run.take(chunk, now)
                self._reuse.take(chunk)
                self._figures.heard(run.claim.job.id)
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
        self._figures.ended(ended)
        if ended.end is End.FINISHED:
            run.end(ended)
            self._reuse.end(ended)
        else:  # what was spoken is kept, and truncated is never done
            run.cut(ended.request_id, ended.trace)
            run.recorder.stop(encode=True)
            self._held.fail(run, CapacityError(ended.message, code="truncated"))

    def _take_failed(self, failed: Failed) -> None:
        self._scheduler.end(failed.request_id)
        if run := self._held.of(failed.request_id):
            self._held.fail(run, failed.error, passage=run.request(failed.request_id).passage.index)

    # Memory

    def mind_memory(self) -> None:
        if (youngest := self.preemption.look(self._held)) is not None:
            self._held.put_back(youngest, put_back(self._pressure))

    def _run_out(self, failures: list[Failed]) -> None:
        self._figures.out_of_memory += len(failures)
        is_alone = self.preemption.run_out(failures)
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

"""The jobs that a worker holds, and every way in which one leaves it. Knows nothing of what is spoken next.

recorder ended      conclude: done, lost, failed, or set aside with a reason
the loop's word     fail, lose, put_back, let_go: stop all work, commit what was spoken, write the verdict
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

from longtake.core.errors import CapacityError, DiskFullError, InputError, TransientError
from longtake.engines.base import Engine
from longtake.jobs.desk import WorkerDesk
from longtake.scheduling import Scheduler
from longtake.worker.blame import error_to_dict, is_write_failure
from longtake.worker.figures import Figures
from longtake.worker.recorder import Outcome
from longtake.worker.reuse import Reuse
from longtake.worker.run import JobRun
from longtake.worker.verdicts import Verdict, Verdicts, tell_lost

log = logging.getLogger(__name__)

DISK_FULL_REASON = "disk full"


class Held:
    """Belongs to the loop's thread; others may iterate and count.

    Attributes:
        verdicts: What was decided and is not written yet.
        steps: Grows with every job that leaves, by what was recorded of it.
    """

    def __init__(self, engine: Engine, scheduler: Scheduler, desk: WorkerDesk, reuse: Reuse, figures: Figures) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._desk = desk
        self._reuse = reuse
        self._figures = figures
        self._runs: dict[str, JobRun] = {}
        self.verdicts = Verdicts()
        self.steps = 0

    def __iter__(self) -> Iterator[JobRun]:
        """Those of now, whatever leaves meanwhile."""
        return iter(list(self._runs.values()))

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, run: JobRun) -> None:
        self._runs[run.claim.job.id] = run

    def get(self, job_id: str) -> JobRun | None:
        return self._runs.get(job_id)

    def of(self, request_id: str) -> JobRun | None:
        """The job that a request belongs to."""
        return self._runs.get(request_id.split("/", 1)[0])

    def checkpoint(self, run: JobRun) -> None:
        """Hand over what was spoken since the last stretch, if the engine can go on behind it."""
        if self._engine.info.keeps_traces:
            for request_id in run.unheard():
                run.cut(request_id, self._engine.trace(request_id))

    def conclude(self, run: JobRun) -> None:
        """The recorder has ended by itself."""
        claim, error = run.claim, run.recorder.error
        self.steps += 1
        self._figures.write_failures += is_write_failure(error)
        if run.recorder.outcome is Outcome.FINISHED:
            log.info("job done", extra={"job": claim.job.id})
            self.let_go(run, None)
        elif run.recorder.outcome is Outcome.LOST or error is None:
            self.lose(run)
        elif isinstance(error, DiskFullError):
            reason = f"{DISK_FULL_REASON}: {error.message}"
            self.let_go(run, partial(self._desk.suspend, claim, reason))
        elif isinstance(error, TransientError):
            self.let_go(run, partial(self._desk.release, claim))
        elif isinstance(error, InputError | CapacityError):
            self.fail(run, error)
        else:  # the disk hiccuped, or longtake made a mistake: neither need happen again
            log.error("job stumbled: %s", error, extra={"job": claim.job.id}, exc_info=error)
            self.stumble(run, error)

    def put_back(self, run: JobRun, reason: str) -> None:
        """Into the queue, with all that is spoken."""
        self._figures.preemptions += 1
        self.checkpoint(run)
        self.let_go(run, partial(self._desk.release, run.claim, reason))

    def stumble(self, run: JobRun, error: BaseException) -> None:
        """It is tried again, as after a crash, and not for ever."""
        self.let_go(run, partial(self._desk.stumble, run.claim, error_to_dict(error)))

    def fail(self, run: JobRun, error: BaseException, *, passage: int | None = None) -> None:
        claim = run.claim
        place = {} if passage is None else {"passage": passage}
        log.error("job failed: %s", error, extra={"job": claim.job.id, **place}, exc_info=error)
        self.let_go(run, partial(self._desk.fail, claim, error_to_dict(error)))

    def lose(self, run: JobRun) -> None:
        """Another worker may have it by now: not a word more is written of it."""
        run.recorder.lose()
        self.let_go(run, None)
        if run.recorder.outcome is Outcome.FINISHED:  # between two looks: it is nobody's any more, because it is done
            log.info("job done", extra={"job": run.claim.job.id})
        else:
            tell_lost(run.claim)

    def let_go(self, run: JobRun, verdict: Verdict | None) -> None:
        """Stop all work on the job, let the recorder commit what it was given, then write the verdict."""
        claim = run.claim
        if self._runs.pop(claim.job.id, None) is None:
            return
        for request_id in self._scheduler.withdraw(claim.job.id):
            self._engine.stop(request_id)
        self._reuse.forget(claim.job.id)
        run.recorder.stop()
        self._figures.let_go(claim.job.id)
        self.steps += 1 + run.recorder.steps
        if verdict is not None:
            self.verdicts.add(claim, verdict)
            self.verdicts.settle()

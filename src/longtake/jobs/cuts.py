"""A job cut back to some point and spoken on from there: what that does to the rows. Knows no file and no engine.

take   nobody speaks the job any more, and a new token is ours: a worker's late write is refused, and of two who cut
       at once the first loses. What is committed stands still from here on.
cut    one transaction: what was there becomes a job of its own, the earlier version; the job loses what lies behind
       the cut and is queued.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from longtake.core.errors import ConflictError, NotFoundError
from longtake.core.units import format_time
from longtake.jobs.changes import Changes
from longtake.jobs.database import Database
from longtake.jobs.records import Cut, Job, Kind
from longtake.jobs.rows import spec_to_json, spoken_from_rows, stretch_to_row
from longtake.jobs.standing import Standing
from longtake.jobs.states import State, Verb, can_again

_EARLIER = " (earlier version)"


class TakenAwayError(ConflictError):
    """Somebody else had a hand in the job after it was taken: nothing was written."""

    code = "job_changed"


@dataclass(frozen=True, slots=True)
class Taken:
    """A right to cut a job, void as soon as anybody claims or takes it.

    Attributes:
        job: As it is now, with the token that came with the right.
        was: Its state before.
    """

    job: Job
    was: State


class Cuts:
    """Every method is one transaction and safe from any thread. Part of the store: `JobStore.cuts`."""

    def __init__(self, db: Database, changes: Changes) -> None:
        self._db = db
        self._changes = changes

    def require(self, job_id: str) -> Job:
        """The job, if it can be cut as it stands.

        Raises:
            NotFoundError: A user made no such job.
            ConflictError: It was cancelled.
        """
        job = self._changes.job(job_id)
        if job.kind is not Kind.JOB:
            raise NotFoundError(f"There is no job {job_id!r}. `longtake jobs` lists them.", code="job_not_found")
        if not can_again(job.state):
            raise ConflictError(
                f"The job {job_id} is {job.state}, and a cancel is for good: it cannot be spoken again from some "
                "point. Say its script again.",
                code=f"job_is_{job.state}",
            )
        return job

    def take(self, job_id: str) -> Taken:
        """Take the job from whoever speaks it, or might. One that waits or is spoken is paused.

        Raises:
            NotFoundError: A user made no such job.
            ConflictError: It was cancelled.
        """
        with self._db.write("take"):
            was = self.require(job_id).state
            reason = "it was being cut back, to be spoken again from some point; until it is resumed it is as it was"
            self._changes.move(job_id, Verb.TAKE, reason=reason)
            self._db.execute("raise_token", id=job_id)
            return Taken(self._changes.job(job_id), was)

    def give_back(self, taken: Taken) -> None:
        """It was not cut after all: a job that was waiting or being spoken is queued, as it was."""
        with self._db.write():
            job = self._changes.job(taken.job.id)
            if job.token != taken.job.token or job.state is not State.PAUSED:
                return  # somebody else's by now, or it was cut
            if taken.was in (State.QUEUED, State.RUNNING):
                self._changes.move(job.id, Verb.RESUME)
            elif taken.was is State.PAUSING:  # as its user had wished
                self._db.execute("set_state", id=job.id, state=State.PAUSED, reason=None)

    def cut(self, taken: Taken, cut: Cut, earlier_id: str) -> Job:
        """Cut the job back and queue it; what was there becomes the job ``earlier_id``, whose files must be durable.

        Raises:
            TakenAwayError: The job is no longer ours.
            NotFoundError: It was deleted.
            ConflictError: It was cancelled.
        """
        job_id = taken.job.id
        with self._db.write("cut"):
            job = self.require(job_id)
            if job.token != taken.job.token:
                raise TakenAwayError(f"The job {job_id} was changed by somebody else at the same time. Try again.")
            self._copy(job, cut, earlier_id)
            self._shorten(job_id, cut)
            self._recount(job_id)
            point = format_time(cut.from_s)
            self._changes.move(
                job_id,
                Verb.AGAIN,
                reason=f"spoken again from {point}; the earlier version is {earlier_id} until that is done",
            )
            self._changes.append_event(
                job_id,
                "again",
                {
                    "from_seconds": round(cut.from_s, 3),
                    "passage": cut.index,
                    "seed": cut.seed,
                    "earlier_version": earlier_id,
                },
            )
            return self._changes.job(job_id)

    def _copy(self, job: Job, cut: Cut, earlier_id: str) -> None:
        state = State.DONE if job.state is State.DONE else State.PAUSED
        reason = f"the earlier version of {job.id}, which is spoken again from {format_time(cut.from_s)}"
        spec = replace(job.spec, title=job.spec.title.removesuffix(_EARLIER) + _EARLIER)
        self._db.execute("copy_job", id=earlier_id, job_id=job.id, state=state, reason=reason, spec=spec_to_json(spec))
        if state is not State.DONE:
            self._db.execute("unend_job", id=earlier_id)
        self._db.execute("copy_passages", id=earlier_id, job_id=job.id)
        self._db.execute("copy_stretches", id=earlier_id, job_id=job.id)
        self._changes.append_event(earlier_id, "state", {"from": None, "to": state, "reason": reason, "error": None})

    def _shorten(self, job_id: str, cut: Cut) -> None:
        self._db.execute("cut_behind", job_id=job_id, position=cut.index)
        self._db.execute("cut_stretches", job_id=job_id, position=cut.index, number=cut.number)
        if cut.tail is not None:
            self._db.execute("insert_stretch", **stretch_to_row(job_id, cut.tail))
        self._db.execute("reopen_from", job_id=job_id, position=cut.index, seed=cut.seed)

    def _recount(self, job_id: str) -> None:
        rows = self._db.rows("passages", job_id=job_id)
        stretches = self._db.rows("stretches", job_id=job_id)
        with self._db.parsing():
            spoken = spoken_from_rows(rows, stretches)
        standings = []
        for row in rows:
            found = spoken.get(row["position"])
            standings.append(
                Standing(
                    is_spoken=bool(row["is_spoken"]),
                    stretches=len(found.stretches) if found else 0,
                    samples=found.samples if found else 0,
                    silence_s=row["silence_before_s"],
                    estimated_s=row["estimated_s"],
                )
            )
        self._db.execute(
            "begin_again",
            id=job_id,
            passages=sum(each.is_spoken for each in standings),
            samples=sum(each.heard_samples for each in standings),
            remaining_s=sum(each.estimated_s - each.settled_s for each in standings),
        )

    # Earlier versions

    def superseded(self) -> list[tuple[str, str]]:
        """Earlier versions that nobody needs any more, each with its job: that is done, and delivered if one wanted."""
        return [(row["id"], row["job_id"]) for row in self._db.rows("superseded", id=None)]

    def forget_earlier(self, earlier_id: str) -> bool:
        """Delete the rows of an earlier version if it is superseded; the caller deletes the files if this is True."""
        with self._db.write("forget"):
            if self._db.row("superseded", id=earlier_id) is None:
                return False
            self._db.execute("outlive", id=earlier_id)
            self._db.execute("forget_job", id=earlier_id)
            return True

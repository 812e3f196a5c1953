"""The steps that several transactions share: an event appended, a state changed. Call them inside `Database.write`."""

from __future__ import annotations

from typing import Any

from longtake.core.clock import Clock
from longtake.core.errors import NotFoundError
from longtake.jobs.database import Database
from longtake.jobs.records import Job
from longtake.jobs.rows import job_from_row, to_json
from longtake.jobs.states import ENDED, OWNED, State, Verb, next_state

MAX_CRASHES = 3  # attempts on a job that may die before it is set aside; every commit counts anew
# Its user wanted it so, and that is reason enough: another one, such as a full disk, would have the host resume it.
_WISHED = {(State.PAUSING, State.PAUSED), (State.CANCELLING, State.CANCELLED)}


class Changes:
    """Writes to one database with one clock."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self.db = db
        self.clock = clock

    def job(self, job_id: str) -> Job:
        """
        Raises:
            NotFoundError: No such job.
        """
        row = self.db.row("job", id=job_id)
        if row is None:
            raise NotFoundError(f"There is no job {job_id!r}. `longtake jobs` lists them.", code="job_not_found")
        with self.db.parsing():
            return job_from_row(row)

    def append_event(self, job_id: str, kind: str, data: dict[str, Any]) -> None:
        """Numbered by the job's own counter in the same transaction, so that no number is ever missing."""
        row = self.db.row("next_event_number", job_id=job_id)
        assert row is not None, "an event of a job that is gone"  # noqa: S101  (callers hold the job's row)
        self.db.execute(
            "insert_event", job_id=job_id, number=row["events"], at=self.clock.wall_s(), kind=kind, data=to_json(data)
        )

    def count_crash(self, job_id: str) -> int:
        """One more attempt on the job has died; gives how many since it last got on."""
        row = self.db.row("count_crash", id=job_id)
        return row["crashes"] if row is not None else 0

    def move(
        self,
        job_id: str,
        verb: Verb,
        *,
        reason: str | None = None,
        error: dict[str, Any] | None = None,
        audio_file: str | None = None,
        audio_bytes: int | None = None,
    ) -> State:
        """Take the edge ``verb``, write its event; a state that no worker owns loses its lease, and a job that goes
        on after its end forgets how it had ended.

        Raises:
            NotFoundError: No such job.
            ConflictError: The job's state has no such edge.
        """
        row = self.db.row("owner", id=job_id)
        if row is None:
            raise NotFoundError(f"There is no job {job_id!r}.", code="job_not_found")
        with self.db.parsing():
            before = State(row["state"])
        after = next_state(before, verb)
        if after is before:
            return after
        if (before, after) in _WISHED:
            reason = None
        self.db.execute("set_state", id=job_id, state=after, reason=reason)
        if after not in OWNED:
            self.db.execute("drop_lease", id=job_id)
        if after in ENDED:
            self.db.execute(
                "end_job",
                id=job_id,
                error=to_json(error) if error and after is State.FAILED else None,
                now=self.clock.wall_s(),
                audio_file=audio_file if after is State.DONE else None,
                audio_bytes=audio_bytes if after is State.DONE else None,
            )
        elif before in ENDED:
            self.db.execute("unend_job", id=job_id)
        self.append_event(job_id, "state", {"from": before, "to": after, "reason": reason, "error": error})
        return after

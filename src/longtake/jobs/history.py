"""What became of jobs over a stretch of time, in numbers: no titles, no scripts, no messages, which may quote them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from longtake.core.units import seconds_of
from longtake.jobs.database import Database
from longtake.jobs.states import State


@dataclass(frozen=True, slots=True)
class PastJob:
    """A job as one looks back at it. Times are on the wall clock.

    Attributes:
        started_at: First claim; None before it.
        ended_at: None while it has not ended.
        audio_s: Committed, joins included.
    """

    id: str
    engine: str
    state: State
    created_at: float
    started_at: float | None
    ended_at: float | None
    audio_s: float


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a job's state, and the reason that was given for it."""

    at: float
    state: State
    reason: str | None


class History:
    """Reads only. Jobs that were deleted are not known any more, and earlier versions are not counted twice."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def ended(self, since_s: float, until_s: float, *, limit: int) -> list[PastJob]:
        """Those that ended from ``since_s`` on and before ``until_s``, the latest first."""
        rows = self._db.rows("ended_since", since=since_s, until=until_s, limit=limit)
        with self._db.parsing():
            return [_past(row) for row in rows]

    def unended(self, *, limit: int) -> list[PastJob]:
        """Those that wait, run or are paused now, the newest first."""
        rows = self._db.rows("unended", limit=limit)
        with self._db.parsing():
            return [_past(row) for row in rows]

    def error_code(self, job_id: str) -> str | None:
        """The stable word for why it failed; None when it did not."""
        row = self._db.row("error_code", id=job_id)
        return None if row is None else row["code"]

    def changes(self, job_id: str, since_s: float, *, limit: int = 1000) -> list[Change]:
        """From ``since_s`` on, in order."""
        rows = self._db.rows("state_changes", id=job_id, since=since_s, limit=limit)
        with self._db.parsing():
            return [Change(row["at"], State(row["state"]), row["reason"]) for row in rows]


def _past(row: sqlite3.Row) -> PastJob:
    return PastJob(
        row["id"],
        row["engine"],
        State(row["state"]),
        row["created_at"],
        row["started_at"],
        row["ended_at"],
        seconds_of(row["audio_samples"]),
    )

"""A job store beside its model: two workers and a host, each with a database of its own on one file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from longtake.core.errors import LongtakeError
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.records import Claim, QueueLimits
from longtake.jobs.states import State, Verb
from longtake.jobs.store import JobStore
from tests.support.clock import HandClock
from tests.support.jobs import spoken
from tests.unit.jobs.model import ENDED, LEASE_S, OWNED, ModelJob, ModelStore

HOST = "host"
WORKERS = ("w1", "w2")
WRITES = ("commit", "uncommit", Verb.FINISH, Verb.FAIL, Verb.SUSPEND, Verb.RELEASE)
_TABLES = {"jobs": "id", "passages": "job_id", "stretches": "job_id", "events": "job_id", "idempotency": "job_id"}


@dataclass(frozen=True)
class Held:
    """A claim that was handed out some time, valid or not."""

    worker: str
    claim: Claim

    @property
    def job_id(self) -> str:
        return self.claim.job.id


class Watch:
    """Compares all that the store says, row for row, with what the model says."""

    def __init__(self, folder: Path, *, max_jobs: int) -> None:
        self._file = folder / "jobs.db"
        self._max_jobs = max_jobs
        self.clock = HandClock()
        self.model = ModelStore(self.clock)
        self.claims: list[Held] = []
        self.submitted = 0
        self.desks: dict[str, WorkerDesk] = {}
        self._databases: dict[str, Database] = {}
        for name in (HOST, *WORKERS):
            self.open(name)
        self._eye = sqlite3.connect(self._file, isolation_level=None)

    def open(self, name: str) -> None:
        """Open the database of the host or a worker, again if need be."""
        if name in self._databases:
            self._databases[name].close()
        database = self._databases[name] = Database(self._file)
        if name == HOST:
            limits = QueueLimits(max_jobs=self._max_jobs)
            self.store = JobStore(database, clock=self.clock, limits=limits, new_id=lambda: f"job_{self.submitted}")
        else:
            self.desks[name] = WorkerDesk(database, name, "espeak", 1, clock=self.clock, lease_s=LEASE_S)

    def close(self) -> None:
        self._eye.close()
        for database in self._databases.values():
            database.close()

    def dump(self, job_id: str) -> list[list[tuple[Any, ...]]]:
        """All that the store knows of a job."""
        return [
            self._eye.execute(f"SELECT * FROM {name} WHERE {key} = ?", (job_id,)).fetchall()
            for name, key in _TABLES.items()
        ]

    def refuses(self, error: type[LongtakeError], job_id: str, act: Callable[[], object]) -> LongtakeError:
        before = self.dump(job_id)
        with pytest.raises(error) as refused:
            act()
        assert self.dump(job_id) == before, "it was refused, and yet it has changed something"
        return refused.value

    def is_valid(self, held: Held) -> bool:
        return self.model.is_valid(held.worker, held.job_id, held.claim.token)

    def write(self, held: Held, what: str) -> State | None:
        """One of WRITES, under this claim; gives the state that the job is in after it, if its worker has let go."""
        desk, claim = self.desks[held.worker], held.claim
        if what == "commit":
            job = self.model.jobs.get(held.job_id)
            number = len(job.passages[0].samples) if job else 0
            desk.commit(claim, [replace(spoken(0, token=claim.token), number=number)])
        elif what == "uncommit":
            desk.uncommit(claim, 0)
        elif what == Verb.FINISH:
            return desk.finish(claim, f"audio-{claim.token}", claim.token)
        elif what == Verb.FAIL:
            return desk.fail(claim, {"message": "x"})
        elif what == Verb.SUSPEND:
            return desk.suspend(claim, "disk full: x")
        else:
            return desk.release(claim)
        return None

    def check(self) -> None:
        """What always holds."""
        assert {row[0] for row in self._eye.execute("SELECT id FROM jobs")} == set(self.model.jobs)
        for job_id, expected in self.model.jobs.items():
            self._check_job(job_id, expected)
        jobs, audio_s = self.store.queue_load()
        assert (jobs, audio_s) == (self.model.load[0], pytest.approx(self.model.load[1]))
        assert [self.store.place_in_queue(job_id) for job_id in self.model.queue] == list(range(len(self.model.queue)))
        for key, (fingerprint, job_id) in self.model.keys.items():
            assert (known := self.store.known(key, fingerprint)) is not None
            assert known.id == job_id

    def _check_job(self, job_id: str, expected: ModelJob) -> None:
        job = self.store.job(job_id)
        (row,) = self._eye.execute(
            "SELECT lease_worker, lease_boot, lease_until, events FROM jobs WHERE id = ?", (job_id,)
        ).fetchall()
        lease = (expected.owner, expected.lease_boot, expected.lease_until_s) if expected.owner else (None, None, None)
        assert row[:3] == lease
        assert (row[0] is not None) == (job.state in OWNED)
        assert (job.state, job.token, job.crashes) == (expected.state, expected.token, expected.crashes)
        assert (job.ended_at is not None) == (job.state in ENDED)
        assert (job.error is not None) == (job.state is State.FAILED)
        assert (job.audio_file is not None) == (job.state is State.DONE)
        assert sum(held.job_id == job_id and self.is_valid(held) for held in self.claims) == (
            expected.owner is not None
        )
        self._check_passages(job_id, expected)
        events = self.store.events(job_id, limit=100_000)
        assert [event.number for event in events] == list(range(1, row[3] + 1)), "events have a gap"
        moves = [(event.data["from"], event.data["to"]) for event in events if event.kind == "state"]
        assert moves == list(zip([None, *expected.states], expected.states, strict=False))

    def _check_passages(self, job_id: str, expected: ModelJob) -> None:
        job, passages = self.store.job(job_id), self.store.passages(job_id)
        assert [[s.samples for s in spoken.stretches] if spoken else [] for _, spoken in passages] == [
            passage.samples for passage in expected.passages
        ]
        for _, spoken_passage in passages:
            numbers = [stretch.number for stretch in spoken_passage.stretches] if spoken_passage else []
            assert numbers == list(range(len(numbers)))
        is_whole = [spoken is not None and spoken.is_whole for _, spoken in passages]
        assert is_whole == [passage.is_spoken for passage in expected.passages]
        assert job.passages_done == sum(is_whole)
        assert job.state is not State.DONE or all(is_whole), "done with a hole"
        assert job.audio_samples == expected.audio_samples
        assert job.remaining_s == pytest.approx(expected.remaining_s, abs=1e-9)

"""Two workers, a host and users do what they like, in any order: no interleaving breaks an invariant."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from longtake.core.errors import ConflictError, InvariantError, LeaseLostError
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.records import Claim, Cut
from longtake.jobs.states import OWNED, State
from longtake.jobs.store import JobStore
from tests.support.clock import HandClock
from tests.support.jobs import planned, spec, spoken

WORKERS = ("w1", "w2")
PASSAGES = 3


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.db = Database(self.folder / "jobs.db")
        self.clock = HandClock()
        self.store = JobStore(self.db, clock=self.clock)
        self.desks = {name: WorkerDesk(self.db, name, "espeak", 1, clock=self.clock) for name in WORKERS}
        self.claims: list[tuple[str, Claim]] = []
        self.jobs: list[str] = []
        self.earlier: list[str] = []
        self.commits: dict[tuple[str, int], int] = {}

    def teardown(self) -> None:
        self.db.close()
        shutil.rmtree(self.folder)

    @rule()
    @precondition(lambda self: len(self.jobs) < 3)
    def submit(self) -> None:
        self.jobs.append(self.store.submit(spec(), "x", planned(PASSAGES))[0].id)

    @rule(name=st.sampled_from(WORKERS))
    def claim(self, name: str) -> None:
        claim = self.desks[name].claim()
        if claim is not None:
            assert claim.job.state is State.RUNNING
            self.claims.append((name, claim))

    @rule(data=st.data(), index=st.integers(0, PASSAGES - 1))
    @precondition(lambda self: self.claims)
    def commit(self, data: st.DataObject, index: int) -> None:
        name, claim = data.draw(st.sampled_from(self.claims))
        try:
            self.desks[name].commit(claim, [spoken(index, token=claim.token)])
        except LeaseLostError:
            assert not self.is_owner(name, claim)
        except InvariantError:
            assert (claim.job.id, index) in self.commits
        else:
            assert self.is_owner(name, claim)
            assert (claim.job.id, index) not in self.commits, "spoken twice"
            self.commits[claim.job.id, index] = claim.token

    @rule(data=st.data(), how=st.sampled_from(["finish", "fail", "suspend", "release"]))
    @precondition(lambda self: self.claims)
    def end(self, data: st.DataObject, how: str) -> None:
        name, claim = data.draw(st.sampled_from(self.claims))
        desk = self.desks[name]
        was_owner = self.is_owner(name, claim)
        try:
            if how == "finish":
                desk.finish(claim, "audio", 1)
            elif how == "fail":
                desk.fail(claim, {"message": "x"})
            elif how == "suspend":
                desk.suspend(claim, "x")
            else:
                desk.release(claim)
        except LeaseLostError:
            assert not was_owner
        except InvariantError:
            assert how == "finish"
            assert self.done_passages(claim.job.id) < PASSAGES
        else:
            assert was_owner
            assert not self.is_owner(name, claim)

    @rule(data=st.data(), wish=st.sampled_from(["pause", "resume", "cancel", "reopen"]))
    @precondition(lambda self: self.jobs)
    def ask(self, data: st.DataObject, wish: str) -> None:
        job_id = data.draw(st.sampled_from(self.jobs))
        with suppress(ConflictError):
            getattr(self.store, wish)(job_id)

    @rule(name=st.sampled_from(WORKERS), crashed=st.booleans())
    def bury(self, name: str, crashed: bool) -> None:
        self.store.release_worker(name, crashed="killed" if crashed else None)

    @rule(name=st.sampled_from(WORKERS))
    def beat(self, name: str) -> None:
        self.desks[name].heartbeat(state="ready", steps=1, active=0)

    @rule(seconds=st.sampled_from([1.0, 20.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    @rule()
    def reboot(self) -> None:
        self.clock.boot_id += "+"
        self.clock.now_s = 1.0

    @rule(data=st.data(), index=st.integers(0, PASSAGES - 1), is_hasty=st.booleans())
    @precondition(lambda self: self.jobs)
    def again(self, data: st.DataObject, index: int, is_hasty: bool) -> None:
        job_id = data.draw(st.sampled_from(self.jobs))
        earlier_id = f"job_earlier{len(self.earlier)}"
        try:
            taken = self.store.cuts.take(job_id)
            if is_hasty:
                self.claim("w1")  # of something else, if of anything
            before = self.store.job(job_id)
            job = self.store.cuts.cut(taken, Cut(index, 0, None, 0.0, 1), earlier_id)
        except ConflictError:
            assert self.store.job(job_id).state in (State.CANCELLING, State.CANCELLED)
            return
        self.earlier.append(earlier_id)
        assert job.state is State.QUEUED
        assert self.store.job(earlier_id).passages_done == before.passages_done
        for place in range(PASSAGES):
            token = self.commits.get((job_id, place))
            if token is not None:
                self.commits[earlier_id, place] = token
            if place >= index:
                self.commits.pop((job_id, place), None)

    def is_owner(self, name: str, claim: Claim) -> bool:
        row = self.db.row("owner", id=claim.job.id)
        return row is not None and row["lease_worker"] == name and row["token"] == claim.token

    def done_passages(self, job_id: str) -> int:
        return sum(done is not None for _, done in self.store.passages(job_id))

    @invariant()
    def nothing_is_broken(self) -> None:
        for job_id in [*self.jobs, *self.earlier]:
            job = self.store.job(job_id)
            row = self.db.row("owner", id=job_id)
            assert row is not None
            assert (row["lease_worker"] is not None) == (job.state in OWNED), "exactly one owner"
            assert job.passages_done == self.done_passages(job_id)
            assert job.passages_done == sum((job_id, place) in self.commits for place in range(PASSAGES))
            assert 0 <= job.remaining_s <= 2.0 * (PASSAGES - job.passages_done)
            assert job.state is not State.DONE or job.passages_done == PASSAGES, "done with a hole"
            assert [e.number for e in self.store.events(job_id)] == list(range(1, len(self.store.events(job_id)) + 1))
            states = [e.data["to"] for e in self.store.events(job_id) if e.kind == "state"]
            assert states[-1] == job.state, "the events tell another story"


StoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestStore = pytest.mark.timeout(120)(StoreMachine.TestCase)

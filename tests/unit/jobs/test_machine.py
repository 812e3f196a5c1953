"""Two workers, a host, users and the clocks do what they like, in any order: the store does what its model does.

Small in `make test`; with LONGTAKE_CHAOS=1 as thorough as `make chaos` wants it.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from longtake.core.errors import ConflictError, InvariantError, LeaseLostError, NotFoundError, QueueFullError
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.records import Kind, Stretch
from longtake.jobs.states import State, Verb
from longtake.jobs.store import JobStore
from tests.support.jobs import planned, spec, spoken
from tests.support.memory import folder_in_memory
from tests.unit.jobs.model import ENDED, MAX_CRASHES, ModelJob, ModelPassage
from tests.unit.jobs.watch import HOST, WORKERS, WRITES, Held, Watch

IS_CHAOS = bool(os.environ.get("LONGTAKE_CHAOS"))
EXAMPLES, STEPS = (2000, 60) if IS_CHAOS else (100, 50)
MAX_JOBS = 3
ESTIMATED_S = 2.0
ASKED = [Verb.PAUSE, Verb.RESUME, Verb.CANCEL, Verb.REOPEN]


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.closing = ExitStack()
        folder = self.closing.enter_context(folder_in_memory())
        self.watch = Watch(folder, max_jobs=MAX_JOBS)
        self.closing.callback(self.watch.close)
        self.model, self.clock, self.claims = self.watch.model, self.watch.clock, self.watch.claims
        self.refuses, self.is_valid = self.watch.refuses, self.watch.is_valid

    @property
    def store(self) -> JobStore:
        return self.watch.store

    def desk(self, name: str) -> WorkerDesk:
        return self.watch.desks[name]

    def teardown(self) -> None:
        self.closing.close()

    # Hypothesis leaves out some rules in each run; so whatever a rule needs it makes by itself.

    def draw_job(self, data: st.DataObject) -> tuple[str, ModelJob]:
        if not self.model.jobs:
            self.submit(2, Kind.JOB, None)
        job_id = data.draw(st.sampled_from(sorted(self.model.jobs)))
        return job_id, self.model.jobs[job_id]

    def draw_valid(self, data: st.DataObject) -> tuple[WorkerDesk, Held, ModelJob]:
        if not any(map(self.is_valid, self.claims)):
            if not self.model.queue:
                self.submit(2, Kind.PROBE, None)  # whatever the queue holds
            self.claim(data.draw(st.sampled_from(WORKERS)), suspects=True)
        held = data.draw(st.sampled_from([held for held in self.claims if self.is_valid(held)]))
        return self.desk(held.worker), held, self.model.jobs[held.job_id]

    # Users

    @rule(
        count=st.integers(1, 3),
        kind=st.sampled_from([Kind.JOB, Kind.JOB, Kind.SPEECH, Kind.PROBE]),
        idempotency=st.none() | st.tuples(st.sampled_from(["k1", "k2"]), st.sampled_from(["p1", "p2"])),
    )
    @precondition(lambda self: len(self.model.jobs) <= MAX_JOBS)
    def submit(self, count: int, kind: Kind, idempotency: tuple[str, str] | None) -> None:
        plan = planned(count, estimated_s=ESTIMATED_S)
        self.watch.submitted += 1

        def act() -> tuple[Any, bool]:
            return self.store.submit(spec(), "x", plan, kind=kind, idempotency=idempotency)

        key, fingerprint = idempotency or ("", "")
        if key in self.model.keys:
            of_print, job_id = self.model.keys[key]
            if of_print != fingerprint:
                self.refuses(ConflictError, job_id, act)
            else:
                job, is_new = act()
                assert (job.id, is_new) == (job_id, False)
            return
        if kind is not Kind.PROBE and self.model.load[0] >= MAX_JOBS:
            self.refuses(QueueFullError, f"job_{self.watch.submitted}", act)
            return
        job, is_new = act()
        assert is_new
        passages = [ModelPassage(p.estimated_s, p.passage.silence_before_s) for p in plan]
        self.model.jobs[job.id] = ModelJob(job.number, kind, passages)
        if idempotency is not None:
            self.model.keys[key] = (fingerprint, job.id)

    @rule(data=st.data(), verb=st.sampled_from(ASKED))
    def ask(self, data: st.DataObject, verb: Verb) -> None:
        self.check_ask(*self.draw_job(data), verb)

    @rule(data=st.data(), verbs=st.lists(st.sampled_from(ASKED), min_size=1, max_size=2))
    def ask_of_a_held_one(self, data: st.DataObject, verbs: list[Verb]) -> None:
        _, held, job = self.draw_valid(data)
        for verb in verbs:
            self.check_ask(held.job_id, job, verb)

    def check_ask(self, job_id: str, job: ModelJob, verb: Verb) -> None:
        before = job.state
        if job.after(verb) is None:
            error = self.refuses(ConflictError, job_id, lambda: getattr(self.store, verb)(job_id))
            assert error.code == f"job_is_{before}"
            return
        assert getattr(self.store, verb)(job_id).state is job.move(verb)
        if verb is Verb.RESUME and job.state is not before:
            job.crashes = 0

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        job_id, job = self.draw_job(data)
        if job.state not in ENDED:
            self.refuses(ConflictError, job_id, lambda: self.store.forget(job_id))
            return
        self.store.forget(job_id)
        self.model.forget(job_id)
        assert not any(self.watch.dump(job_id)), "something of it is left"
        for ask in (self.store.job, self.store.pause, self.store.forget):
            self.refuses(NotFoundError, job_id, partial(ask, job_id))

    # Workers

    @rule(name=st.sampled_from(WORKERS), suspects=st.booleans())
    def claim(self, name: str, suspects: bool) -> None:
        expected = self.model.claim(name, suspects=suspects)
        claim = self.desk(name).claim(suspects=suspects)
        assert (claim.job.id if claim else None) == expected
        if claim is None:
            return
        job = self.model.jobs[claim.job.id]
        assert (claim.token, claim.job.state) == (job.token, State.RUNNING)
        held = {index: [s.samples for s in passage.stretches] for index, passage in claim.spoken.items()}
        assert held == {index: p.samples for index, p in enumerate(job.passages) if p.samples}
        owners = {(held.job_id, held.claim.token) for held in self.claims}
        assert (claim.job.id, claim.token) not in owners, "a token has one owner"
        self.claims.append(Held(name, claim))

    @rule(name=st.sampled_from(WORKERS))
    def beat(self, name: str) -> None:
        self.clock.sleep(1.0)
        self.model.beat(name)
        self.desk(name).heartbeat(state="ready", steps=1, active=0)

    @rule(data=st.data(), count=st.integers(1, 4), is_wrong=st.sampled_from([False, False, False, True]))
    def commit(self, data: st.DataObject, count: int, is_wrong: bool) -> None:
        """Some stretches at once, each where its passage stands; or one of them elsewhere, and then none counts."""
        desk, held, job = self.draw_valid(data)
        scratch = [replace(passage, samples=list(passage.samples)) for passage in job.passages]
        stretches: list[Stretch] = []
        for _ in range(count):
            if unspoken := [index for index, passage in enumerate(scratch) if not passage.is_spoken]:
                index = data.draw(st.sampled_from(unspoken))
                stretches.append(self.draw_stretch(data, held, index, len(scratch[index].samples)))
                scratch[index].take(stretches[-1])
        if is_wrong:
            index = data.draw(st.integers(0, len(scratch)))  # also one that is not there
            follows = len(scratch[index].samples) if index < len(scratch) else 0
            number = max(0, follows + data.draw(st.integers(-1, 1)))
            wrong = self.draw_stretch(data, held, index, number)
            if index == len(scratch) or not scratch[index].takes(wrong):
                stretches.append(wrong)
                self.refuses(InvariantError, held.job_id, lambda: desk.commit(held.claim, stretches))
                return
        desk.commit(held.claim, stretches)
        job.passages = scratch
        if any(stretch.is_last or stretch.trace_bytes for stretch in stretches):
            job.crashes = 0

    def draw_stretch(self, data: st.DataObject, held: Held, index: int, number: int) -> Stretch:
        samples, trace_bytes = data.draw(st.sampled_from([(24_000, 0), (24_000, 8), (0, 0), (72_000, 8)]))
        is_last = data.draw(st.sampled_from([True, True, False]))
        stretch = spoken(index, samples=samples, token=held.claim.token)
        return replace(stretch, number=number, is_last=is_last, trace_bytes=trace_bytes)

    @rule(data=st.data(), half=st.none() | st.integers(0, 1))
    def commit_the_rest_and_finish(self, data: st.DataObject, half: int | None) -> None:
        """All of it, or all but the end of one passage."""
        desk, held, job = self.draw_valid(data)
        for index, passage in enumerate(job.passages):
            if not passage.is_spoken:
                stretch = replace(spoken(index), number=len(passage.samples), is_last=index != half)
                desk.commit(held.claim, [stretch])
                passage.take(stretch)
                job.crashes = 0 if stretch.is_last else job.crashes
        self.check_end(held, Verb.FINISH)

    @rule(data=st.data(), index=st.integers(0, 2), number=st.integers(0, 2))
    def uncommit(self, data: st.DataObject, index: int, number: int) -> None:
        desk, held, job = self.draw_valid(data)
        if index >= len(job.passages):
            self.refuses(InvariantError, held.job_id, lambda: desk.uncommit(held.claim, index, number))
            return
        desk.uncommit(held.claim, index, number)
        job.passages[index].cut(number)

    @rule(data=st.data(), verb=st.sampled_from([Verb.FINISH, Verb.FINISH, Verb.FAIL, Verb.SUSPEND, Verb.RELEASE]))
    def let_go(self, data: st.DataObject, verb: Verb) -> None:
        _, held, _ = self.draw_valid(data)
        self.check_end(held, verb)

    def check_end(self, held: Held, verb: Verb) -> None:
        job = self.model.jobs[held.job_id]
        if verb is Verb.FINISH and job.has_holes:
            self.refuses(InvariantError, held.job_id, lambda: self.watch.write(held, verb))
            return
        assert self.watch.write(held, verb) is job.move(verb)

    @rule()
    def zombies(self) -> None:
        """Whoever has lost a job tries everything."""
        for held in self.claims:
            if not self.is_valid(held):
                for what in WRITES:
                    self.refuses(LeaseLostError, held.job_id, partial(self.watch.write, held, what))

    # The host, the clocks, the machine

    @rule(name=st.sampled_from(WORKERS), is_crash=st.booleans())
    def bury(self, name: str, is_crash: bool) -> None:
        released = self.store.release_worker(name, crashed="killed" if is_crash else None)
        assert {job.id for job in released} == self.model.release_worker(name, crashed=is_crash)

    @rule()
    def restart_the_host(self) -> None:
        self.reopen_database(HOST)
        assert {job.id for job in self.store.release_all()} == self.model.release_all()

    @rule(name=st.sampled_from([HOST, *WORKERS]))
    def reopen_database(self, name: str) -> None:
        self.watch.open(name)

    @rule(data=st.data(), deaths=st.integers(1, MAX_CRASHES))
    def die_of_it(self, data: st.DataObject, deaths: int) -> None:
        """One worker after the other."""
        for _ in range(deaths):
            _, held, _ = self.draw_valid(data)
            self.bury(held.worker, is_crash=True)

    @rule(margin_s=st.sampled_from([-1.0, 0.0, 1.0]), name=st.none() | st.sampled_from(WORKERS))
    def wait(self, margin_s: float, name: str | None) -> None:
        """Until about the end of the next lease, when another worker may come along."""
        ends = [job.lease_until_s for job in self.model.jobs.values() if job.owner]
        self.clock.now_s = max(self.clock.now_s + 1.0, min(ends, default=0.0) + margin_s)
        if name is not None:
            self.claim(name, suspects=True)

    @rule(seconds=st.sampled_from([-1e9, -3600.0, 3600.0, 1e9]))
    def set_the_wall_clock(self, seconds: float) -> None:
        self.clock.wall_shift_s += seconds

    @rule()
    def reboot(self) -> None:
        self.clock.reboot()

    # What always holds

    @invariant()
    def store_and_model_agree(self) -> None:
        self.watch.check()


StoreMachine.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None)
TestStore = pytest.mark.timeout(3600 if IS_CHAOS else 120)(StoreMachine.TestCase)

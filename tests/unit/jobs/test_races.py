"""Two who act at once: whoever is first decides, and the other is told, or obeyed as far as that goes.

The first half plays each race in both orders; the second half lets two threads run and takes what comes.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from longtake.core.errors import ConflictError, LeaseLostError, LongtakeError
from longtake.jobs.records import Claim
from longtake.jobs.states import State
from tests.support.jobs import planned, spec, spoken
from tests.unit.jobs.model import LEASE_S
from tests.unit.jobs.watch import Held, Watch

TIMES = 25  # each race of threads is run


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    watch = Watch(tmp_path, max_jobs=500)
    yield watch
    watch.close()


class Race:
    """One job, its user, and a worker that has spoken it and is about to finish."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        watch.submitted += 1
        self.id = watch.store.submit(spec(), "x", planned(1))[0].id
        self.taken: Claim | None = None

    def play(self, steps: str) -> None:
        for step in steps.split():
            if step in ("finish", "release"):
                self.write(step)
            elif step == "claim":
                self.claim()
            else:
                getattr(self.watch.store, step)(self.id)

    def claim(self, worker: str = "w1") -> Claim | None:
        self.taken = self.watch.desks[worker].claim()
        if self.taken is not None and not self.taken.spoken:
            self.watch.desks[worker].commit(self.taken, [spoken(0, token=self.taken.token)])
        return self.taken

    def write(self, what: str) -> State | None:
        return self.watch.write(self.held, what)

    @property
    def held(self) -> Held:
        assert self.taken is not None
        return Held(self.taken.worker_id, self.taken)

    @property
    def state(self) -> State:
        return self.watch.store.job(self.id).state


@pytest.mark.parametrize(
    ("steps", "states"),
    [
        ("claim cancel finish", "queued running cancelling cancelled"),
        ("claim pause finish", "queued running pausing done"),
        ("claim pause cancel finish", "queued running pausing cancelling cancelled"),
        ("pause", "queued paused"),
        ("pause pause resume claim", "queued paused queued running"),
        ("claim pause pause release", "queued running pausing paused"),
        ("claim pause resume finish", "queued running pausing running done"),
        ("claim pause resume release", "queued running pausing running queued"),
        ("cancel cancel", "queued cancelled"),
        ("claim cancel cancel release cancel", "queued running cancelling cancelled"),
        ("pause cancel", "queued paused cancelled"),
        ("claim pause release cancel", "queued running pausing paused cancelled"),
        ("claim finish reopen claim finish", "queued running done queued running done"),
        ("claim finish reopen cancel", "queued running done queued cancelled"),
    ],
)
def test_who_is_first_decides(watch: Watch, steps: str, states: str) -> None:
    race = Race(watch)
    race.play(steps)
    assert [e.data["to"] for e in watch.store.events(race.id) if e.kind == "state"] == states.split()
    job = watch.store.job(race.id)
    assert (job.audio_file is not None) == (job.state is State.DONE), "a file of a job that was given up is no result"


@pytest.mark.parametrize(
    ("steps", "too_late"),
    [
        ("claim finish", "cancel"),
        ("claim finish", "pause"),
        ("claim finish", "resume"),
        ("claim cancel", "pause"),
        ("claim cancel", "resume"),
        ("claim cancel release", "resume"),
        ("claim finish reopen", "reopen"),
        ("claim finish reopen claim", "reopen"),
        ("claim", "forget"),
        ("claim pause", "forget"),
        ("claim cancel", "forget"),
        ("pause", "forget"),
    ],
)
def test_who_is_too_late_is_told_and_changes_nothing(watch: Watch, steps: str, too_late: str) -> None:
    race = Race(watch)
    race.play(steps)
    refused = watch.refuses(ConflictError, race.id, partial(race.play, too_late))
    assert refused.code == f"job_is_{race.state}"


@pytest.mark.parametrize("wish", ["", "pause", "cancel"])
def test_a_release_after_another_has_claimed_is_refused(watch: Watch, wish: str) -> None:
    race = Race(watch)
    race.claim()
    old = race.held
    watch.clock.sleep(LEASE_S + 1)
    heir = race.claim("w2")
    assert heir is not None
    race.play(wish)
    for what in ("release", "finish"):
        watch.refuses(LeaseLostError, race.id, partial(watch.write, old, what))
    assert race.id in watch.desks["w2"].owned()


# Threads


@pytest.fixture
def at_once() -> Iterator[Callable[..., list[object]]]:
    """Runs two actions at the same moment, one a little later at times; gives what they gave or raised."""
    chance = random.Random(4)
    barrier = threading.Barrier(2)
    with ThreadPoolExecutor(2) as threads:

        def run(*actions: Callable[[], object]) -> list[object]:
            lead_s = [chance.choice([0.0, 0.0, 0.0005]) for _ in actions]

            def one(action: Callable[[], object], wait_s: float) -> object:
                barrier.wait()
                threading.Event().wait(wait_s)
                try:
                    return action()
                except LongtakeError as error:
                    return error

            return [
                future.result() for future in [threads.submit(one, *each) for each in zip(actions, lead_s, strict=True)]
            ]

        yield run


AtOnce = Callable[..., list[object]]


def test_cancel_against_finish(watch: Watch, at_once: AtOnce) -> None:
    for _ in range(TIMES):
        race = Race(watch)
        race.claim()
        cancelled, finished = at_once(partial(race.play, "cancel"), partial(race.write, "finish"))
        assert finished is race.state
        if race.state is State.DONE:
            assert isinstance(cancelled, ConflictError)
        else:
            assert (race.state, cancelled) == (State.CANCELLED, None)


def test_pause_against_finish(watch: Watch, at_once: AtOnce) -> None:
    for _ in range(TIMES):
        race = Race(watch)
        race.claim()
        paused, finished = at_once(partial(race.play, "pause"), partial(race.write, "finish"))
        assert finished is race.state is State.DONE
        assert paused is None or isinstance(paused, ConflictError)


def test_claim_against_pause(watch: Watch, at_once: AtOnce) -> None:
    for _ in range(TIMES):
        race = Race(watch)
        paused, claim = at_once(partial(race.play, "pause"), race.claim)
        assert paused is None, "a pause is never refused here"
        assert race.state is (State.PAUSED if claim is None else State.PAUSING)
        race.play("cancel")
        if claim is not None:
            race.play("release")


def test_claim_against_claim(watch: Watch, at_once: AtOnce) -> None:
    for _ in range(TIMES):
        race = Race(watch)
        claims = at_once(watch.desks["w1"].claim, watch.desks["w2"].claim)
        (claim,) = [claim for claim in claims if claim is not None]
        assert isinstance(claim, Claim)
        assert claim.token == 1
        watch.desks[claim.worker_id].fail(claim, {"message": "x"})
        assert race.state is State.FAILED


def test_claim_against_reopen(watch: Watch, at_once: AtOnce) -> None:
    for _ in range(TIMES):
        race = Race(watch)
        race.play("claim finish")
        old = race.held
        reopened, claim = at_once(partial(race.play, "reopen"), watch.desks["w2"].claim)
        assert reopened is None
        assert race.state is (State.QUEUED if claim is None else State.RUNNING)
        watch.refuses(LeaseLostError, race.id, partial(watch.write, old, "finish"))
        race.play("cancel")
        if isinstance(claim, Claim):
            assert claim.token == 2
            watch.desks["w2"].release(claim)


def test_late_release_against_the_heirs_claim(watch: Watch, at_once: AtOnce) -> None:
    """The lease has lapsed, and its worker lets go in the same moment as another takes the job."""
    for _ in range(TIMES):
        race = Race(watch)
        race.claim()
        watch.clock.sleep(LEASE_S + 1)
        released, claim = at_once(partial(race.write, "release"), watch.desks["w2"].claim)
        assert isinstance(claim, Claim)
        assert claim.token == 2, "once, whoever was first"
        assert released is State.QUEUED or isinstance(released, LeaseLostError)
        watch.desks["w2"].finish(claim, "audio-2", 1)


def test_the_same_key_at_once_makes_one_job(watch: Watch, at_once: AtOnce) -> None:
    for number in range(TIMES):
        watch.submitted = number  # the id of both, so that two jobs would collide

        def submit(number: int = number) -> tuple[str, bool]:
            job, is_new = watch.store.submit(spec(), "x", planned(1), idempotency=(f"key-{number}", "print"))
            return job.id, is_new

        answers = at_once(submit, submit)
        assert sorted(answers, key=str) == [(f"job_{number}", False), (f"job_{number}", True)]

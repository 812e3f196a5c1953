"""Every state and every verb, through the doors that users and workers have: each edge is taken, each other refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from longtake.core.errors import ConflictError, LeaseLostError
from longtake.jobs.records import Claim
from longtake.jobs.states import State, Verb
from tests.support.jobs import planned, spec, spoken
from tests.unit.jobs.model import EDGES, OWNED
from tests.unit.jobs.watch import Held, Watch

USER = {Verb.PAUSE, Verb.RESUME, Verb.CANCEL, Verb.REOPEN}
CUTS = {Verb.TAKE, Verb.AGAIN}  # two steps of one wish: test_cuts has them
ALL = [(state, verb) for state in State for verb in Verb if verb not in CUTS]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    watch = Watch(tmp_path, max_jobs=5)
    yield watch
    watch.close()


def claim(watch: Watch, worker: str = "w1") -> Claim | None:
    return watch.desks[worker].claim()


def job_in(watch: Watch, state: State) -> Held:
    """A job in that state, with the claim that it was under at last."""
    job, _ = watch.store.submit(spec(), "x", planned(1))
    taken = claim(watch)
    assert taken is not None
    desk, held = watch.desks["w1"], Held("w1", taken)
    desk.commit(taken, [spoken(0)])
    way: dict[State, tuple[Callable[[], object], ...]] = {
        State.QUEUED: (lambda: desk.release(taken),),
        State.RUNNING: (),
        State.PAUSING: (lambda: watch.store.pause(job.id),),
        State.PAUSED: (lambda: watch.store.pause(job.id), lambda: desk.release(taken)),
        State.CANCELLING: (lambda: watch.store.cancel(job.id),),
        State.CANCELLED: (lambda: watch.store.cancel(job.id), lambda: desk.release(taken)),
        State.DONE: (lambda: desk.finish(taken, "audio-1", 1),),
        State.FAILED: (lambda: desk.fail(taken, {"message": "x"}),),
    }
    for step in way[state]:
        step()
    assert watch.store.job(job.id).state is state
    return held


def act(watch: Watch, held: Held, verb: Verb) -> None:
    if verb is Verb.CLAIM:
        claim(watch, "w2")
    elif verb in USER:
        getattr(watch.store, verb)(held.job_id)
    else:
        watch.write(held, verb)


def last_move(watch: Watch, job_id: str) -> tuple[str, str]:
    events = watch.dump(job_id)[3]
    data = json.loads(events[-1][-1])
    return data["from"], data["to"]


@pytest.mark.parametrize(("state", "verb"), ALL, ids=[f"{state}-{verb}" for state, verb in ALL])
def test_the_table_is_what_happens(watch: Watch, state: State, verb: Verb) -> None:
    held = job_in(watch, state)
    events = len(watch.dump(held.job_id)[3])
    after = EDGES.get((state, verb))
    if after is None and verb in USER:
        refused = watch.refuses(ConflictError, held.job_id, lambda: act(watch, held, verb))
        assert refused.code == f"job_is_{state}"
        assert f"that is {state} cannot {verb}" in str(refused)
    elif after is None and verb is not Verb.CLAIM:
        watch.refuses(LeaseLostError, held.job_id, lambda: act(watch, held, verb))
    else:
        before = watch.dump(held.job_id)
        act(watch, held, verb)
        assert watch.store.job(held.job_id).state is (after or state)
        if after in (None, state):
            assert watch.dump(held.job_id) == before, "nothing to do, and yet it has changed something"
        else:
            assert len(watch.dump(held.job_id)[3]) == events + 1
            assert last_move(watch, held.job_id) == (state, after)
    now = watch.store.job(held.job_id).state
    owner = watch.desks["w2" if (state, verb) == (State.QUEUED, Verb.CLAIM) else "w1"]
    assert (held.job_id in owner.owned()) == (now in OWNED)
    assert not (set(watch.desks["w1"].owned()) & set(watch.desks["w2"].owned()))


@pytest.mark.parametrize("crashed", [None, "killed by signal 9"])
@pytest.mark.parametrize("state", list(State))
def test_a_dead_worker_releases_what_it_owned_and_nothing_else(watch: Watch, state: State, crashed: str | None) -> None:
    held = job_in(watch, state)
    before = watch.dump(held.job_id)
    released = [job.id for job in watch.store.release_worker("w1", crashed=crashed)]
    if state in OWNED:
        assert released == [held.job_id]
        assert last_move(watch, held.job_id) == (state, EDGES[state, Verb.RELEASE])
    else:
        assert released == []
        assert watch.dump(held.job_id) == before


@pytest.mark.parametrize("state", list(State))
def test_a_lapsed_lease_is_released_by_the_next_claim(watch: Watch, state: State) -> None:
    held = job_in(watch, state)
    watch.clock.reboot()
    taken = claim(watch, "w2")
    released = EDGES[state, Verb.RELEASE] if state in OWNED else state
    assert (taken is not None) == (released is State.QUEUED)
    assert watch.store.job(held.job_id).state is (State.RUNNING if taken else released)


def test_the_refusal_of_a_done_job_says_that_it_has_ended(watch: Watch) -> None:
    held = job_in(watch, State.DONE)
    for verb in (Verb.RESUME, Verb.PAUSE, Verb.CANCEL):
        with pytest.raises(ConflictError) as refused:
            act(watch, held, verb)
        assert str(refused.value) == f"A job that is done cannot {verb}. It can: nothing more, it has ended."

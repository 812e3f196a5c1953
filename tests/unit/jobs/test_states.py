from __future__ import annotations

import pytest

from longtake.core.errors import ConflictError
from longtake.jobs.states import ENDED, OWNED, TRANSITIONS, State, Verb, allowed, can_again, next_state


def test_every_state_can_be_reached_and_every_verb_is_used() -> None:
    assert set(TRANSITIONS.values()) == set(State)
    assert {verb for _, verb in TRANSITIONS} == set(Verb)


def test_a_worker_can_always_let_go_of_what_it_owns() -> None:
    for state in OWNED:
        for verb in (Verb.RELEASE, Verb.SUSPEND, Verb.FINISH, Verb.FAIL):
            assert next_state(state, verb) not in OWNED


def test_a_worker_has_no_say_over_what_it_does_not_own() -> None:
    for state in set(State) - OWNED:
        for verb in (Verb.RELEASE, Verb.SUSPEND, Verb.FINISH, Verb.FAIL):
            with pytest.raises(ConflictError):
                next_state(state, verb)


def test_only_queued_jobs_are_claimed() -> None:
    assert [state for state, verb in TRANSITIONS if verb is Verb.CLAIM] == [State.QUEUED]


def test_an_accepted_cancel_is_never_undone() -> None:
    for (state, _verb), after in TRANSITIONS.items():
        if state is State.CANCELLING:
            assert after in (State.CANCELLING, State.CANCELLED)
        if state is State.CANCELLED:
            assert after is State.CANCELLED


def test_done_is_for_ever_unless_its_file_has_gone_or_another_take_is_wanted() -> None:
    edges = {verb: after for (state, verb), after in TRANSITIONS.items() if state is State.DONE}
    assert edges == {Verb.REOPEN: State.QUEUED, Verb.TAKE: State.DONE, Verb.AGAIN: State.QUEUED}
    assert allowed(State.DONE) == (), "nothing that a user may ask for"


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.RESUME, Verb.CANCEL])
def test_asking_twice_is_asking_once(verb: Verb) -> None:
    for (state, asked), after in TRANSITIONS.items():
        if asked is verb and (after, verb) in TRANSITIONS:
            assert next_state(after, verb) == after, state


def test_what_is_taken_is_nobodys_and_can_be_cut() -> None:
    for state in State:
        assert can_again(state) == (state not in (State.CANCELLING, State.CANCELLED))
        if can_again(state):
            taken = next_state(state, Verb.TAKE)
            assert taken not in OWNED
            assert next_state(taken, Verb.AGAIN) is State.QUEUED


def test_the_refusal_says_what_is_possible() -> None:
    with pytest.raises(ConflictError, match=r"failed cannot pause\. It can: resume") as caught:
        next_state(State.FAILED, Verb.PAUSE)
    assert caught.value.code == "job_is_failed"
    with pytest.raises(ConflictError, match="it has ended"):
        next_state(State.DONE, Verb.CANCEL)
    assert allowed(State.RUNNING) == (Verb.PAUSE, Verb.CANCEL)
    assert allowed(State.PAUSED) == (Verb.RESUME, Verb.CANCEL), "what changes nothing is not offered"
    assert {s for s in State if not allowed(s)} <= ENDED | {State.CANCELLING}

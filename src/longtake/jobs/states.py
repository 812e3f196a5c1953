"""The one state machine of a job. Knows no storage: `Database` rows change state only through `next_state`.

    queued ──claim──► running ──finish──► done
      │ ▲                │ │ └──fail────► failed ──resume──► queued
      │ └────release─────┘ └──pause─► pausing ──release─► paused ──resume──► queued
      └──cancel──► cancelled ◄─release── cancelling ◄─cancel── (running, pausing)

`release` is one verb for every way in which a worker lets go: it obeyed a pause or a cancel, it was told to stop, or it
was found dead. What becomes of the job then depends only on what its user wanted. `reopen`, from done back to queued,
is for a finished file that has gone. `take` and `again` are one wish in two steps, to cut a job back to some point and
speak on from there: nobody speaks it any more, then it is cut and queued. docs/job-states.md explains every edge; a
test ties that page to this table.
"""

from __future__ import annotations

from enum import StrEnum

from longtake.core.errors import ConflictError


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    DONE = "done"
    FAILED = "failed"


class Verb(StrEnum):
    CLAIM = "claim"
    RELEASE = "release"
    SUSPEND = "suspend"
    FINISH = "finish"
    FAIL = "fail"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    REOPEN = "reopen"
    TAKE = "take"
    AGAIN = "again"


ENDED = frozenset({State.DONE, State.CANCELLED, State.FAILED})
OWNED = frozenset({State.RUNNING, State.PAUSING, State.CANCELLING})  # a worker holds the lease

_S, _V = State, Verb
TRANSITIONS: dict[tuple[State, Verb], State] = {
    (_S.QUEUED, _V.CLAIM): _S.RUNNING,
    (_S.QUEUED, _V.PAUSE): _S.PAUSED,
    (_S.QUEUED, _V.RESUME): _S.QUEUED,
    (_S.QUEUED, _V.CANCEL): _S.CANCELLED,
    (_S.QUEUED, _V.TAKE): _S.PAUSED,
    (_S.QUEUED, _V.AGAIN): _S.QUEUED,
    (_S.RUNNING, _V.RELEASE): _S.QUEUED,
    (_S.RUNNING, _V.SUSPEND): _S.PAUSED,
    (_S.RUNNING, _V.FINISH): _S.DONE,
    (_S.RUNNING, _V.FAIL): _S.FAILED,
    (_S.RUNNING, _V.PAUSE): _S.PAUSING,
    (_S.RUNNING, _V.RESUME): _S.RUNNING,
    (_S.RUNNING, _V.CANCEL): _S.CANCELLING,
    (_S.RUNNING, _V.TAKE): _S.PAUSED,
    (_S.PAUSING, _V.RELEASE): _S.PAUSED,
    (_S.PAUSING, _V.SUSPEND): _S.PAUSED,
    (_S.PAUSING, _V.FINISH): _S.DONE,  # it was done before the pause reached it
    (_S.PAUSING, _V.FAIL): _S.FAILED,
    (_S.PAUSING, _V.PAUSE): _S.PAUSING,
    (_S.PAUSING, _V.RESUME): _S.RUNNING,
    (_S.PAUSING, _V.CANCEL): _S.CANCELLING,
    (_S.PAUSING, _V.TAKE): _S.PAUSED,
    (_S.PAUSED, _V.PAUSE): _S.PAUSED,
    (_S.PAUSED, _V.RESUME): _S.QUEUED,
    (_S.PAUSED, _V.CANCEL): _S.CANCELLED,
    (_S.PAUSED, _V.TAKE): _S.PAUSED,
    (_S.PAUSED, _V.AGAIN): _S.QUEUED,
    # A cancel that was accepted is kept: its sender was told so, and may have deleted what it was for.
    (_S.CANCELLING, _V.RELEASE): _S.CANCELLED,
    (_S.CANCELLING, _V.SUSPEND): _S.CANCELLED,
    (_S.CANCELLING, _V.FINISH): _S.CANCELLED,
    (_S.CANCELLING, _V.FAIL): _S.CANCELLED,
    (_S.CANCELLING, _V.CANCEL): _S.CANCELLING,
    (_S.CANCELLED, _V.CANCEL): _S.CANCELLED,
    (_S.DONE, _V.REOPEN): _S.QUEUED,
    (_S.DONE, _V.TAKE): _S.DONE,
    (_S.DONE, _V.AGAIN): _S.QUEUED,
    (_S.FAILED, _V.RESUME): _S.QUEUED,
    (_S.FAILED, _V.TAKE): _S.FAILED,
    (_S.FAILED, _V.AGAIN): _S.QUEUED,
}


def next_state(state: State, verb: Verb) -> State:
    """The state after ``verb``.

    Raises:
        ConflictError: The table has no such edge.
    """
    try:
        return TRANSITIONS[state, verb]
    except KeyError:
        can = ", ".join(allowed(state)) or "nothing more, it has ended"
        raise ConflictError(
            f"A job that is {state} cannot {verb}. It can: {can}.",
            code=f"job_is_{state}",
        ) from None


def allowed(state: State) -> tuple[Verb, ...]:
    """What a user may ask of a job in this state and would change it."""
    asked = (Verb.PAUSE, Verb.RESUME, Verb.CANCEL)
    return tuple(verb for verb in asked if TRANSITIONS.get((state, verb), state) is not state)


def can_again(state: State) -> bool:
    """Whether a job in this state can be cut back and spoken again from some point."""
    return (state, Verb.TAKE) in TRANSITIONS

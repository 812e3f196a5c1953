"""What ``resume --from`` is asked, and what it tells."""

from __future__ import annotations

from longtake.core.errors import InputError
from longtake.core.units import format_time, parse_time
from longtake.delivery import Again

_FIRST_WORDS = 40  # characters of a line, to know it by


def read_again(job_id: str | None, time: str | None, seed: int | None) -> float | None:
    """The time from which the job is to be spoken again; None when it is only to go on.

    Raises:
        InputError: The options do not fit together, or it is no time.
    """
    if time is None:
        if seed is not None:
            raise InputError(
                "--seed is for what is spoken again: name the time with --from.", code="seed_alone", param="seed"
            )
        return None
    if job_id is None:
        raise InputError(
            "Name the job that is to be spoken again; `longtake jobs` lists them.", code="job_not_named", param="job"
        )
    return parse_time(time, "from")


def told_again(again: Again) -> str:
    """For people: where it was cut, and what comes."""
    first = " ".join(again.line.text.split())
    first = first if len(first) <= _FIRST_WORDS else first[: _FIRST_WORDS - 1].rstrip() + "…"
    return (
        f"{again.job.id} is cut back to {format_time(again.from_s)} ({again.label}: “{first}”) and spoken on from "
        f"there with seed {again.seed}. The earlier version is {again.earlier_id} until this one is done."
    )

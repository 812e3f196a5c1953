"""What is said of a job that waits though a worker holds it, in words for its user."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from longtake.core.errors import LeaseLostError
from longtake.core.units import format_bytes
from longtake.jobs.desk import WorkerDesk
from longtake.scheduling import Wait
from longtake.worker.pressure import Pressure
from longtake.worker.run import JobRun

TELL_AFTER_S = 2.0  # a job that waits for less is told nothing
WAITS_FOR_MEMORY = "waits for memory"


class Teller:
    """Writes to a job why it waits, once it has waited a while, and takes it back when it is spoken again."""

    def __init__(self, desk: WorkerDesk, pressure: Pressure) -> None:
        self._desk = desk
        self._pressure = pressure

    def tell(self, runs: Iterable[JobRun], waits: Iterable[Wait], now_s: float) -> None:
        """
        Args:
            waits: Of the scheduler, now.

        Raises:
            TransientError, DiskFullError: The store cannot be written; the next call tries again.
        """
        waiting = {wait.job: wait for wait in waits}
        for run in runs:
            wait = waiting.get(run.claim.job.id)
            if wait is None:
                run.waits_since_s = None
            elif run.waits_since_s is None:
                run.waits_since_s = now_s
            is_told = run.waits_since_s is not None and now_s - run.waits_since_s >= TELL_AFTER_S
            run.waits_for_memory = wait is not None and wait.for_memory and is_told
            reason = told(wait, self._pressure) if wait is not None and is_told else None
            if reason != run.told:
                with suppress(LeaseLostError):  # it is let go at the next look
                    self._desk.explain(run.claim, reason or run.claim.job.reason)
                run.told = reason


def told(wait: Wait, pressure: Pressure) -> str:
    """``waits for memory: needs 1.2 GiB, 0.4 GiB of 6.0 GiB are free; 3 jobs before it``"""
    if not wait.for_memory:
        why = "waits for a place: all are taken"
    elif pressure.is_low:
        why = f"{WAITS_FOR_MEMORY}: needs {format_bytes(wait.needed_bytes)}, {_scarce(pressure)}"
    else:
        free, limit = format_bytes(wait.free_bytes), format_bytes(wait.limit_bytes)
        why = f"{WAITS_FOR_MEMORY}: needs {format_bytes(wait.needed_bytes)}, {free} of {limit} are free"
    return f"{why}; {_before(wait.before)}"


def put_back(pressure: Pressure) -> str:
    """Of a job that had to leave."""
    return f"{WAITS_FOR_MEMORY}: {_scarce(pressure)}. It goes on behind what is spoken"


def ran_out(message: str) -> str:
    """The same, when the device had no room."""
    return f"{WAITS_FOR_MEMORY}, fewer jobs are spoken side by side from now on: {message}"


def _scarce(pressure: Pressure) -> str:
    free, floor = format_bytes(pressure.free_bytes), format_bytes(pressure.floor_bytes)
    return f"other programs have taken it, and {free} are free where {floor} must be"


def _before(jobs: int) -> str:
    return "it is next" if not jobs else f"{jobs} job{'s' * (jobs > 1)} before it"

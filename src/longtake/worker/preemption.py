"""Who leaves when memory runs short, and when anybody may come again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from longtake.core.clock import Clock
from longtake.engines.base import Failed
from longtake.scheduling import Scheduler
from longtake.worker.pressure import CALM_S, Pressure
from longtake.worker.run import JobRun


class Preemption:
    """The loop's thread owns it, and does what it says."""

    def __init__(self, scheduler: Scheduler, pressure: Pressure, clock: Clock, *, keeps_traces: bool) -> None:
        """
        Args:
            keeps_traces: The engine can go on behind what is half spoken; of another nobody has to leave.
        """
        self._scheduler = scheduler
        self._pressure = pressure
        self._clock = clock
        self._keeps_traces = keeps_traces
        self._rests_until_s = float("-inf")  # memory ran out though nobody else held any

    @property
    def is_scarce(self) -> bool:
        """So that jobs had to leave: none is taken up before there is room again."""
        return self._pressure.is_short and self._keeps_traces

    @property
    def is_resting(self) -> bool:
        """So that not even one request had room a moment ago."""
        return self._clock.monotonic_s() < self._rests_until_s

    def look(self, runs: Iterable[JobRun]) -> JobRun | None:
        """Another program may have taken memory: the youngest job leaves, one at a look, but for the last."""
        scheduler, pressure = self._scheduler, self._pressure
        pressure.look(scheduler.used_bytes)
        scheduler.limit_bytes = pressure.limit_bytes
        if not pressure.is_low or not self._keeps_traces:
            return None
        speaking = [run for run in runs if scheduler.is_active(run.claim.job.id)]
        if len(speaking) < 2:
            return None
        return max(speaking, key=lambda run: (-run.claim.job.kind.priority, run.claim.job.number))

    def run_out(self, failures: Sequence[Failed]) -> bool:
        """The device had no room for these requests after all: fewer run side by side from now on.

        Returns:
            Whether the one that failed was alone: nobody is in its way, so it is not to be tried for ever.
        """
        scheduler, pressure = self._scheduler, self._pressure
        held = scheduler.used_bytes
        least = min(scheduler.used_by_request(failed.request_id) for failed in failures)
        for failed in failures:
            scheduler.end(failed.request_id)
        pressure.run_out(held, least)
        scheduler.limit_bytes = pressure.limit_bytes
        is_alone = len(failures) == 1 and not scheduler.active
        if is_alone:
            self._rests_until_s = self._clock.monotonic_s() + CALM_S
        return is_alone

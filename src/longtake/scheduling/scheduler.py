"""Admission: a request starts only when a place and its bytes are free, and no job is served twice before another once.

The order is: higher priority first; among equals the job that was served longest ago. A job of two hours and a job of
ten seconds that arrive together take turns, so the short one is done after about twice its own time. A request whose
bytes do not fit now holds its turn: smaller ones of the same or lower priority do not overtake it for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

from longtake.core.errors import CapacityError
from longtake.core.units import format_bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """A request that could start.

    Attributes:
        id: Unique among the scheduler's requests.
        job: Whose it is; requests of one job start in the order they were offered.
        used_bytes: What it holds while it is active.
    """

    id: str
    job: Hashable
    used_bytes: int
    priority: int = 0


class Scheduler:
    """Holds what waits and what is active; `schedule` moves from one to the other. The loop's thread owns it."""

    def __init__(self, max_active: int, budget_bytes: int) -> None:
        self._max_active = max_active
        self._budget_bytes = budget_bytes
        self._waiting: dict[Hashable, deque[Candidate]] = {}
        self._active: dict[str, Candidate] = {}
        self._served: dict[Hashable, int] = {}
        self._turn = 0

    @property
    def active(self) -> int:
        return len(self._active)

    @property
    def used_bytes(self) -> int:
        return sum(candidate.used_bytes for candidate in self._active.values())

    def waiting(self, job: Hashable) -> int:
        """Requests of this job that were offered and have not started."""
        return len(self._waiting.get(job, ()))

    def offer(self, candidate: Candidate) -> None:
        """Put a request in line.

        Raises:
            CapacityError: It would not fit even alone.
        """
        if candidate.used_bytes > self._budget_bytes:
            raise CapacityError(
                f"This passage needs {format_bytes(candidate.used_bytes)}; the engine may hold "
                f"{format_bytes(self._budget_bytes)}. Raise --memory-budget or shorten the passage."
            )
        self._waiting.setdefault(candidate.job, deque()).append(candidate)

    def schedule(self) -> tuple[Candidate, ...]:
        """The requests that start now; they count as active from here on."""
        started = []
        while self._waiting and len(self._active) < self._max_active:
            job = min(self._waiting, key=self._rank)
            candidate = self._waiting[job][0]
            if self.used_bytes + candidate.used_bytes > self._budget_bytes:
                break  # it keeps its turn until enough has ended
            self._waiting[job].popleft()
            if not self._waiting[job]:
                del self._waiting[job]
            self._turn += 1
            self._served[job] = self._turn
            self._active[candidate.id] = candidate
            started.append(candidate)
        return tuple(started)

    def end(self, request_id: str) -> None:
        """An active request has ended, whichever way."""
        self._active.pop(request_id, None)

    def withdraw(self, job: Hashable) -> tuple[str, ...]:
        """The job leaves: what waits is dropped; gives the ids that are active and must be stopped."""
        self._waiting.pop(job, None)
        self._served.pop(job, None)
        stopped = tuple(c.id for c in self._active.values() if c.job == job)
        for request_id in stopped:
            del self._active[request_id]
        return stopped

    def _rank(self, job: Hashable) -> tuple[int, int]:
        return -self._waiting[job][0].priority, self._served.get(job, 0)

"""Admission: a request starts only when a place and its bytes are free, and no job is served twice before another once.

The order is: higher priority first; among equals the job that was served longest ago. A job that comes in new stands
just before the one that was served last, behind all who wait longer: a short job beside a long one is next, and a
stream of short ones cannot keep the long one out.

What nobody has to fear, whatever the mix (tests/unit/scheduling/test_fairness.py):

* Before a request starts, at most one request of each other job of its priority is started in its turn.
* A request whose turn it is, and whose bytes are not free, keeps its turn. It starts at the latest when those that are
  active then have taken the steps of their bounds, as if there were nobody else.
* Meanwhile smaller ones may go first, but only such as delay it by no step: they end before its bytes can be free, or
  fit beside it. So an hour of speech that waits for memory does not keep short jobs from theirs.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterator
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
        steps: The most steps that it takes; 0 when nobody knows.
    """

    id: str
    job: Hashable
    used_bytes: int
    priority: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a job waits, of which nothing is active.

    Attributes:
        for_memory: For its bytes, or for those of one whose turn comes first; else for a place.
        needed_bytes, free_bytes, limit_bytes: Of its next request; of what may be held, and all of that.
        before: Jobs whose turn comes before its own.
    """

    job: Hashable
    for_memory: bool
    needed_bytes: int
    free_bytes: int
    limit_bytes: int
    before: int


@dataclass(slots=True)
class _Active:
    candidate: Candidate
    until: float  # the step at which it has ended at the latest


@dataclass(slots=True)
class _Gap:
    """What is free until the one whose turn it is can start, and beside it from then on."""

    until: float
    bytes_beside: int  # a place is free then anyhow: one has ended

    def take(self, candidate: Candidate, now: int) -> bool:
        """Whether it delays nobody; if so, its part of the gap is gone."""
        if candidate.steps and now + candidate.steps <= self.until:
            return True
        if candidate.used_bytes > self.bytes_beside:
            return False
        self.bytes_beside -= candidate.used_bytes
        return True


class Scheduler:
    """Holds what waits and what is active; `schedule` moves from one to the other. The loop's thread owns it.

    Attributes:
        limit_bytes: What may be held now; at most the budget. However small, one request alone always starts.
    """

    def __init__(self, max_active: int, budget_bytes: int) -> None:
        self._max_active = max_active
        self._budget_bytes = budget_bytes
        self.limit_bytes = budget_bytes
        self._waiting: dict[Hashable, deque[Candidate]] = {}
        self._active: dict[str, _Active] = {}
        self._served: dict[Hashable, tuple[float, int]] = {}  # when it was served last; and the order of arrival
        self._promised: Hashable | None = None  # the job that keeps its turn until its bytes are free
        self._turn = 0
        self._arrivals = 0
        self._step = 0

    @property
    def active(self) -> int:
        return len(self._active)

    @property
    def budget_bytes(self) -> int:
        return self._budget_bytes

    @property
    def used_bytes(self) -> int:
        return sum(active.candidate.used_bytes for active in self._active.values())

    def used_by(self, job: Hashable) -> int:
        """Bytes of its active requests."""
        return sum(active.candidate.used_bytes for active in self._active.values() if active.candidate.job == job)

    def used_by_request(self, request_id: str) -> int:
        """Bytes of an active request; 0 of any other."""
        active = self._active.get(request_id)
        return active.candidate.used_bytes if active is not None else 0

    def is_active(self, job: Hashable) -> bool:
        return any(active.candidate.job == job for active in self._active.values())

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
        if candidate.job not in self._served:
            self._arrivals += 1
            self._served[candidate.job] = (self._turn - 0.5, self._arrivals)
        self._waiting.setdefault(candidate.job, deque()).append(candidate)

    def schedule(self) -> tuple[Candidate, ...]:
        """The requests that start now; they count as active from here on."""
        started: list[Candidate] = []
        gap: _Gap | None = None
        for job in self._in_turn():
            if len(self._active) >= self._max_active:
                break
            candidate = self._waiting[job][0]
            if gap is None and not self._is_room(candidate):
                gap = self._gap(candidate)
                self._promised = job
            elif gap is None or (self._is_room(candidate) and gap.take(candidate, self._step)):
                self._start(job)
                started.append(candidate)
        return tuple(started)

    def waits(self) -> tuple[Wait, ...]:
        """The jobs that wait with nothing active, the next one first. After `schedule`."""
        free = max(0, self.limit_bytes - self.used_bytes)
        has_place = len(self._active) < self._max_active
        jobs = sorted(self._waiting, key=self._rank)
        return tuple(
            Wait(job, has_place, self._waiting[job][0].used_bytes, free, self.limit_bytes, before)
            for before, job in enumerate(jobs)
            if not self.is_active(job)
        )

    def count_step(self) -> None:
        """Every active request has taken a step."""
        self._step += 1

    def end(self, request_id: str) -> None:
        """An active request has ended, whichever way."""
        self._active.pop(request_id, None)

    def withdraw(self, job: Hashable) -> tuple[str, ...]:
        """The job leaves: what waits is dropped; gives the ids that are active and must be stopped."""
        self._waiting.pop(job, None)
        self._served.pop(job, None)
        if self._promised == job:
            self._promised = None
        stopped = tuple(id_ for id_, active in self._active.items() if active.candidate.job == job)
        for request_id in stopped:
            del self._active[request_id]
        return stopped

    def _in_turn(self) -> Iterator[Hashable]:
        """The job whose turn it is, again and again; one that does not start is not asked twice."""
        passed: set[Hashable] = set()
        while left := [job for job in self._waiting if job not in passed]:
            job = min(left, key=self._rank)
            before = self.waiting(job)
            yield job
            if self.waiting(job) == before:
                passed.add(job)

    def _is_room(self, candidate: Candidate) -> bool:
        return not self._active or self.used_bytes + candidate.used_bytes <= self.limit_bytes

    def _start(self, job: Hashable) -> None:
        candidate = self._waiting[job].popleft()
        if not self._waiting[job]:
            del self._waiting[job]
        if self._promised == job:
            self._promised = None
        self._turn += 1
        self._served[job] = (self._turn, self._served[job][1])
        self._active[candidate.id] = _Active(candidate, self._step + candidate.steps if candidate.steps else math.inf)

    def _gap(self, head: Candidate) -> _Gap:
        """When the bytes of the one whose turn it is are free at the latest, and what is left beside it then."""
        used = self.used_bytes
        until: float = self._step
        for active in sorted(self._active.values(), key=lambda active: active.until):
            used -= active.candidate.used_bytes
            until = active.until
            if used + head.used_bytes <= self.limit_bytes:
                break
        return _Gap(until, max(0, self.limit_bytes - used - head.used_bytes))

    def _rank(self, job: Hashable) -> tuple[int, bool, float, int]:
        return -self._waiting[job][0].priority, job != self._promised, *self._served[job]

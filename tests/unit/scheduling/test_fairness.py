"""How long anybody waits, whatever the mix of jobs: simulated step by step, against what the scheduler promises."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtake.scheduling import Candidate, Scheduler

BUDGET = 12
LONGEST = 20  # steps of a request
HELD = 4  # jobs in line at a time


@dataclass
class Piece:
    """A request: what it says that it will take, and what it takes."""

    used_bytes: int
    bound: int
    steps: int


@dataclass
class Simulation:
    """Jobs come in as soon as there is a place for one more, one request in line each, as VibeVoice speaks."""

    jobs: list[list[Piece]]
    max_active: int
    scheduler: Scheduler = field(init=False)
    now: int = 0
    offered: dict[str, int] = field(default_factory=dict)
    started: dict[str, int] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    deadlines: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    bounds: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.max_active, BUDGET)

    def run(self) -> None:
        left = {str(number): list(pieces) for number, pieces in enumerate(self.jobs)}
        spoken: Counter[str] = Counter()
        while left or self.ends:
            for job in [job for job, pieces in left.items() if not pieces and not self._has(job)]:
                del left[job]
                self.scheduler.withdraw(job)
            for job in list(left)[:HELD]:
                self._offer(job, left, spoken)
            for candidate in self.scheduler.schedule():
                piece = self.jobs[int(str(candidate.job))][int(candidate.id.split("/")[1])]
                self.started[candidate.id] = self.now
                self.order.append(str(candidate.job))
                self.ends[candidate.id] = self.now + piece.steps
                self.bounds[candidate.id] = self.now + piece.bound
            assert self.scheduler.used_bytes <= BUDGET
            assert self.ends or not left, "somebody speaks"
            self._note_deadline()
            self.now += 1
            self.scheduler.count_step()
            for request_id in [each for each, end in self.ends.items() if end <= self.now]:
                self.scheduler.end(request_id)
                del self.ends[request_id]

    def _offer(self, job: str, left: dict[str, list[Piece]], spoken: Counter[str]) -> None:
        if self._has(job) or not left[job]:
            return
        piece, request_id = left[job].pop(0), f"{job}/{spoken[job]}"
        spoken[job] += 1
        self.offered[request_id] = self.now
        self.scheduler.offer(Candidate(request_id, job, piece.used_bytes, steps=piece.bound))

    def _has(self, job: str) -> bool:
        return bool(self.scheduler.waiting(job)) or self.scheduler.is_active(job)

    def _note_deadline(self) -> None:
        """Of the one whose turn it is: when those that are active now have ended at the latest, until it fits."""
        waits = self.scheduler.waits()
        if not waits or not waits[0].for_memory:
            return
        job, needed = str(waits[0].job), waits[0].needed_bytes
        request_id = max(
            (each for each in self.offered if each.startswith(f"{job}/")), key=lambda id_: int(id_.split("/")[1])
        )
        used = self.scheduler.used_bytes
        for each in sorted(self.ends, key=self.bounds.__getitem__):
            other, number = each.split("/")
            used -= self.jobs[int(other)][int(number)].used_bytes
            if used + needed <= BUDGET:
                self.deadlines.setdefault(request_id, self.bounds[each])
                return


pieces = st.builds(
    lambda used_bytes, bound, share: Piece(used_bytes, bound, max(1, round(bound * share))),
    st.integers(1, BUDGET),
    st.integers(1, LONGEST),
    st.floats(0, 1),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(pieces, min_size=1, max_size=4), min_size=1, max_size=15), st.integers(1, 5))
def test_each_request_waits_at_most_what_is_stated(jobs: list[list[Piece]], max_active: int) -> None:
    seen = Simulation(jobs, max_active)
    seen.run()
    assert set(seen.started) == {f"{job}/{n}" for job, pieces in enumerate(jobs) for n in range(len(pieces))}
    for request_id, deadline in seen.deadlines.items():
        assert seen.started[request_id] <= deadline, f"{request_id} kept its turn and was delayed by others"
    # Its own turn, and one of each other job before it: those in line, and those that came before the next start.
    longest = (2 * HELD) * LONGEST
    for request_id, offered in seen.offered.items():
        assert seen.started[request_id] - offered <= longest


@given(st.integers(2, 20), st.integers(1, 3))
def test_a_long_one_is_not_kept_out_by_a_stream_of_short_ones(short: int, max_active: int) -> None:
    """Without the place of a newcomer behind those who wait longer, each new job would go first, for ever."""
    jobs = [[Piece(4, 10, 10)] * 3, *([Piece(4, 2, 2)] for _ in range(5 * short))]
    seen = Simulation(jobs, max_active)
    seen.run()
    for number in range(3):
        assert seen.started[f"0/{number}"] - seen.offered[f"0/{number}"] <= 2 * HELD * 2


def test_a_short_one_beside_a_long_one_is_next() -> None:
    long, short = [Piece(4, 20, 20)] * 5, [Piece(4, 1, 1)]
    scheduler = Scheduler(1, BUDGET)
    for number in range(len(long)):
        scheduler.offer(Candidate(f"long/{number}", "long", 4, steps=20))
    assert [each.id for each in scheduler.schedule()] == ["long/0"]
    scheduler.offer(Candidate("short/0", "short", short[0].used_bytes, steps=1))
    scheduler.end("long/0")
    assert [each.id for each in scheduler.schedule()] == ["short/0"]


@pytest.mark.parametrize("waiting_hour", [True, False])
def test_an_hour_that_waits_for_memory_does_not_keep_short_jobs_from_theirs(waiting_hour: bool) -> None:
    """Eight units: an hour holds five; another hour waits for as many; minutes of one unit go on beside."""
    scheduler = Scheduler(8, 8)
    scheduler.offer(Candidate("hour/0", "hour", 5, steps=27_000))
    scheduler.schedule()
    if waiting_hour:
        scheduler.offer(Candidate("other/0", "other", 5, steps=27_000))
    for number in range(10):
        scheduler.offer(Candidate(f"minute-{number}/0", f"minute-{number}", 1, steps=450))
    for _ in range(5 * 450):
        for each in scheduler.schedule():
            assert each.job != "other"
        for id_ in [f"minute-{number}/0" for number in range(10)]:
            if scheduler.is_active(id_.split("/")[0]) and scheduler._active[id_].until <= scheduler._step:
                scheduler.end(id_)
        scheduler.count_step()
    assert not any(scheduler.waiting(f"minute-{number}") for number in range(10))
    scheduler.end("hour/0")
    assert [each.id for each in scheduler.schedule()] == ["other/0"] * waiting_hour

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtake.core.errors import CapacityError
from longtake.scheduling import Candidate, Scheduler, Wait


def candidate(job: str, number: int, used_bytes: int = 1, priority: int = 0, steps: int = 0) -> Candidate:
    return Candidate(f"{job}/{number}", job, used_bytes, priority, steps)


def started(scheduler: Scheduler) -> list[str]:
    return [c.id for c in scheduler.schedule()]


def test_a_job_alone_gets_every_place_in_its_own_order() -> None:
    scheduler = Scheduler(max_active=2, budget_bytes=10)
    for number in range(4):
        scheduler.offer(candidate("a", number))
    assert started(scheduler) == ["a/0", "a/1"]
    assert started(scheduler) == []
    scheduler.end("a/1")
    assert started(scheduler) == ["a/2"]
    assert (scheduler.active, scheduler.waiting("a")) == (2, 1)


def test_two_jobs_take_turns_whichever_came_first() -> None:
    scheduler = Scheduler(max_active=1, budget_bytes=10)
    for number in range(3):
        scheduler.offer(candidate("long", number))
    order = started(scheduler)
    for number in range(2):
        scheduler.offer(candidate("short", number))
    for _ in range(4):
        scheduler.end(order[-1])
        order += started(scheduler)
    assert order == ["long/0", "short/0", "long/1", "short/1", "long/2"]


def test_priority_goes_first() -> None:
    scheduler = Scheduler(max_active=1, budget_bytes=10)
    scheduler.offer(candidate("batch", 0))
    scheduler.offer(candidate("speech", 0, priority=1))
    assert started(scheduler) == ["speech/0"]


def test_bytes_are_never_overspent_and_the_large_one_keeps_its_turn() -> None:
    scheduler = Scheduler(max_active=8, budget_bytes=10)
    scheduler.offer(candidate("a", 0, used_bytes=6))
    assert started(scheduler) == ["a/0"]
    scheduler.offer(candidate("big", 0, used_bytes=9))
    scheduler.offer(candidate("small", 0, used_bytes=2))
    assert started(scheduler) == [], "a small one may not overtake for ever"
    assert scheduler.used_bytes == 6
    scheduler.end("a/0")
    assert started(scheduler) == ["big/0"]
    scheduler.end("big/0")
    assert started(scheduler) == ["small/0"]


def test_one_that_fits_beside_the_large_one_need_not_wait_for_it() -> None:
    scheduler = Scheduler(max_active=8, budget_bytes=10)
    scheduler.offer(candidate("a", 0, used_bytes=6))
    assert started(scheduler) == ["a/0"]
    scheduler.offer(candidate("big", 0, used_bytes=9))
    scheduler.offer(candidate("small", 0, used_bytes=1))
    scheduler.offer(candidate("other", 0, used_bytes=1))
    assert started(scheduler) == ["small/0"], "there is no room for a second one beside the large one"
    scheduler.end("a/0")
    assert started(scheduler) == ["big/0"]


def test_one_that_ends_in_time_need_not_wait_for_the_large_one() -> None:
    scheduler = Scheduler(max_active=8, budget_bytes=10)
    scheduler.offer(candidate("a", 0, used_bytes=6, steps=10))
    assert started(scheduler) == ["a/0"]
    for _ in range(4):
        scheduler.count_step()
    scheduler.offer(candidate("big", 0, used_bytes=10))
    scheduler.offer(candidate("late", 0, used_bytes=4, steps=7))
    scheduler.offer(candidate("quick", 0, used_bytes=4, steps=6))
    assert started(scheduler) == ["quick/0"]


def test_why_a_job_waits() -> None:
    scheduler = Scheduler(max_active=2, budget_bytes=10)
    for job, used_bytes in (("a", 6), ("big", 9), ("small", 3)):
        scheduler.offer(candidate(job, 0, used_bytes=used_bytes))
    assert started(scheduler) == ["a/0"]
    assert scheduler.waits() == (Wait("big", True, 9, 4, 10, 0), Wait("small", True, 3, 4, 10, 1))
    scheduler.end("a/0")
    scheduler.offer(candidate("tiny", 0, used_bytes=1))
    assert started(scheduler) == ["big/0", "tiny/0"]
    assert scheduler.waits() == (Wait("small", False, 3, 0, 10, 0),), "there is no place either"
    scheduler.offer(candidate("big", 1))
    assert [wait.job for wait in scheduler.waits()] == ["small"], "big is being spoken"


def test_a_lower_limit_stops_nothing_but_lets_one_alone() -> None:
    scheduler = Scheduler(max_active=4, budget_bytes=10)
    for job in "abc":
        scheduler.offer(candidate(job, 0, used_bytes=4))
    assert started(scheduler) == ["a/0", "b/0"]
    scheduler.limit_bytes = 0
    assert (started(scheduler), scheduler.used_bytes, scheduler.used_by("a")) == ([], 8, 4)
    scheduler.end("a/0")
    assert started(scheduler) == []
    scheduler.end("b/0")
    assert started(scheduler) == ["c/0"], "however little there is, somebody goes on"
    scheduler.offer(candidate("d", 0, used_bytes=10))
    assert scheduler.budget_bytes == 10, "what fits into the budget is not refused meanwhile"
    scheduler.end("c/0")
    assert started(scheduler) == ["d/0"]


def test_what_can_never_fit_is_refused_with_its_numbers() -> None:
    with pytest.raises(CapacityError, match=r"2\.0 KiB.*1\.0 KiB.*--memory-budget"):
        Scheduler(1, 1024).offer(candidate("a", 0, used_bytes=2048))


def test_a_job_that_leaves_frees_its_places() -> None:
    scheduler = Scheduler(max_active=2, budget_bytes=10)
    for number in range(3):
        scheduler.offer(candidate("a", number))
    scheduler.offer(candidate("b", 0))
    assert started(scheduler) == ["a/0", "b/0"]
    assert scheduler.withdraw("a") == ("a/0",)
    assert (scheduler.active, scheduler.waiting("a")) == (1, 0)
    scheduler.end("a/0")  # a late end of a request that was withdrawn
    assert scheduler.active == 1


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 5)), min_size=1, max_size=60),
    st.integers(1, 4),
    st.integers(5, 12),
    st.randoms(),
)
def test_everything_starts_once_within_its_bounds(offers, max_active, budget, random) -> None:  # type: ignore[no-untyped-def]
    scheduler = Scheduler(max_active, budget)
    counts: Counter[str] = Counter()
    for job, used_bytes in offers:
        scheduler.offer(candidate(job, counts[job], used_bytes))
        counts[job] += 1
    active: list[str] = []
    order: list[str] = []
    while True:
        started_now = [c.id for c in scheduler.schedule()]
        active += started_now
        order += started_now
        if not active:
            break
        assert len(active) <= max_active
        assert scheduler.used_bytes <= budget
        ended = active.pop(random.randrange(len(active)))
        scheduler.end(ended)
    assert len(order) == len(set(order)) == len(offers)
    for job in counts:
        mine = [int(i.split("/")[1]) for i in order if i.startswith(job)]
        assert mine == sorted(mine), "a job's own order"

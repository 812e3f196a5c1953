from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.records import Job
from longtake.jobs.retention import DAY_S, Ended, kept_no_longer
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from tests.support.clock import HandClock
from tests.support.jobs import planned, spec, spoken

NOW_S = 100 * DAY_S
JOBS = [Ended("a", 90 * DAY_S, 10), Ended("b", 95 * DAY_S, 20), Ended("c", 99 * DAY_S, 30)]


@pytest.mark.parametrize(
    ("days", "limit_bytes", "total_bytes", "chosen"),
    [
        (None, None, 10**12, ""),
        (10, None, 0, ""),
        (9.99, None, 0, "a"),
        (3, None, 0, "ab"),
        (None, 60, 60, ""),
        (None, 59, 60, "a"),
        (None, 50, 60, "a"),
        (None, 49, 60, "ab"),
        (None, 0, 60, "abc"),
        (9.99, 50, 60, "a"),
        (9.99, 49, 60, "ab"),
        (None, 100, 1000, "abc"),
    ],
)
def test_the_old_go_and_then_the_oldest_until_the_rest_fits(
    days: float | None, limit_bytes: float | None, total_bytes: int, chosen: str
) -> None:
    found = kept_no_longer(JOBS, NOW_S, days=days, limit_bytes=limit_bytes, total_bytes=total_bytes)
    assert "".join(found) == chosen


@given(
    sizes=st.lists(st.integers(0, 100), max_size=8),
    days=st.none() | st.floats(0.1, 10),
    limit=st.none() | st.integers(0, 400),
    others=st.integers(0, 100),
)
def test_what_is_kept_is_young_and_fits_and_no_more_goes_than_must(
    sizes: list[int], days: float | None, limit: int | None, others: int
) -> None:
    jobs = [Ended(str(n), NOW_S - (len(sizes) - n) * DAY_S, size) for n, size in enumerate(sizes)]
    total = sum(sizes) + others
    gone = kept_no_longer(jobs, NOW_S, days=days, limit_bytes=limit, total_bytes=total)
    assert gone == [job.id for job in jobs][: len(gone)], "the first ended first"
    kept = jobs[len(gone) :]
    left = others + sum(job.bytes for job in kept)
    assert days is None or all(NOW_S - job.at <= days * DAY_S for job in kept)
    assert limit is None or left <= limit or not kept
    if gone:
        last = jobs[len(gone) - 1]
        was_old = days is not None and NOW_S - last.at > days * DAY_S
        assert was_old or (limit is not None and left + last.bytes > limit)


def end(store: JobStore, desk: WorkerDesk, clock: HandClock, **submitted: object) -> Job:
    clock.sleep(1)
    job, _ = store.submit(spec(), "x", planned(1), **submitted)  # type: ignore[arg-type]
    claim = desk.claim()
    assert claim is not None
    desk.commit(claim, [spoken(0)])
    desk.finish(claim, "audio-1.pcm", 1)
    return store.job(job.id)


def test_ended_jobs_are_offered_by_their_end(
    store: JobStore, make_desk: Callable[..., WorkerDesk], clock: HandClock
) -> None:
    late, _ = store.submit(spec(engine="other"), "x", planned(1))
    first, second = end(store, make_desk(), clock), end(store, make_desk(), clock)
    clock.sleep(1)
    store.cancel(late.id)
    ids = [first.id, second.id, late.id]
    assert store.deletable_jobs() == [(job_id, store.job(job_id).ended_at) for job_id in ids]


def test_what_is_under_way_or_waited_for_is_never_offered(
    store: JobStore, make_desk: Callable[..., WorkerDesk], clock: HandClock, db: Database
) -> None:
    undelivered = end(store, make_desk(), clock, out_path="/a.mp3")
    assert store.job(undelivered.id).is_undelivered
    job, _ = store.submit(spec(), "x", planned(1))
    states = [job.state, store.pause(job.id).state, store.resume(job.id).state]
    desk = make_desk()
    for ask in (lambda: desk.claim(), lambda: store.pause(job.id), lambda: store.cancel(job.id)):
        assert store.deletable_jobs() == []
        ask()
        states.append(store.job(job.id).state)
    assert store.deletable_jobs() == []
    assert {State.QUEUED, State.PAUSED, State.RUNNING, State.PAUSING, State.CANCELLING} == set(states)
    store.note_delivered(undelivered.id)
    assert [job_id for job_id, _ in store.deletable_jobs()] == [undelivered.id]


def test_an_earlier_version_stays_until_the_new_one_is_done(
    store: JobStore, make_desk: Callable[..., WorkerDesk], clock: HandClock, db: Database
) -> None:
    earlier = end(store, make_desk(), clock)
    new, _ = store.submit(spec(), "x", planned(1))
    db._connection().execute("UPDATE jobs SET earlier_of = ? WHERE id = ?", (new.id, earlier.id))
    assert store.deletable_jobs() == []
    store.cancel(new.id)
    assert [job_id for job_id, _ in store.deletable_jobs()] == [earlier.id, new.id]


def test_speech_is_not_kept_and_so_not_offered(store: JobStore) -> None:
    from longtake.jobs.records import Kind

    job, _ = store.submit(spec(), "x", planned(1), kind=Kind.SPEECH)
    store.cancel(job.id)
    assert store.deletable_jobs() == []

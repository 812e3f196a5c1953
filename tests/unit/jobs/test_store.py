from __future__ import annotations

from collections.abc import Callable

import pytest

from longtake.core.errors import ConflictError, InputError, NotFoundError, QueueFullError
from longtake.jobs.changes import MAX_CRASHES
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.records import Kind
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from tests.support.clock import HandClock
from tests.support.jobs import planned, spec, spoken

MakeDesk = Callable[..., WorkerDesk]


def test_a_submitted_job_is_queued_whole(store: JobStore) -> None:
    asked = spec(voices={1: "en-us", 2: "cmn"}, labels={1: "Ann", 2: "明"}, settings={"pitch": 40}, speed=1.5)
    job, is_new = store.submit(asked, "Ann: hi", planned(3), out_path="/x.mp3")
    assert is_new
    assert (job.state, job.passages_total, job.passages_done) == (State.QUEUED, 3, 0)
    assert job.spec == asked
    assert job.estimated_s == pytest.approx(6.0)
    assert job.out_path == "/x.mp3"
    assert store.job(job.id) == job
    assert store.script(job.id) == "Ann: hi"
    assert [p for p, _ in store.passages(job.id)] == [p.passage for p in planned(3)]
    assert [(e.number, e.data["to"]) for e in store.events(job.id)] == [(1, "queued")]


def test_nothing_to_speak_is_no_job(store: JobStore) -> None:
    with pytest.raises(InputError, match="nothing to speak"):
        store.submit(spec(), "", [])


def test_an_unknown_job_is_told(store: JobStore) -> None:
    for ask in (store.job, store.script, store.pause, store.resume, store.cancel, store.forget):
        with pytest.raises(NotFoundError, match="job_nope"):
            ask("job_nope")


def test_the_queue_is_bounded_in_jobs(store: JobStore) -> None:
    first, _ = store.submit(spec(), "x", planned(1))
    for _ in range(4):
        store.submit(spec(), "x", planned(1))
    with pytest.raises(QueueFullError, match=r"holds 5 jobs.*--max-queued-jobs") as caught:
        store.submit(spec(), "x", planned(1))
    assert caught.value.retry_after_s
    assert store.submit(spec(), "one", planned(1), kind=Kind.PROBE)[1]  # health may always ask
    store.cancel(first.id)
    store.cancel(store.jobs()[0].id)
    assert store.submit(spec(), "x", planned(1))[1]


def test_the_queue_is_bounded_in_audio(store: JobStore) -> None:
    store.submit(spec(), "x", planned(49))
    with pytest.raises(QueueFullError, match=r"1:38 of audio.*0:04.*1:40.*--max-queued-hours"):
        store.submit(spec(), "x", planned(2))
    assert store.submit(spec(), "x", planned(1))[1]
    assert store.queue_load() == (2, pytest.approx(100.0))


def test_the_same_key_gives_the_same_job(store: JobStore) -> None:
    job, _ = store.submit(spec(), "x", planned(1), idempotency=("k", "print-1"))
    again, is_new = store.submit(spec(), "x", planned(1), idempotency=("k", "print-1"))
    assert (again.id, is_new) == (job.id, False)
    with pytest.raises(ConflictError, match="another request") as caught:
        store.submit(spec(), "y", planned(1), idempotency=("k", "print-2"))
    assert caught.value.code == "idempotency_key_reused"
    assert store.submit(spec(), "x", planned(1), idempotency=("k2", "print-1"))[1]
    assert len(store.jobs()) == 2


def test_jobs_are_listed_newest_first_in_pages(store: JobStore) -> None:
    ids = [store.submit(spec(), "x", planned(1))[0].id for _ in range(4)]
    store.submit(spec(), "x", planned(1), kind=Kind.SPEECH)  # nobody's business but its caller's
    first = store.jobs(limit=3)
    assert [job.id for job in first] == ids[:0:-1]
    assert [job.id for job in store.jobs(before=first[-1].number, limit=3)] == ids[:1]


def test_place_in_queue_counts_the_same_engine_and_the_fast_lane(store: JobStore) -> None:
    first, _ = store.submit(spec(), "x", planned(1))
    store.submit(spec(engine="other"), "x", planned(1))
    second, _ = store.submit(spec(), "x", planned(1))
    assert (store.place_in_queue(first.id), store.place_in_queue(second.id)) == (0, 1)
    store.submit(spec(), "x", planned(1), kind=Kind.SPEECH)
    assert store.place_in_queue(first.id) == 1


def test_a_queued_job_obeys_at_once(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    assert store.pause(job.id).state is State.PAUSED
    assert make_desk().claim() is None
    assert store.resume(job.id).state is State.QUEUED
    assert store.cancel(job.id).state is State.CANCELLED
    assert store.cancel(job.id).ended_at is not None
    with pytest.raises(ConflictError):
        store.resume(job.id)
    assert [e.data["to"] for e in store.events(job.id)] == ["queued", "paused", "queued", "cancelled"]


def test_a_users_pause_outlives_the_reason_of_another(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    desk = make_desk()
    claim = desk.claim()
    assert claim is not None
    desk.suspend(claim, "disk full: …")
    assert store.job(job.id).reason == "disk full: …"
    assert store.pause(job.id).reason is None, "or the host would go on when there is room"


def test_a_running_job_keeps_the_wish_until_its_worker_obeys(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    desk = make_desk()
    claim = desk.claim()
    assert claim is not None
    assert store.pause(job.id).state is State.PAUSING
    assert store.resume(job.id).state is State.RUNNING
    assert store.cancel(job.id).state is State.CANCELLING
    assert desk.release(claim) is State.CANCELLED


def test_events_are_numbered_without_gaps_and_replay(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(3))
    desk = make_desk()
    claim = desk.claim()
    assert claim is not None
    for index in range(3):
        desk.commit(claim, [spoken(index)])
    desk.finish(claim, "audio-1.pcm", 1)
    events = store.events(job.id)
    assert [e.number for e in events] == [1, 2, 3, 4, 5, 6]
    assert [e.kind for e in events] == ["state", "state", "progress", "progress", "progress", "state"]
    assert [e.number for e in store.events(job.id, after=4)] == [5, 6]
    assert len(store.events(job.id, limit=2)) == 2


def test_a_dead_workers_jobs_are_free_at_once(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(2))
    first = make_desk("w1")
    claim = first.claim()
    assert claim is not None
    first.commit(claim, [spoken(0)])
    assert [j.state for j in store.release_worker("w1", crashed="killed by SIGKILL")] == [State.QUEUED]
    again = make_desk("w2").claim()
    assert again is not None
    assert (again.token, sorted(again.spoken)) == (2, [0])
    assert store.job(job.id).crashes == 1


def test_a_wish_outlives_the_worker(store: JobStore, make_desk: MakeDesk) -> None:
    for wish, after in ((store.pause, State.PAUSED), (store.cancel, State.CANCELLED)):
        job, _ = store.submit(spec(), "x", planned(1))
        make_desk("w1").claim()
        wish(job.id)
        assert store.release_worker("w1", crashed="killed")[0].state is after


def test_a_job_that_kills_its_workers_is_set_aside(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    for number in range(MAX_CRASHES):
        assert store.job(job.id).state is State.QUEUED
        make_desk(f"w{number}").claim()
        store.release_worker(f"w{number}", crashed=f"exit code {number}")
    failed = store.job(job.id)
    assert failed.state is State.FAILED
    assert failed.error is not None
    assert failed.error["code"] == "job_kills_workers"
    assert "exit code 2" in failed.error["message"]
    assert store.resume(job.id).crashes == 0
    assert make_desk("w9").claim() is not None
    assert store.job(job.id).error is None  # it is running again: the old error is history


def test_an_orderly_stop_is_no_crash(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    for number in range(MAX_CRASHES + 1):
        make_desk(f"w{number}").claim()
        store.release_worker(f"w{number}", crashed=None)
    assert (store.job(job.id).state, store.job(job.id).crashes) == (State.QUEUED, 0)


def test_a_new_host_frees_whatever_was_held(store: JobStore, make_desk: MakeDesk) -> None:
    store.submit(spec(), "x", planned(1))
    desk = make_desk("w1")
    desk.heartbeat(state="ready", steps=1, active=1)
    desk.claim()
    assert len(store.workers()) == 1
    assert [job.state for job in store.release_all()] == [State.QUEUED]
    assert store.workers() == []


def test_speech_of_a_dead_host_is_cancelled(store: JobStore, make_desk: MakeDesk) -> None:
    speech, _ = store.submit(spec(), "x", planned(1), kind=Kind.SPEECH)
    running, _ = store.submit(spec(), "x", planned(1), kind=Kind.PROBE)
    job, _ = store.submit(spec(), "x", planned(1))
    make_desk("w1").claim()
    store.release_all()
    states = {j.id: store.job(j.id).state for j in (speech, running, job)}
    assert states == {speech.id: State.CANCELLED, running.id: State.CANCELLED, job.id: State.QUEUED}


def test_only_ended_jobs_are_forgotten(store: JobStore) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    with pytest.raises(ConflictError, match="Cancel it before"):
        store.forget(job.id)
    store.cancel(job.id)
    store.forget(job.id)
    with pytest.raises(NotFoundError):
        store.job(job.id)


def test_stale_transients_are_found(store: JobStore, clock: HandClock) -> None:
    for kind in (Kind.JOB, Kind.SPEECH, Kind.PROBE):
        job, _ = store.submit(spec(), "x", planned(1), kind=kind)
        store.cancel(job.id)
    assert store.stale_transients(60.0) == []
    clock.sleep(61.0)
    assert len(store.stale_transients(60.0)) == 2


def test_numbers_go_on_growing_after_a_deletion(store: JobStore) -> None:
    first, _ = store.submit(spec(), "x", planned(1))
    second, _ = store.submit(spec(), "x", planned(1))
    store.cancel(first.id)
    store.forget(first.id)
    third, _ = store.submit(spec(), "x", planned(1))
    assert third.number > second.number
    assert len({j.number for j in store.jobs()}) == 2


# Counts of the cache


def beat(desk: WorkerDesk, hits: int, misses: int) -> None:
    desk.heartbeat(state="ready", steps=1, active=0, cache_hits=hits, cache_misses=misses)


def test_counts_of_the_cache_never_go_back_however_a_worker_ends(store: JobStore, make_desk: MakeDesk) -> None:
    assert store.cache_counts() == {}
    first, second, other = make_desk("w1"), make_desk("w2"), make_desk("v1", "vibevoice")
    beat(first, 1, 4)
    beat(first, 3, 5)
    beat(other, 0, 0)
    [row] = [row for row in store.workers() if row.id == "w1"]
    assert (row.cache_hits, row.cache_misses) == (3, 5)
    expected = {"espeak": (3, 5), "vibevoice": (0, 0)}
    assert store.cache_counts() == expected
    first.sign_off()
    store.release_worker("w1", crashed=None)  # the host does so, too, once the process has ended
    assert store.cache_counts() == expected
    beat(second, 10, 20)
    assert store.cache_counts()["espeak"] == (13, 25)
    store.release_worker("w2", crashed="killed by signal 9")
    assert store.cache_counts()["espeak"] == (13, 25)
    beat(make_desk("w3"), 100, 200)
    store.release_all()
    assert store.cache_counts()["espeak"] == (113, 225)
    store.release_all()
    assert store.cache_counts() == {"espeak": (113, 225), "vibevoice": (0, 0)}
    assert store.workers() == [], "a sum is no worker"

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace

import pytest

from longtake.core.errors import InvariantError, LeaseLostError
from longtake.jobs.changes import MAX_CRASHES
from longtake.jobs.desk import LEASE_S, WorkerDesk
from longtake.jobs.records import Kind
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from tests.support.clock import HandClock
from tests.support.jobs import planned, spec, spoken

MakeDesk = Callable[..., WorkerDesk]


def test_claims_are_first_come_first_served_and_once(store: JobStore, make_desk: MakeDesk) -> None:
    ids = [store.submit(spec(), "x", planned(1))[0].id for _ in range(2)]
    one, two = make_desk("w1"), make_desk("w2")
    claims = [one.claim(), two.claim(), one.claim()]
    assert [claim and claim.job.id for claim in claims] == [*ids, None]


def test_a_worker_claims_its_own_engine_and_its_own_job(store: JobStore, make_desk: MakeDesk) -> None:
    store.submit(spec(), "x", planned(1))
    wanted, _ = store.submit(spec(), "x", planned(1))
    assert make_desk("w1", "vibevoice").claim() is None
    claim = make_desk("w2", only_job=wanted.id).claim()
    assert claim is not None
    assert claim.job.id == wanted.id
    assert make_desk("w2", only_job=wanted.id).claim() is None


def test_a_job_whose_worker_lets_go_between_two_looks_is_found(
    store: JobStore, make_desk: MakeDesk, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease has lapsed, and before anybody looks for such jobs it is queued."""
    job, _ = store.submit(spec(), "x", planned(1))
    late, heir = make_desk("w1"), make_desk("w2")
    claim = late.claim()
    assert claim is not None
    clock.sleep(LEASE_S + 1)
    look = heir._lapsed

    def look_late() -> list[sqlite3.Row]:
        monkeypatch.setattr(heir, "_lapsed", look)
        late.release(claim)
        return look()

    monkeypatch.setattr(heir, "_lapsed", look_late)
    found = heir.claim()
    assert found is not None
    assert (found.job.id, found.token) == (job.id, 2)


def test_the_fast_lane_goes_first(store: JobStore, make_desk: MakeDesk) -> None:
    store.submit(spec(), "x", planned(1))
    desk = make_desk()
    assert desk.claim(min_priority=1) is None
    speech, _ = store.submit(spec(), "x", planned(1), kind=Kind.SPEECH)
    probe, _ = store.submit(spec(), "x", planned(1), kind=Kind.PROBE)
    for expected in (probe, speech):
        claim = desk.claim()
        assert claim is not None
        assert claim.job.id == expected.id


def test_progress_grows_with_each_commit_and_joins_count(
    store: JobStore, make_desk: MakeDesk, clock: HandClock
) -> None:
    job, _ = store.submit(spec(), "x", planned(2, estimated_s=4.0, silence_s=0.5))
    desk = make_desk()
    claim = desk.claim()
    assert claim is not None
    clock.sleep(2.0)
    desk.commit(claim, [spoken(0, samples=72_000)])  # 3 s where 4 were expected
    half = store.job(job.id)
    assert (half.passages_done, half.audio_samples) == (1, 72_000)
    assert half.estimated_s == pytest.approx(3.0 + 4.0)
    assert half.rate == pytest.approx(1.5)
    assert half.eta_s == pytest.approx(4.0 / 1.5)
    desk.commit(claim, [spoken(1, samples=72_000)])
    whole = store.job(job.id)
    assert whole.audio_samples == 144_000 + 12_000
    assert whole.remaining_s == 0.0


def test_a_passage_is_committed_once(store: JobStore, make_desk: MakeDesk) -> None:
    store.submit(spec(), "x", planned(2))
    desk = make_desk()
    claim = desk.claim()
    assert claim is not None
    desk.commit(claim, [spoken(0)])
    with pytest.raises(InvariantError):
        desk.commit(claim, [spoken(1), spoken(0)])
    again = store.passages(claim.job.id)
    assert again[0][1] is not None
    assert again[0][1].stretches == (spoken(0),)
    assert again[1][1] is None  # the whole batch was rolled back


def test_done_never_has_a_hole(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(2))
    desk = make_desk()
    claim = desk.claim()
    assert claim is not None
    desk.commit(claim, [spoken(1)])
    with pytest.raises(InvariantError, match="never committed"):
        desk.finish(claim, "audio.pcm", 1)
    assert store.job(job.id).state is State.RUNNING
    desk.commit(claim, [spoken(0)])
    assert desk.finish(claim, "audio.pcm", 99) is State.DONE
    done = store.job(job.id)
    assert (done.audio_file, done.audio_bytes) == ("audio.pcm", 99)


def test_a_damaged_passage_is_spoken_again(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(2))
    before = store.job(job.id)
    desk = make_desk()
    claim = desk.claim()
    assert claim is not None
    desk.commit(claim, [spoken(0)])
    desk.uncommit(claim, 0)
    desk.uncommit(claim, 0)  # twice is once
    after = store.job(job.id)
    assert (after.passages_done, after.audio_samples) == (0, 0)
    assert after.remaining_s == pytest.approx(before.remaining_s)
    desk.commit(claim, [spoken(0)])
    assert store.job(job.id).passages_done == 1


def test_a_zombie_cannot_write(store: JobStore, make_desk: MakeDesk, clock: HandClock) -> None:
    job, _ = store.submit(spec(), "x", planned(2))
    zombie, heir = make_desk("w1"), make_desk("w2")
    old = zombie.claim()
    assert old is not None
    clock.sleep(LEASE_S - 1)
    assert heir.claim() is None
    clock.sleep(2)
    new = heir.claim()
    assert new is not None
    assert new.token == old.token + 1
    assert zombie.owned() == {}
    for write in (
        lambda: zombie.commit(old, [spoken(0)]),
        lambda: zombie.uncommit(old, 0),
        lambda: zombie.finish(old, "a", 1),
        lambda: zombie.fail(old, {"message": "x"}),
        lambda: zombie.suspend(old, "x"),
        lambda: zombie.release(old),
    ):
        with pytest.raises(LeaseLostError, match="another one goes on"):
            write()
    assert store.job(job.id).state is State.RUNNING
    heir.commit(new, [spoken(0), spoken(1)])
    assert heir.finish(new, "a", 1) is State.DONE


def test_the_same_worker_with_an_old_claim_is_a_zombie_too(store: JobStore, make_desk: MakeDesk) -> None:
    store.submit(spec(), "x", planned(1))
    desk = make_desk("w1")
    old = desk.claim()
    assert old is not None
    desk.release(old)
    new = desk.claim()
    assert new is not None
    with pytest.raises(LeaseLostError):
        desk.commit(old, [spoken(0)])
    desk.commit(new, [spoken(0)])


def test_a_heartbeat_renews_the_lease(store: JobStore, make_desk: MakeDesk, clock: HandClock) -> None:
    store.submit(spec(), "x", planned(1))
    desk, other = make_desk("w1"), make_desk("w2")
    assert desk.claim() is not None
    for step in range(10):
        clock.sleep(LEASE_S * 0.9)
        desk.heartbeat(state="ready", steps=step, active=1)
        assert other.claim() is None
    assert [(row.id, row.steps, row.active) for row in store.workers()] == [("w1", 9, 1)]
    desk.sign_off()
    assert store.workers() == []


def test_a_lease_of_another_boot_is_void(store: JobStore, make_desk: MakeDesk, clock: HandClock) -> None:
    store.submit(spec(), "x", planned(1))
    assert make_desk("w1").claim() is not None
    clock.boot_id, clock.now_s = "boot-b", 5.0  # the machine restarted: its monotonic clock did too
    assert make_desk("w2").claim() is not None


def test_the_wall_clock_has_no_say(store: JobStore, make_desk: MakeDesk, clock: HandClock) -> None:
    store.submit(spec(), "x", planned(1))
    assert make_desk("w1").claim() is not None
    clock.wall_s = lambda: 9e9  # type: ignore[method-assign]  # the clock was set forward by centuries
    assert make_desk("w2").claim() is None


def test_suspended_jobs_say_why_and_go_on(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    desk = make_desk()
    claim = desk.claim()
    assert claim is not None
    assert desk.suspend(claim, "disk full: x") is State.PAUSED
    assert store.job(job.id).reason == "disk full: x"
    assert store.resume(job.id).reason is None
    assert desk.claim() is not None


def test_a_failed_job_keeps_its_error(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    desk = make_desk()
    claim = desk.claim()
    assert claim is not None
    desk.fail(claim, {"message": "no voice", "type": "engine_error", "param": None, "code": "x"})
    failed = store.job(job.id)
    assert failed.state is State.FAILED
    assert failed.error == {"message": "no voice", "type": "engine_error", "param": None, "code": "x"}


def test_paces_are_learned_at_speed_one(store: JobStore, make_desk: MakeDesk) -> None:
    desk = make_desk()
    for speed, samples in ((1.0, 48_000), (2.0, 24_000)):
        store.submit(spec(speed=speed), "x", planned(2, units=5))
        claim = desk.claim()
        assert claim is not None
        desk.commit(claim, [spoken(0, samples=samples), spoken(1, samples=samples)])
        desk.finish(claim, "a", 1)
    assert store.learned_paces("espeak") == {"en": (20.0, pytest.approx(8.0))}
    assert store.learned_paces("other") == {}


def test_what_has_a_remark_teaches_nothing(store: JobStore, make_desk: MakeDesk) -> None:
    """It was cut, or hardly spoken: the next script would be expected to be as short."""
    desk = make_desk()
    store.submit(spec(), "x", planned(3, units=5))
    claim = desk.claim()
    assert claim is not None
    cut = replace(spoken(1, samples=240), remark="Most of passage 2 is probably missing.")
    desk.commit(claim, [spoken(0, samples=48_000), cut, spoken(2, samples=24_000)])
    desk.finish(claim, "a", 1)
    assert store.learned_paces("espeak") == {"en": (10.0, pytest.approx(3.0))}


def test_who_gets_on_is_no_suspect(store: JobStore, make_desk: MakeDesk) -> None:
    """Workers die of many things: only a job that none of three could bring further is set aside."""
    job, _ = store.submit(spec(), "x", planned(6))
    for index in range(5):
        desk = make_desk()
        claim = desk.claim()
        assert claim is not None
        desk.commit(claim, [spoken(index)])
        assert store.job(job.id).crashes == 0
        store.release_worker(desk.worker_id, crashed="killed by signal 9")
        assert (store.job(job.id).state, store.job(job.id).crashes) == (State.QUEUED, 1)


def test_a_suspect_is_left_for_whoever_takes_it_alone(store: JobStore, make_desk: MakeDesk) -> None:
    suspect, _ = store.submit(spec(), "x", planned(2))
    desk = make_desk()
    assert desk.claim() is not None
    store.release_worker(desk.worker_id, crashed="killed by signal 9")
    other, _ = store.submit(spec(), "x", planned(2))
    heir = make_desk()
    claim = heir.claim(suspects=False)
    assert claim is not None
    assert claim.job.id == other.id
    assert heir.claim(suspects=False) is None
    claim = heir.claim()
    assert claim is not None
    assert claim.job.id == suspect.id


def test_who_only_goes_in_circles_stays_a_suspect(store: JobStore, make_desk: MakeDesk) -> None:
    """Half a passage that the next worker must speak again, and what is taken back, bring a job no further."""
    job, _ = store.submit(spec(), "x", planned(2))
    half = replace(spoken(0), is_last=False, marks=())
    for deaths in range(1, MAX_CRASHES + 1):
        desk = make_desk()
        claim = desk.claim()
        assert claim is not None
        desk.uncommit(claim, 0)
        desk.commit(claim, [half])
        store.release_worker(desk.worker_id, crashed="killed by signal 11")
        assert store.job(job.id).crashes == deaths
    assert store.job(job.id).state is State.FAILED
    store.resume(job.id)
    desk = make_desk()
    claim = desk.claim()
    assert claim is not None
    desk.commit(claim, [replace(half, number=1, trace_bytes=8)])
    store.release_worker(desk.worker_id, crashed="killed by signal 11")
    assert store.job(job.id).crashes == 1, "behind a trace the next worker goes on"


@pytest.mark.parametrize(("wish", "after"), [("pause", State.PAUSED), ("cancel", State.CANCELLED)])
def test_a_wish_is_reason_enough(store: JobStore, make_desk: MakeDesk, wish: str, after: State) -> None:
    """A full disk met a job that was being paused: the host must not resume it when there is room."""
    job, _ = store.submit(spec(), "x", planned(1))
    desk = make_desk()
    claim = desk.claim()
    assert claim is not None
    getattr(store, wish)(job.id)
    assert desk.suspend(claim, "disk full: x") is after
    assert store.job(job.id).reason is None


def test_a_job_that_goes_on_forgets_how_it_had_ended(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    desk = make_desk()
    claim = desk.claim()
    assert claim is not None
    desk.fail(claim, {"message": "x"})
    assert store.job(job.id).ended_at is not None
    resumed = store.resume(job.id)
    assert (resumed.state, resumed.error, resumed.ended_at) == (State.QUEUED, None, None)
    claim = desk.claim()
    assert claim is not None
    desk.commit(claim, [spoken(0)])
    desk.finish(claim, "a", 1)
    store.note_delivered(job.id)
    again = store.reopen(job.id)
    assert (again.audio_file, again.audio_bytes, again.ended_at, again.delivered_at) == (None, None, None, None)


def test_a_done_job_says_what_its_user_should_know(store: JobStore, make_desk: MakeDesk) -> None:
    store.submit(spec(), "x", planned(2))
    desk = make_desk("w1")
    claim = desk.claim()
    assert claim is not None
    desk.commit(claim, [spoken(1), replace(spoken(0), remark="Passage 1 was cut.")])
    desk.finish(claim, "audio-1", 1)
    assert store.job(claim.job.id).reason == "Passage 1 was cut."


def test_what_was_spoken_again_is_remarked_no_more(store: JobStore, make_desk: MakeDesk) -> None:
    store.submit(spec(), "x", planned(2))
    desk = make_desk("w1")
    claim = desk.claim()
    assert claim is not None
    desk.commit(claim, [replace(spoken(0), remark="Passage 1 was cut."), replace(spoken(1), remark="So was 2.")])
    desk.uncommit(claim, 0)
    desk.commit(claim, [spoken(0)])
    desk.finish(claim, "audio-1", 1)
    assert store.job(claim.job.id).reason == "So was 2."

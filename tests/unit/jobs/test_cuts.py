"""A job cut back: what becomes of its rows, of its earlier version, and of everybody who had a hand in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from longtake.core.errors import ConflictError, LeaseLostError, NotFoundError
from longtake.jobs.cuts import TakenAwayError
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.records import Claim, Cut, Job, Kind
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from tests.support.jobs import planned, spec, spoken

MakeDesk = Callable[..., WorkerDesk]
SEED = 99


def claim_of(desk: WorkerDesk) -> Claim:
    claim = desk.claim()
    assert claim is not None
    return claim


def finished(store: JobStore, desk: WorkerDesk, passages: int = 4, **options: str) -> Job:
    job, _ = store.submit(spec(title="Show"), "the script", planned(passages), **options)  # type: ignore[arg-type]
    claim = claim_of(desk)
    desk.commit(claim, [spoken(index) for index in range(passages)])
    desk.finish(claim, "audio-1.pcm", 9)
    return store.job(job.id)


def cut(store: JobStore, job_id: str, index: int, earlier_id: str = "job_earlier") -> Job:
    return store.cuts.cut(store.cuts.take(job_id), Cut(index, 0, None, 12.34, SEED), earlier_id)


def kept(store: JobStore, job_id: str) -> list[bool]:
    return [found is not None for _, found in store.passages(job_id)]


def numbers(store: JobStore, job_id: str) -> list[int]:
    return [event.number for event in store.events(job_id)]


def test_a_done_job_is_queued_again_and_counts_what_it_has_left(store: JobStore, make_desk: MakeDesk) -> None:
    before = finished(store, make_desk(), out_path="/a.pcm")
    store.note_delivered(before.id)
    job = cut(store, before.id, 2)
    assert (job.state, job.token, job.number) == (State.QUEUED, 2, before.number)
    assert (job.audio_file, job.audio_bytes, job.ended_at, job.delivered_at) == (None, None, None, None)
    assert (job.out_path, job.earlier_of) == ("/a.pcm", None)
    assert kept(store, job.id) == [True, True, False, False]
    assert (job.passages_done, job.audio_samples) == (2, 24_000 + 12_000 + 24_000)
    assert (job.remaining_s, job.estimated_s) == (4.0, 4.0 + 2.5)
    assert job.reason == "spoken again from 0:12.340; the earlier version is job_earlier until that is done"
    told = store.events(job.id)[-1]
    assert told.kind == "again"
    assert told.data == {"from_seconds": 12.34, "passage": 2, "seed": SEED, "earlier_version": "job_earlier"}
    assert numbers(store, job.id) == list(range(1, len(numbers(store, job.id)) + 1))


def test_only_what_is_spoken_again_has_the_new_seed(store: JobStore, make_desk: MakeDesk) -> None:
    desk = make_desk()
    job = finished(store, desk)
    cut(store, job.id, 2)
    assert claim_of(desk).seeds == {2: SEED, 3: SEED}


def test_the_earlier_version_is_a_job_of_its_own(store: JobStore, make_desk: MakeDesk, db: Database) -> None:
    before = finished(store, make_desk(), out_path="/a.pcm", idempotency=("k", "f"))  # type: ignore[arg-type]
    passages = store.passages(before.id)
    cut(store, before.id, 0)
    earlier = store.job("job_earlier")
    assert (earlier.state, earlier.earlier_of, earlier.kind) == (State.DONE, before.id, Kind.JOB)
    assert (earlier.audio_file, earlier.audio_bytes, earlier.ended_at) == ("audio-1.pcm", 9, before.ended_at)
    assert (earlier.audio_samples, earlier.passages_done) == (before.audio_samples, 4)
    assert earlier.spec == replace(before.spec, title="Show (earlier version)")
    assert (earlier.out_path, earlier.number) == (None, before.number + 1), "the copy is the job's"
    assert store.passages("job_earlier") == passages
    assert store.script("job_earlier") == "the script"
    assert numbers(store, "job_earlier") == [1]
    known = store.known("k", "f")
    assert known is not None
    assert known.id == before.id


@pytest.mark.parametrize("was", ["queued", "paused", "failed", "running", "pausing"])
def test_what_was_not_done_has_an_earlier_version_that_is_paused(
    store: JobStore, make_desk: MakeDesk, was: str
) -> None:
    job, _ = store.submit(spec(), "x", planned(3))
    desk = make_desk()
    claim = claim_of(desk)
    desk.commit(claim, [spoken(0), spoken(1)])
    match was:
        case "queued":
            desk.release(claim)
        case "paused":
            store.pause(job.id)
            desk.release(claim)
        case "failed":
            desk.fail(claim, {"message": "m"})
        case "pausing":
            store.pause(job.id)
    assert store.job(job.id).state == was
    now = cut(store, job.id, 1)
    earlier = store.job("job_earlier")
    assert (now.state, now.error, now.passages_done) == (State.QUEUED, None, 1)
    assert (earlier.state, earlier.error, earlier.ended_at, earlier.passages_done) == (State.PAUSED, None, None, 2)
    assert f"earlier version of {job.id}" in (earlier.reason or "")
    states = [event.data["to"] for event in store.events(job.id) if event.kind == "state"]
    assert states[-1] == "queued"
    assert numbers(store, job.id) == list(range(1, len(numbers(store, job.id)) + 1))


def test_a_worker_that_speaks_it_loses_it_and_may_have_it_again(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(3))
    desk = make_desk()
    old = claim_of(desk)
    desk.commit(old, [spoken(0)])
    taken = store.cuts.take(job.id)
    assert (taken.was, taken.job.state, taken.job.token) == (State.RUNNING, State.PAUSED, 2)
    assert "until it is resumed it is as it was" in (taken.job.reason or "")
    assert desk.claim() is None, "nobody speaks it meanwhile"
    for write in (
        lambda: desk.commit(old, [spoken(1)]),
        lambda: desk.finish(old, "a", 1),
        lambda: desk.release(old),
        lambda: desk.uncommit(old, 0),
    ):
        with pytest.raises(LeaseLostError):
            write()
    store.cuts.cut(taken, Cut(0, 0, None, 0.0, SEED), "job_earlier")
    new = claim_of(desk)
    assert (new.job.id, new.token, dict(new.spoken)) == (job.id, 3, {})
    with pytest.raises(LeaseLostError):
        desk.commit(old, [spoken(0)])
    desk.commit(new, [spoken(0, token=3)])


def test_a_shortened_stretch_takes_the_place_of_the_whole_one(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(2))
    desk = make_desk()
    claim = claim_of(desk)
    pieces = [replace(spoken(0), number=number, is_last=number == 3, trace_bytes=50) for number in range(4)]
    desk.commit(claim, [*pieces, spoken(1)])
    desk.finish(claim, "a", 1)
    tail = replace(spoken(0, samples=8000, token=2), number=2, is_last=False, trace_bytes=20, marks=())
    job = store.cuts.cut(store.cuts.take(job.id), Cut(0, 2, tail, 2.3, SEED), "job_earlier")
    passage = claim_of(desk).spoken[0]
    assert [(s.number, s.samples, s.trace_bytes) for s in passage.stretches] == [
        (0, 24_000, 50),
        (1, 24_000, 50),
        (2, 8000, 20),
    ]
    assert not passage.is_whole
    assert (job.passages_done, job.audio_samples) == (0, 56_000)
    assert job.remaining_s == pytest.approx(
        2.0
    )  # 2 s of passage 1; passage 0 was thought to last 2 s, and does already
    found = store.passages("job_earlier")[0][1]
    assert found is not None
    assert [s.samples for s in found.stretches] == [24_000] * 4


def test_of_two_who_cut_at_once_the_first_loses_and_changes_nothing(store: JobStore, make_desk: MakeDesk) -> None:
    job = finished(store, make_desk())
    first, second = store.cuts.take(job.id), store.cuts.take(job.id)
    with pytest.raises(TakenAwayError):
        store.cuts.cut(first, Cut(1, 0, None, 1.5, 1), "job_first")
    with pytest.raises(NotFoundError):
        store.job("job_first")
    assert store.job(job.id).state is State.DONE
    assert store.cuts.cut(second, Cut(2, 0, None, 3.0, 2), "job_second").passages_done == 2


def test_a_claim_in_between_is_seen(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(2))
    taken = store.cuts.take(job.id)
    store.resume(job.id)
    claim_of(make_desk())
    with pytest.raises(TakenAwayError):
        store.cuts.cut(taken, Cut(0, 0, None, 0.0, 1), "job_earlier")
    assert store.job(job.id).state is State.RUNNING


@pytest.mark.parametrize("at", ["before", "between"])
def test_a_cancel_is_for_good(store: JobStore, at: str) -> None:
    job, _ = store.submit(spec(), "x", planned(2))
    taken = store.cuts.take(job.id)
    store.cancel(job.id)
    late = Cut(0, 0, None, 0.0, 1)
    wish = (lambda: store.cuts.take(job.id)) if at == "before" else (lambda: store.cuts.cut(taken, late, "job_e"))
    with pytest.raises(ConflictError, match=r"cancelled, and a cancel is for good.*Say its script again") as caught:
        wish()
    assert caught.value.code == "job_is_cancelled"
    assert store.job(job.id).state is State.CANCELLED


@pytest.mark.parametrize("kind", [Kind.SPEECH, Kind.PROBE])
def test_speech_and_probes_are_nobodys_to_cut(store: JobStore, kind: Kind) -> None:
    job, _ = store.submit(spec(), "x", planned(1), kind=kind)
    with pytest.raises(NotFoundError):
        store.cuts.take(job.id)


@pytest.mark.parametrize(
    ("was", "after"), [("queued", "queued"), ("running", "queued"), ("pausing", "paused"), ("paused", "paused")]
)
def test_given_back_it_is_as_its_user_wished(store: JobStore, make_desk: MakeDesk, was: str, after: str) -> None:
    job, _ = store.submit(spec(), "x", planned(2))
    if was in ("running", "pausing"):
        claim_of(make_desk())
    if was in ("pausing", "paused"):
        store.pause(job.id)
    taken = store.cuts.take(job.id)
    assert taken.was == was
    store.cuts.give_back(taken)
    now = store.job(job.id)
    assert (now.state, now.reason) == (after, None)


def test_given_back_too_late_it_is_left_alone(store: JobStore) -> None:
    job, _ = store.submit(spec(), "x", planned(2))
    first = store.cuts.take(job.id)
    store.cuts.take(job.id)
    store.cuts.give_back(first)
    assert store.job(job.id).state is State.PAUSED, "another one is at it"


# The end of the earlier version


def finish_again(store: JobStore, desk: WorkerDesk) -> None:
    claim = claim_of(desk)
    desk.commit(claim, [spoken(p.index, token=claim.token) for p in claim.passages if p.index not in claim.spoken])
    desk.finish(claim, "audio-3.pcm", 9)


def test_it_goes_when_the_new_take_is_done_and_not_before(store: JobStore, make_desk: MakeDesk) -> None:
    desk = make_desk()
    job = finished(store, desk)
    cut(store, job.id, 2)
    assert not store.cuts.forget_earlier("job_earlier")
    assert store.cuts.superseded() == []
    finish_again(store, desk)
    assert store.cuts.superseded() == [("job_earlier", job.id)]
    assert store.cuts.forget_earlier("job_earlier")
    assert not store.cuts.forget_earlier("job_earlier"), "twice is once"
    assert [each.id for each in store.jobs()] == [job.id]


def test_it_waits_for_the_copy_that_was_asked_for(store: JobStore, make_desk: MakeDesk) -> None:
    desk = make_desk()
    job = finished(store, desk, out_path="/a.pcm")
    store.note_delivered(job.id)
    cut(store, job.id, 2)
    finish_again(store, desk)
    assert store.cuts.superseded() == [], "what was delivered is the earlier version"
    store.note_delivered(job.id)
    assert store.cuts.superseded() == [("job_earlier", job.id)]


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_it_stays_when_the_new_take_comes_to_nothing(store: JobStore, make_desk: MakeDesk, end: str) -> None:
    desk = make_desk()
    job = finished(store, desk)
    cut(store, job.id, 2)
    if end == "failed":
        desk.fail(claim_of(desk), {"message": "m"})
    else:
        store.cancel(job.id)
    assert store.cuts.superseded() == []
    store.forget(job.id)
    left = store.job("job_earlier")
    assert (left.state, left.earlier_of) == (State.DONE, None), "it stands alone"


@pytest.mark.parametrize("how", ["resume", "again", "reopen"])
def test_who_goes_on_with_it_keeps_it(store: JobStore, make_desk: MakeDesk, how: str) -> None:
    desk = make_desk()
    if how == "resume":
        job, _ = store.submit(spec(), "x", planned(4))
        claim = claim_of(desk)
        desk.commit(claim, [spoken(0), spoken(1), spoken(2)])
    else:
        job = finished(store, desk)
    cut(store, job.id, 2)
    match how:
        case "resume":
            store.resume("job_earlier")
        case "again":
            assert cut(store, "job_earlier", 1, "job_oldest").earlier_of is None
            assert store.job("job_oldest").spec.title.count("(earlier version)") == 1
        case "reopen":
            store.reopen("job_earlier")
    assert store.job("job_earlier").earlier_of is None


def test_cut_twice_it_has_two_earlier_versions_and_both_go(store: JobStore, make_desk: MakeDesk) -> None:
    desk = make_desk()
    job = finished(store, desk)
    cut(store, job.id, 3, "job_one")
    cut(store, job.id, 1, "job_two")
    assert kept(store, "job_two") == [True, True, True, False]
    finish_again(store, desk)
    assert [earlier for earlier, _ in store.cuts.superseded()] == ["job_one", "job_two"]

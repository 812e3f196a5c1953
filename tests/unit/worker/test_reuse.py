"""What was spoken before is not spoken again: the loop with a cache, and an engine that counts what it is given."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from longtake.cache import PassageCache, Usage
from longtake.core.records import Line, Mark, Passage
from longtake.engines.base import Chunk, End, Ended, SpeakRequest
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job, Kind, PlannedPassage
from longtake.jobs.states import State
from longtake.worker.recorder import Recorder
from longtake.worker.reuse import Reuse
from longtake.worker.stage import REPLAYS
from tests.support.engine import SAMPLES, NumberEngine
from tests.support.jobs import planned, spec
from tests.unit.worker.test_loop import SILENCE_S, Bench, passages_in
from tests.unit.worker.test_loop_borders import Truncating, slowed, wait_until

ROOMY = 1 << 30


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "data")
    yield bench
    bench.stop()
    bench.db.close()


@pytest.fixture
def cache(bench: Bench) -> PassageCache:
    return PassageCache(bench.folder.cache, bound_bytes=ROOMY)


def edited(count: int, *changed: int) -> list[PlannedPassage]:
    """The script of `planned`, with other words in some passages."""
    plan = planned(count, silence_s=SILENCE_S)
    for index in changed:
        lines = (Line(1, f"Edited passage {index}.", "en"),)
        plan[index] = PlannedPassage(Passage(index, lines, plan[index].passage.silence_before_s), "en", 3, 2.0)
    return plan


def submit(bench: Bench, plan: list[PlannedPassage]) -> Job:
    return bench.store.submit(spec(), "x", plan)[0]


# Whole jobs


def test_only_what_was_edited_is_spoken_again(bench: Bench, cache: PassageCache) -> None:
    first = submit(bench, edited(20))
    engine = NumberEngine(caches=True)
    loop = bench.work(engine, cache=cache)
    bench.wait(first, State.DONE)
    assert (loop.reuse.hits, loop.reuse.misses) == (0, 20)
    engine.spoken.clear()
    second = submit(bench, edited(20, 3, 11))
    done = bench.wait(second, State.DONE)
    assert sorted(engine.spoken) == [3, 11]
    assert (loop.reuse.hits, loop.reuse.misses) == (18, 22)
    assert np.array_equal(bench.audio(first), bench.audio(second))
    assert done.audio_samples == bench.store.job(first.id).audio_samples
    marks = [spoken and spoken.marks for _, spoken in bench.store.passages(second.id)]
    assert marks == [(Mark(0.0, 0.1, each.passage.lines[0].text, 1),) for each in edited(20, 3, 11)]


def test_a_worker_of_another_process_finds_it_too(bench: Bench, cache: PassageCache) -> None:
    bench.work(NumberEngine(caches=True), cache=cache)
    bench.wait(bench.submit(5), State.DONE)
    bench.stop()
    heir = NumberEngine(caches=True)
    bench.work(heir, name="w2", cache=PassageCache(bench.folder.cache, bound_bytes=ROOMY))
    bench.wait(bench.submit(5), State.DONE)
    assert heir.spoken == []


@pytest.mark.parametrize(
    "other",
    [{"voices": {1: "en-gb"}}, {"speed": 1.5}, {"settings": {"pitch": 60}}],
    ids=["voice", "speed", "settings"],
)
def test_another_voice_speed_or_setting_is_another_passage(
    bench: Bench, cache: PassageCache, other: dict[str, object]
) -> None:
    engine = NumberEngine(caches=True)
    bench.work(engine, cache=cache)
    bench.wait(bench.submit(3), State.DONE)
    bench.wait(bench.submit(3, **other), State.DONE)
    assert len(engine.spoken) == 6


@pytest.mark.parametrize(
    ("caches", "bound_bytes"), [(False, ROOMY), (True, 0)], ids=["an engine that must not", "switched off"]
)
def test_nothing_is_kept_or_counted(bench: Bench, caches: bool, bound_bytes: int) -> None:
    cache = PassageCache(bench.folder.cache, bound_bytes=bound_bytes)
    engine = NumberEngine(caches=caches)
    loop = bench.work(engine, cache=cache)
    for _ in range(2):
        bench.wait(bench.submit(3), State.DONE)
    assert len(engine.spoken) == 6
    assert (loop.reuse.hits, loop.reuse.misses) == (0, 0)
    assert not bench.folder.cache.exists()


def test_a_probe_is_spoken(bench: Bench, cache: PassageCache) -> None:
    """It asks whether the engine can speak; the cache can always."""
    engine = NumberEngine(caches=True)
    bench.work(engine, cache=cache)
    bench.wait(bench.submit(1), State.DONE)
    for _ in range(2):
        bench.wait(bench.submit(1, kind=Kind.PROBE), State.DONE)
    assert engine.spoken == [0, 0, 0]
    assert cache.usage().entries == 1


def test_a_damaged_entry_is_spoken_again_and_mended(bench: Bench, cache: PassageCache) -> None:
    engine = NumberEngine(caches=True)
    bench.work(engine, cache=cache)
    bench.wait(bench.submit(4), State.DONE)
    victim = sorted(cache.folder.rglob("*.pcm"))[0]
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    engine.spoken.clear()
    for _ in range(2):
        job = bench.submit(4)
        bench.wait(job, State.DONE)
        assert passages_in(bench.audio(job)) == [0, 1, 2, 3]
    assert len(engine.spoken) == 1


def test_what_did_not_end_well_is_not_kept(bench: Bench, cache: PassageCache) -> None:
    bench.work(Truncating(caches=True), cache=cache)
    bench.wait(bench.submit(3), State.FAILED)
    bench.stop()
    failing = NumberEngine(caches=True)
    failing.fails_at = 2
    loop = bench.work(failing, name="w2", cache=cache)
    bench.wait(bench.submit(3), State.FAILED)
    bench.stop()
    assert loop.reuse._heard == {}, "nobody listens for what will not come"
    engine = NumberEngine(caches=True)
    bench.work(engine, name="w3", cache=cache)
    bench.wait(bench.submit(3), State.DONE)
    assert engine.spoken == [1, 2], "one was cut, the other failed"


def test_a_cache_that_cannot_be_written_fails_no_job(bench: Bench, cache: PassageCache) -> None:
    cache.folder.write_text("a file where a folder should be")
    job = bench.submit(5)
    bench.work(NumberEngine(caches=True), cache=cache)
    bench.wait(job, State.DONE)
    assert passages_in(bench.audio(job)) == list(range(5))


# Beside other jobs


def fill(bench: Bench, cache: PassageCache, passages: int) -> None:
    bench.work(NumberEngine(max_active=8, caches=True), name="filler", cache=cache)
    bench.wait(bench.submit(passages), State.DONE)
    bench.stop()


def test_a_long_job_out_of_the_cache_holds_up_nobody(
    bench: Bench, cache: PassageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one beat of the loop no more than REPLAYS of its passages are taken, and the loop looks each time."""
    fill(bench, cache, 300)
    engine = NumberEngine(caches=True)
    loop = bench.work(engine, cache=cache)
    taken: list[int] = []
    schedule = loop._stage.schedule

    def counted() -> int:
        before = loop.reuse.hits
        replayed = schedule()
        taken.append(loop.reuse.hits - before)
        return replayed

    monkeypatch.setattr(loop._stage, "schedule", counted)
    other = submit(bench, edited(60, *range(60)))
    wait_until(lambda: engine.spoken)
    cached = bench.submit(300)
    bench.wait(other, State.DONE)
    bench.wait(cached, State.DONE)
    assert 0 < max(taken) <= REPLAYS
    assert sorted(engine.spoken) == list(range(60)), "and the other is spoken meanwhile"


def test_a_pause_is_heard_in_the_midst_of_it(bench: Bench, cache: PassageCache) -> None:
    fill(bench, cache, 400)
    job = bench.submit(400)
    bench.work(NumberEngine(caches=True), cache=cache, lead_s=1.0)
    wait_until(lambda: bench.store.job(job.id).passages_done > 0)
    bench.store.pause(job.id)
    paused = bench.wait(job, State.PAUSED)
    assert 0 < paused.passages_done < 400
    bench.store.resume(job.id)
    bench.wait(job, State.DONE)
    assert passages_in(bench.audio(job)) == list(range(400))


def test_the_encoder_sets_the_pace_of_a_job_out_of_the_cache(
    bench: Bench, cache: PassageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bench, cache, 100)
    held = threading.Event()
    check: Callable[..., None] = Recorder._check

    def wait(recorder: Recorder, cursor: int) -> None:
        held.wait()
        check(recorder, cursor)

    monkeypatch.setattr(Recorder, "_check", wait)
    job = bench.submit(100)
    loop = bench.work(NumberEngine(caches=True), cache=cache, lead_s=0.95, poll_s=60.0)  # nearly ten of 0.1 s
    time.sleep(0.3)
    assert loop.reuse.hits == 10
    held.set()
    bench.wait(job, State.DONE)


def test_a_job_out_of_the_cache_is_progress(bench: Bench, cache: PassageCache) -> None:
    fill(bench, cache, 40)
    job = bench.submit(40)
    loop = bench.work(NumberEngine(caches=True), cache=cache)
    bench.wait(job, State.DONE)
    assert loop.steps >= 40


def test_a_damaged_stretch_is_taken_from_the_cache_though_the_lead_is_used_up(
    bench: Bench, cache: PassageCache
) -> None:
    """The encoder waits for an early passage, and what lies ahead of it fills the lead: it must come all the same."""
    slow = slowed(NumberEngine(caches=True))
    job = bench.submit(60)
    bench.work(slow, name="w1", cache=cache)
    wait_until(lambda: bench.store.job(job.id).passages_done >= 20)
    bench.stop()
    (bench.folder.passages(job.id) / "000015.0000-1.pcm").unlink()
    heir = NumberEngine(caches=True)
    bench.work(heir, name="w2", cache=cache, lead_s=0.3)
    bench.wait(job, State.DONE)
    assert 15 not in heir.spoken
    assert passages_in(bench.audio(job)) == list(range(60))


# The parts


@pytest.fixture
def request_() -> SpeakRequest:
    return SpeakRequest("job_1/1/0", planned(1)[0].passage, {1: "en-us"})


def test_a_passage_in_chunks_is_kept_as_one(cache: PassageCache, request_: SpeakRequest) -> None:
    reuse = Reuse(NumberEngine(caches=True), cache)
    assert reuse.find(request_) is None
    other = Chunk("job_2/1/0", np.full(9, 9, np.int16))
    for chunk in (Chunk(request_.id, np.arange(3, dtype=np.int16)), other, Chunk(request_.id, np.ones(2, np.int16))):
        reuse.take(chunk)
    reuse.end(Ended(request_.id, End.FINISHED, (Mark(0.0, 1.0, "Hi.", 1),)))
    found = reuse.find(request_)
    assert found is not None
    assert (found.pcm_T.tolist(), found.marks) == ([0, 1, 2, 1, 1], (Mark(0.0, 1.0, "Hi.", 1),))


def test_a_job_that_is_let_go_is_no_longer_listened_to(cache: PassageCache, request_: SpeakRequest) -> None:
    reuse = Reuse(NumberEngine(caches=True), cache)
    reuse.find(request_)
    reuse.forget("job_1")
    reuse.end(Ended(request_.id, End.FINISHED))
    assert cache.usage() == Usage(0, 0)


def test_a_passage_with_a_remark_is_not_kept(cache: PassageCache, request_: SpeakRequest) -> None:
    """As one that was cut, and may be: another job would not learn of it."""
    reuse = Reuse(NumberEngine(caches=True), cache)
    reuse.find(request_)
    reuse.end(Ended(request_.id, End.FINISHED, message="It was cut."))
    assert reuse.find(request_) is None


def test_what_goes_on_in_the_middle_is_neither_found_nor_kept(cache: PassageCache) -> None:
    """An engine that does so must not say that it may be cached; if one did, half a passage would pass for a whole."""
    reuse = Reuse(NumberEngine(caches=True), cache)
    half = SpeakRequest("job_1/1/0", planned(1)[0].passage, {1: "en-us"}, trace=b"the first half")
    assert reuse.find(half) is None
    reuse.end(Ended(half.id, End.FINISHED))
    assert cache.usage() == Usage(0, 0)


def test_a_seed_counts_where_the_engine_uses_it(cache: PassageCache) -> None:
    for uses_seed in (True, False):
        cache.clear()
        engine = NumberEngine(caches=True)
        engine.info = replace(engine.info, uses_seed=uses_seed)
        reuse = Reuse(engine, cache)
        for seed in (1, 2):
            request = SpeakRequest(f"job_{seed}/1/0", planned(1)[0].passage, {1: "en-us"}, seed=seed)
            assert (reuse.find(request) is None) == (uses_seed or seed == 1)
            reuse.end(Ended(request.id, End.FINISHED))


def test_another_revision_is_another_passage(
    cache: PassageCache, request_: SpeakRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    reuse = Reuse(NumberEngine(caches=True), cache)
    reuse.find(request_)
    reuse.end(Ended(request_.id, End.FINISHED))
    assert reuse.find(request_) is not None
    monkeypatch.setattr(NumberEngine, "revision", lambda engine, request: "numbers-2")
    assert reuse.find(request_) is None


def test_room_that_a_job_needs_is_taken_from_the_cache(
    bench: Bench, cache: PassageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bench, cache, 40)
    before = cache.usage()
    # Nothing is free but what the cache gives back, and a commit needs at least the samples of a passage.
    monkeypatch.setattr(DataFolder, "free_bytes", lambda folder: before.used_bytes - cache.usage().used_bytes)
    bench.folder.make_room = cache.give_back
    job = submit(bench, edited(3, 0, 1, 2))
    bench.work(NumberEngine(), name="w2")
    bench.wait(job, State.DONE)
    assert before.used_bytes - cache.usage().used_bytes >= 2 * SAMPLES
    assert cache.usage().entries > before.entries / 2, "no more than was needed"

"""A worker that is told to rest: it begins no job, or speaks nothing, and goes on where it stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longtake.jobs.records import Kind
from longtake.jobs.states import State
from longtake.worker.orders import GO, HOLD, PAUSE, Rest
from tests.support.engine import NumberEngine
from tests.unit.worker.test_loop import Bench, passages_in
from tests.unit.worker.test_loop_borders import slowed, wait_until

HOT = "waits for the GPU to cool: card 0 has 88 °C"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "data")
    yield bench
    bench.stop()
    bench.db.close()


def test_held_it_begins_no_job_but_goes_on_with_those_it_has_and_speech_is_spoken(bench: Bench) -> None:
    running = bench.submit(60)
    loop = bench.work(slowed(NumberEngine(max_active=4)), max_jobs=4)
    bench.wait(running, State.RUNNING)
    loop.rest(Rest(HOLD, HOT))
    before = loop.steps
    wait_until(lambda: loop.steps > before + 1)  # a claim that was under way is over
    later = bench.submit(1)
    speech = bench.submit(1, kind=Kind.SPEECH)
    loop.wake()
    bench.wait(speech, State.DONE)
    bench.wait(running, State.DONE)
    assert bench.store.job(later.id).state is State.QUEUED
    loop.rest(Rest(GO))
    bench.wait(later, State.DONE)


def test_paused_it_speaks_nothing_and_what_was_spoken_is_heard_once(bench: Bench) -> None:
    engine = slowed(NumberEngine())
    job = bench.submit(60)
    loop = bench.work(engine)
    wait_until(lambda: bench.store.job(job.id).passages_done >= 10)
    loop.rest(Rest(PAUSE, HOT))
    paused = bench.wait(job, State.PAUSED, timeout_s=3.0)
    assert paused.reason == HOT
    assert engine.active == {}
    spoken = len(engine.spoken)
    probe = bench.submit(1, kind=Kind.PROBE)
    time.sleep(0.2)
    assert len(engine.spoken) == spoken
    assert bench.store.job(probe.id).state is State.QUEUED, "nothing is begun, not even a word"
    bench.store.resume(job.id)
    time.sleep(0.1)
    assert bench.store.job(job.id).state is State.QUEUED, "its user may wish it, the card is still hot"
    loop.rest(Rest(GO))
    bench.wait(job, State.DONE)
    assert passages_in(bench.audio(job)) == list(range(60))
    assert len(engine.spoken) <= 60 + 1 + engine.info.max_active


def test_who_waits_for_speech_goes_on_waiting(bench: Bench) -> None:
    speech = bench.submit(60, kind=Kind.SPEECH)
    loop = bench.work(slowed(NumberEngine()))
    bench.wait(speech, State.RUNNING)
    loop.rest(Rest(PAUSE, HOT))
    assert bench.wait(speech, State.QUEUED, timeout_s=3.0).reason == HOT
    loop.rest(Rest(GO))
    bench.wait(speech, State.DONE)


def test_a_pause_that_its_user_asked_for_at_the_same_time_stays_the_users(bench: Bench) -> None:
    job = bench.submit(400)
    loop = bench.work(slowed(NumberEngine()))
    bench.wait(job, State.RUNNING)
    bench.store.pause(job.id)
    loop.rest(Rest(PAUSE, HOT))
    assert bench.wait(job, State.PAUSED).reason is None

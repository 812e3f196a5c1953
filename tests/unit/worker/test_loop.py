"""The loop with a real store, real files, a real encoder, and an engine that speaks numbers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longtake.cache import PassageCache
from longtake.config import WorkerSettings
from longtake.core.clock import SystemClock
from longtake.core.errors import CapacityError, EngineError, WorkerError
from longtake.core.units import samples_of
from longtake.engines.base import Cost
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Cut, Job, Kind
from longtake.jobs.states import ENDED, State
from longtake.jobs.store import JobStore
from longtake.worker import loop as loops
from longtake.worker import waits
from longtake.worker.loop import WorkerLoop
from tests.support import engine as engines
from tests.support.engine import SAMPLES, NumberEngine
from tests.support.jobs import planned, spec

SILENCE_S = 0.5


class Bench:
    """One data folder, and workers on it."""

    def __init__(self, root: Path) -> None:
        self.folder = DataFolder(root, floor_bytes=0)
        self.db = Database(self.folder.database)
        self.store = JobStore(self.db)
        self.loops: list[tuple[WorkerLoop, threading.Thread]] = []
        self.errors: list[BaseException] = []

    def submit(self, passages: int, **options: object) -> Job:
        kind = options.pop("kind", Kind.JOB)
        assert isinstance(kind, Kind)
        return self.store.submit(spec(**options), "x", planned(passages, silence_s=SILENCE_S), kind=kind)[0]

    def work(
        self,
        engine: NumberEngine,
        *,
        name: str = "w1",
        budget_bytes: int = 1000,
        cache: PassageCache | None = None,
        **settings: float,
    ) -> WorkerLoop:
        desk = WorkerDesk(self.db, name, "espeak", 1)
        worker = WorkerSettings(**{"poll_s": 0.005} | settings)
        loop = WorkerLoop(engine, desk, self.folder, worker, SystemClock(), budget_bytes=budget_bytes, cache=cache)

        def run() -> None:
            try:
                loop.run()
            except BaseException as error:
                self.errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        self.loops.append((loop, thread))
        return loop

    def stop(self) -> None:
        for loop, thread in self.loops:
            loop.stop()
            thread.join(10)
            assert not thread.is_alive()
        self.loops.clear()

    def wait(self, job: Job, *states: State, timeout_s: float = 20.0) -> Job:
        deadline = time.monotonic() + timeout_s
        while (now := self.store.job(job.id)).state not in (states or ENDED):
            assert time.monotonic() < deadline, f"still {now.state}: {now.reason}"
            assert not self.errors, self.errors
            time.sleep(0.005)
        return now

    def audio(self, job: Job) -> np.ndarray:
        job = self.store.job(job.id)
        assert job.audio_file is not None
        return np.fromfile(self.folder.job(job.id) / job.audio_file, "<i2")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "data")
    yield bench
    bench.stop()
    bench.db.close()


def passages_in(audio: np.ndarray) -> list[int]:
    """The numbers spoken, in the order they are heard (fades leave smaller values at the edges)."""
    middles = [audio[start : start + SAMPLES].max() for start in starts(len(audio))]
    return [int(value) - 1 for value in middles]


def starts(samples: int) -> list[int]:
    step = SAMPLES + samples_of(SILENCE_S)
    return list(range(0, samples, step))


def test_a_job_is_spoken_in_order_and_whole(bench: Bench) -> None:
    job = bench.submit(7)
    bench.work(NumberEngine())
    done = bench.wait(job)
    assert done.state is State.DONE
    audio = bench.audio(job)
    assert len(audio) == 7 * SAMPLES + 6 * samples_of(SILENCE_S) == done.audio_samples
    assert passages_in(audio) == list(range(7))
    assert done.passages_done == 7
    files = sorted(path.name for path in bench.folder.job(job.id).iterdir())
    assert files == ["audio-1.pcm", "passages"], "nothing half-done is left"


def test_a_pause_that_ends_the_script_is_heard(bench: Bench) -> None:
    job = bench.submit(2, trailing_silence_s=1.0)
    bench.work(NumberEngine())
    bench.wait(job, State.DONE)
    assert len(bench.audio(job)) == 2 * SAMPLES + samples_of(SILENCE_S) + samples_of(1.0)


def test_several_jobs_share_the_engine_and_none_hears_another(bench: Bench) -> None:
    jobs = [bench.submit(5) for _ in range(6)]
    engine = NumberEngine(max_active=3)
    bench.work(engine)
    for job in jobs:
        bench.wait(job, State.DONE)
        assert passages_in(bench.audio(job)) == list(range(5))
    assert engine.most_active == 3


def test_speech_overtakes_a_full_house(bench: Bench) -> None:
    gate = threading.Event()
    engine = NumberEngine(max_active=1)
    engine.before_step = lambda: time.sleep(0.005)
    long_jobs = [bench.submit(400) for _ in range(3)]
    bench.work(engine, max_jobs=2)
    bench.wait(long_jobs[0], State.RUNNING)
    speech = bench.submit(2, kind=Kind.SPEECH)
    bench.wait(speech, State.DONE)
    assert bench.store.job(long_jobs[0].id).passages_done < 400
    assert bench.store.job(long_jobs[2].id).state is State.QUEUED
    gate.set()


@pytest.mark.parametrize(("wish", "after"), [("pause", State.PAUSED), ("cancel", State.CANCELLED)])
def test_wishes_are_obeyed_while_it_speaks(bench: Bench, wish: str, after: State) -> None:
    engine = NumberEngine()
    engine.before_step = lambda: time.sleep(0.003)
    job = bench.submit(1000)
    bench.work(engine)
    bench.wait(job, State.RUNNING)
    while bench.store.job(job.id).passages_done < 3:
        time.sleep(0.005)
    getattr(bench.store, wish)(job.id)
    bench.wait(job, after, timeout_s=2.0)
    spoken = len(engine.spoken)
    time.sleep(0.1)
    assert len(engine.spoken) <= spoken + 1
    assert engine.active == {}


def test_a_paused_job_goes_on_with_what_is_missing(bench: Bench) -> None:
    engine = NumberEngine()
    engine.before_step = lambda: time.sleep(0.003)
    job = bench.submit(60)
    bench.work(engine)
    while bench.store.job(job.id).passages_done < 10:
        time.sleep(0.005)
    bench.store.pause(job.id)
    paused = bench.wait(job, State.PAUSED)
    assert paused.passages_done < 60
    bench.store.resume(job.id)
    bench.wait(job, State.DONE)
    assert passages_in(bench.audio(job)) == list(range(60))
    # At most the passages that were being spoken at the pause were begun twice; committed ones never.
    assert len(engine.spoken) <= 60 + engine.info.max_active


def test_stop_releases_every_job_and_a_new_worker_goes_on(bench: Bench) -> None:
    slow = NumberEngine()
    slow.before_step = lambda: time.sleep(0.003)
    job = bench.submit(60)
    bench.work(slow, name="w1")
    while bench.store.job(job.id).passages_done < 10:
        time.sleep(0.005)
    bench.stop()
    released = bench.store.job(job.id)
    assert released.state is State.QUEUED
    fast = NumberEngine()
    bench.work(fast, name="w2")
    bench.wait(job, State.DONE)
    assert passages_in(bench.audio(job)) == list(range(60))
    assert min(fast.spoken) >= released.passages_done - 1


def test_a_missing_and_a_damaged_passage_are_spoken_again(bench: Bench) -> None:
    slow = NumberEngine()
    slow.before_step = lambda: time.sleep(0.003)
    job = bench.submit(40)
    bench.work(slow)
    while bench.store.job(job.id).passages_done < 10:
        time.sleep(0.005)
    bench.stop()
    files = sorted(bench.folder.passages(job.id).iterdir())
    files[2].unlink()
    files[5].write_bytes(b"\1\0" * SAMPLES)
    engine = NumberEngine()
    bench.work(engine, name="w2")
    bench.wait(job, State.DONE)
    assert passages_in(bench.audio(job)) == list(range(40))
    assert {2, 5} <= set(engine.spoken)
    assert [e.data["passage"] for e in bench.store.events(job.id) if e.kind == "recalled"] == [2, 5]


def test_a_passage_that_cannot_be_spoken_fails_its_job_alone(bench: Bench) -> None:
    engine = NumberEngine()
    engine.fails_at = 4
    failing, well = bench.submit(6), bench.submit(3)
    bench.work(engine)
    failed = bench.wait(failing)
    assert failed.state is State.FAILED
    assert failed.error is not None
    assert failed.error["message"] == "passage 4 cannot be spoken"
    assert failed.error["type"] == "engine_error"
    assert bench.wait(well).state is State.DONE
    engine.fails_at = None
    bench.store.resume(failing.id)
    bench.wait(failing, State.DONE)
    assert passages_in(bench.audio(failing)) == list(range(6))
    assert engine.spoken.count(0) == 2  # once in each job: what was spoken before the failure was kept


def test_a_request_that_the_engine_refuses_fails_its_job_alone(bench: Bench) -> None:
    refused, well = bench.submit(3, voices={1: "unknown"}), bench.submit(3)
    bench.work(NumberEngine())
    assert (bench.wait(refused).error or {})["code"] == "unknown_voice"
    assert bench.wait(well).state is State.DONE


def test_a_passage_too_large_for_the_budget_fails_with_the_numbers(bench: Bench) -> None:
    job = bench.submit(3)
    bench.work(NumberEngine(cost_bytes=2000), budget_bytes=1000)
    error = bench.wait(job).error
    assert error is not None
    assert error["code"] == "does_not_fit"
    assert "--memory-budget" in error["message"]


@pytest.mark.parametrize("error", [CapacityError("no room"), EngineError("not this one"), ValueError("a bug")])
def test_a_start_that_fails_costs_its_own_job_alone(bench: Bench, error: Exception) -> None:
    engine = NumberEngine()
    engine.start_error = error
    job = bench.submit(2)
    bench.work(engine)
    assert bench.wait(job).state is State.FAILED
    engine.start_error = None
    assert bench.wait(bench.submit(2)).state is State.DONE
    assert not bench.errors


def test_a_device_that_breaks_at_a_start_ends_the_loop(bench: Bench) -> None:
    """The job is not at fault: a fresh process goes on with it."""
    engine = NumberEngine()
    engine.start_error = WorkerError("the device is gone")
    job = bench.submit(2)
    bench.work(engine)
    deadline = time.monotonic() + 10
    while not bench.errors and time.monotonic() < deadline:
        time.sleep(0.005)
    assert bench.errors == [engine.start_error]
    assert bench.store.job(job.id).state is State.RUNNING


def test_a_broken_engine_ends_the_loop_and_keeps_the_leases_for_the_supervisor(bench: Bench) -> None:
    engine = NumberEngine()
    engine.dies_at = 2
    job = bench.submit(6)
    bench.work(engine)
    deadline = time.monotonic() + 10
    while not bench.errors and time.monotonic() < deadline:
        time.sleep(0.005)
    assert isinstance(bench.errors[0], WorkerError)
    assert bench.store.job(job.id).state is State.RUNNING
    assert bench.store.release_worker("w1", crashed="it died")[0].crashes == 1


def test_a_full_disk_pauses_the_job_and_keeps_what_was_spoken(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = NumberEngine()
    engine.before_step = lambda: time.sleep(0.003)
    job = bench.submit(50)
    free = 1 << 40
    monkeypatch.setattr(DataFolder, "free_bytes", lambda self: free)
    bench.work(engine)
    while bench.store.job(job.id).passages_done < 5:
        time.sleep(0.005)
    free = 0
    paused = bench.wait(job, State.PAUSED)
    assert paused.reason is not None
    assert paused.reason.startswith("disk full: ")
    assert 5 <= paused.passages_done < 50
    free = 1 << 40
    bench.store.resume(job.id)
    bench.wait(job, State.DONE)
    assert passages_in(bench.audio(job)) == list(range(50))


def test_the_engine_runs_ahead_of_the_encoder_only_so_far(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from longtake.worker.recorder import Recorder

    held = threading.Event()
    check: Callable[..., None] = Recorder._check

    def slow(self: Recorder, cursor: int) -> None:
        held.wait()
        check(self, cursor)

    monkeypatch.setattr(Recorder, "_check", slow)
    job = bench.submit(100)
    engine = NumberEngine(max_active=2)
    bench.work(engine, lead_s=1.0)  # ten passages of 0.1 s
    time.sleep(0.5)
    # Those being spoken when the bound was reached, and those already in line, are the slack.
    assert 10 <= len(engine.spoken) <= 10 + 2 * engine.info.max_active
    held.set()
    bench.wait(job, State.DONE)


def test_a_frozen_worker_that_wakes_up_harms_nothing(bench: Bench) -> None:
    """Its lease is taken away while it speaks: what it writes then changes neither rows nor the heir's files."""
    frozen = threading.Event()
    woken = threading.Event()
    zombie = NumberEngine()

    def freeze() -> None:
        if len(zombie.spoken) >= 5 and not woken.is_set():
            frozen.set()
            woken.wait()

    zombie.before_step = freeze
    job = bench.submit(30)
    loop = bench.work(zombie, name="w1")
    frozen.wait()
    bench.store.release_worker("w1", crashed=None)
    heir = NumberEngine()
    bench.work(heir, name="w2")
    bench.wait(job, State.DONE)
    audio = bench.audio(job)
    woken.set()
    time.sleep(0.2)
    assert loop.active == 0
    assert np.array_equal(bench.audio(job), audio)
    assert passages_in(audio) == list(range(30))
    assert bench.store.job(job.id).token == 2


def test_encoding_is_progress(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is spoken and a long file is still being encoded: the supervisor must see that it moves."""
    from longtake.worker.recorder import Recorder

    check: Callable[..., None] = Recorder._check

    def slow(self: Recorder, cursor: int) -> None:
        time.sleep(0.02)
        check(self, cursor)

    monkeypatch.setattr(Recorder, "_check", slow)
    job = bench.submit(50)
    engine = NumberEngine()
    loop = bench.work(engine)
    while len(engine.spoken) < 50:
        time.sleep(0.005)
    seen = set()
    while bench.store.job(job.id).state is State.RUNNING:
        seen.add(loop.steps)
        time.sleep(0.005)
    assert len(seen) > 20
    assert loop.steps >= max(seen), "steps never go back"


# Again from here


@pytest.mark.parametrize("when", ["between two steps", "just before the next claim"])
def test_a_job_that_is_cut_while_it_is_spoken_is_let_go_and_begun_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    engine = NumberEngine(max_active=1)
    job = bench.submit(40)
    cuts: list[str] = []

    def cut() -> None:
        if not cuts and engine.active and bench.store.job(job.id).passages_done >= 10:
            cuts.append("job_earlier")
            bench.store.cuts.cut(bench.store.cuts.take(job.id), Cut(5, 0, None, 0.0, 1), "job_earlier")

    if when == "between two steps":
        engine.before_step = cut
    else:
        real = WorkerDesk.claim

        def claim(self: WorkerDesk, **options: Any) -> Any:
            cut()
            return real(self, **options)

        monkeypatch.setattr(WorkerDesk, "claim", claim)
        monkeypatch.setattr(loops, "LOOK_S", 0.0)  # at every beat, so also while a passage is being spoken
    bench.work(engine, max_jobs=2, lead_s=0.3)  # it speaks no further ahead of what is committed
    done = bench.wait(job)
    assert (done.state, done.passages_done, len(cuts)) == (State.DONE, 40, 1)
    assert passages_in(bench.audio(job)) == list(range(40))
    assert engine.spoken.count(4) == 1, "what lies before the cut is not spoken again"
    assert engine.spoken.count(5) == engine.spoken.count(9) == 2
    earlier = bench.store.job("job_earlier")
    assert (earlier.state, earlier.passages_done >= 10) == (State.PAUSED, True)
    assert done.token == 3


def test_jobs_that_wait_for_memory_keep_no_smaller_one_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BEATS", 300)
    monkeypatch.setattr(loops, "LOOK_S", 0.02)
    monkeypatch.setattr(waits, "TELL_AFTER_S", 0.02)
    large = [bench.submit(1), bench.submit(1)]
    engine = NumberEngine(max_active=4)
    ids = tuple(job.id for job in large)
    engine.cost = lambda request: Cost(900 if request.id.startswith(ids) else 10, 300)  # type: ignore[method-assign]
    engine.before_step = lambda: time.sleep(0.005)
    small = bench.submit(1)
    bench.work(engine, max_jobs=2)
    bench.wait(small, State.RUNNING)
    states = [bench.store.job(job.id) for job in large]
    assert [job.state for job in states] == [State.RUNNING] * 2, "both are held, one is spoken"
    assert (states[1].reason or "").startswith("waits for memory")
    for job in (*large, small):
        bench.wait(job, State.DONE)

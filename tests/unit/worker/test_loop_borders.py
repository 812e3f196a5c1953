"""The loop at its borders: how much it takes, when it looks, what it does when store or engine fail it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longtake.audio import write_stretch
from longtake.core.errors import DiskFullError, TransientError
from longtake.engines.base import Cost, End, Ended, SpeakRequest, StepResult
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.records import Claim, Kind, Stretch
from longtake.jobs.states import State
from longtake.worker import loop as loops
from tests.support.engine import NumberEngine
from tests.unit.worker.test_loop import Bench, passages_in


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "data")
    yield bench
    bench.stop()
    bench.db.close()


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def slowed(engine: NumberEngine, seconds: float = 0.003) -> NumberEngine:
    engine.before_step = lambda: time.sleep(seconds)
    return engine


def running(bench: Bench, kind: Kind) -> int:
    return sum(job.kind is kind for job in bench.store.jobs_in(State.RUNNING))


# How much it takes


def test_no_more_jobs_than_were_asked_for(bench: Bench) -> None:
    for _ in range(5):
        bench.submit(300)
    loop = bench.work(slowed(NumberEngine()), max_jobs=2)
    wait_until(lambda: loop.steps > 20)
    assert (loop.active, running(bench, Kind.JOB)) == (2, 2)


def test_the_fast_lane_is_bounded_too(bench: Bench) -> None:
    jobs = [bench.submit(300) for _ in range(2)]
    speeches = [bench.submit(300, kind=Kind.SPEECH) for _ in range(loops.FAST_LANE + 2)]
    loop = bench.work(slowed(NumberEngine()), max_jobs=1)
    wait_until(lambda: loop.steps > 20)
    assert (running(bench, Kind.SPEECH), running(bench, Kind.JOB)) == (loops.FAST_LANE, 0)
    bench.store.cancel(speeches[0].id)
    bench.store.cancel(speeches[1].id)
    bench.store.cancel(speeches[2].id)
    # Two more speeches take two of the places; the third is free of them, and the first job comes at last.
    wait_until(lambda: (running(bench, Kind.SPEECH), running(bench, Kind.JOB)) == (loops.FAST_LANE - 1, 1))
    assert bench.store.job(jobs[1].id).state is State.QUEUED


def test_bytes_bound_what_is_spoken_side_by_side(bench: Bench) -> None:
    engine = NumberEngine(max_active=4, cost_bytes=10)
    bench.work(engine, budget_bytes=25)
    jobs = [bench.submit(10) for _ in range(3)]
    for job in jobs:
        bench.wait(job, State.DONE)
    assert engine.most_active == 2


# When it looks


def test_a_wake_is_heard_while_it_waits(bench: Bench) -> None:
    loop = bench.work(NumberEngine(), poll_s=60.0)
    time.sleep(0.05)
    job = bench.submit(2)
    start = time.monotonic()
    loop.wake()
    bench.wait(job, State.DONE)
    assert time.monotonic() - start < 5.0


def test_stop_is_heard_while_it_waits(bench: Bench) -> None:
    bench.work(NumberEngine(), poll_s=60.0)
    time.sleep(0.05)
    start = time.monotonic()
    bench.stop()
    assert time.monotonic() - start < 5.0


def test_a_lapsed_lease_is_found_though_the_store_stands_still(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is what frees it, and time writes nothing: the loop looks now and then without news."""
    monkeypatch.setattr(loops, "LOOK_S", 0.05)
    job = bench.submit(2)
    assert WorkerDesk(bench.db, "gone", "espeak", 1, lease_s=0.3).claim() is not None
    bench.work(NumberEngine())
    assert bench.wait(job, State.DONE).token == 2


# When the store fails it


class Stubborn:
    """Takes the place of one method of every desk: refuses `times` times, then does its work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, times: int) -> None:
        self.calls = 0
        work: Callable[..., Any] = getattr(WorkerDesk, name)

        def act(desk: WorkerDesk, *arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls <= times:
                raise error
            return work(desk, *arguments, **named)

        monkeypatch.setattr(WorkerDesk, name, act)


@pytest.mark.parametrize("error", [DiskFullError("no room"), TransientError("busy")])
def test_a_claim_that_cannot_be_written_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    claims = Stubborn(monkeypatch, "claim", error, times=3)
    job = bench.submit(2)
    bench.work(NumberEngine())
    bench.wait(job, State.DONE, timeout_s=2 * loops.LOOK_S)
    assert claims.calls > 3


@pytest.mark.parametrize("error", [DiskFullError("no room"), TransientError("busy")])
def test_a_verdict_that_cannot_be_written_is_kept_until_it_can(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    verdicts = Stubborn(monkeypatch, "fail", error, times=5)
    engine = NumberEngine()
    engine.fails_at = 1
    failing, well = bench.submit(3), bench.submit(3)
    loop = bench.work(engine)
    assert (bench.wait(failing, State.FAILED).error or {})["message"] == "passage 1 cannot be spoken"
    assert verdicts.calls >= 6
    assert bench.wait(well).state is State.FAILED  # it has a passage 1, too
    wait_until(lambda: loop.active == 0)


def test_a_commit_that_was_busy_gives_the_job_back_and_takes_it_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    Stubborn(monkeypatch, "commit", TransientError("busy"), times=1)
    job = bench.submit(6)
    bench.work(NumberEngine())
    done = bench.wait(job, State.DONE)
    assert (done.token, done.crashes) == (2, 0)
    assert passages_in(bench.audio(job)) == list(range(6))


def test_a_lease_lost_before_the_verdict_harms_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = NumberEngine()
    engine.fails_at = 2
    failing = bench.submit(4)
    work = WorkerDesk.fail

    def too_late(desk: WorkerDesk, claim: Claim, error: dict[str, Any]) -> State:
        bench.store.release_worker(desk.worker_id, crashed=None)
        engine.fails_at = None
        return work(desk, claim, error)

    monkeypatch.setattr(WorkerDesk, "fail", too_late)
    bench.work(engine)
    done = bench.wait(failing, State.DONE)
    assert (done.token, done.error) == (2, None)
    assert bench.errors == []


# When the engine fails it


class Truncating(NumberEngine):
    """Runs out of room at passage 1."""

    def step(self) -> StepResult:
        result = super().step()
        return replace(result, ended=tuple(self.cut(ended) for ended in result.ended))

    def cut(self, ended: Ended) -> Ended:
        if not ended.request_id.endswith("/1"):
            return ended
        return replace(ended, end=End.TRUNCATED, message="Cut after 0.1 s: no room.")


def test_truncated_is_never_done_and_harms_no_other_job(bench: Bench) -> None:
    cut, short = bench.submit(3), bench.submit(1)
    bench.work(Truncating())
    failed = bench.wait(cut, State.FAILED)
    assert failed.error is not None
    assert (failed.error["code"], failed.error["message"]) == ("truncated", "Cut after 0.1 s: no room.")
    assert failed.passages_done <= 2
    passage = bench.store.passages(cut.id)[1][1]
    assert passage is None or not passage.is_whole
    assert bench.wait(short).state is State.DONE
    bench.stop()
    bench.store.resume(cut.id)
    bench.work(NumberEngine(), name="w2")
    bench.wait(cut, State.DONE)
    assert passages_in(bench.audio(cut)) == [0, 1, 2], "what was cut off is spoken anew, not twice"


class Uncountable(NumberEngine):
    def cost(self, request: SpeakRequest) -> Cost:
        if "uncountable" in request.voices.values():
            raise ZeroDivisionError("how many?")
        return super().cost(request)


def test_a_cost_that_cannot_be_told_fails_its_job_alone(bench: Bench) -> None:
    odd, well = bench.submit(3, voices={1: "uncountable"}), bench.submit(3)
    bench.work(Uncountable())
    error = bench.wait(odd).error
    assert error is not None
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert bench.wait(well).state is State.DONE


class Wordless(NumberEngine):
    """Ends its passages without a single chunk."""

    def step(self) -> StepResult:
        return replace(super().step(), chunks=())


def test_a_passage_without_a_sound_is_a_passage(bench: Bench) -> None:
    job = bench.submit(3)
    bench.work(Wordless())
    done = bench.wait(job, State.DONE)
    assert len(bench.audio(job)) == done.audio_samples == 2 * 12_000  # the silences


# Ends


def test_a_job_cancelled_in_mid_passage_leaves_its_place_to_the_next(bench: Bench) -> None:
    first, second = bench.submit(500), bench.submit(4)
    engine = NumberEngine()

    def cancel_at_a_first_beat() -> None:
        if len(engine.spoken) == 4 and not any(engine.beats.values()):
            user = threading.Thread(target=bench.store.cancel, args=(first.id,))
            user.start()
            user.join()

    engine.before_step = cancel_at_a_first_beat
    bench.work(engine, max_jobs=1)
    bench.wait(second, State.DONE)
    assert bench.store.job(first.id).state is State.CANCELLED
    assert [request.split("/")[0] for request in engine.stopped] == [first.id] * 2
    assert engine.spoken == [0, 1, 2, 3, 0, 1, 2, 3], "what was being spoken is not spoken to its end"


def test_what_was_offered_before_a_pause_is_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause comes while the recorder is writing: it writes to its end, and only then the job is paused."""
    writing, go_on = threading.Event(), threading.Event()
    commit = WorkerDesk.commit

    def slow(desk: WorkerDesk, claim: Claim, spoken: Sequence[Stretch]) -> None:
        writing.set()
        go_on.wait(10)
        commit(desk, claim, spoken)

    monkeypatch.setattr(WorkerDesk, "commit", slow)
    job = bench.submit(300)
    engine = slowed(NumberEngine())
    bench.work(engine)
    assert writing.wait(10)
    wait_until(lambda: len(engine.spoken) >= 5)
    bench.store.pause(job.id)
    time.sleep(0.05)
    go_on.set()
    paused = bench.wait(job, State.PAUSED)
    assert paused.passages_done == len(engine.spoken)


def test_a_job_of_another_engine_is_left_alone(bench: Bench) -> None:
    other = bench.submit(2, engine="vibevoice")
    own = bench.submit(2)
    bench.work(NumberEngine())
    bench.wait(own, State.DONE)
    assert bench.store.job(other.id).state is State.QUEUED


def test_a_job_refused_with_two_requests_admitted_harms_nobody(bench: Bench) -> None:
    bad, well = bench.submit(3, voices={1: "unknown"}), bench.submit(3)
    bench.work(NumberEngine(max_active=2))
    assert bench.wait(bad).state is State.FAILED
    bench.wait(well, State.DONE)
    assert bench.errors == []


def test_a_job_that_cannot_be_mended_now_is_given_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    job = bench.submit(2)
    desk = WorkerDesk(bench.db, "w0", "espeak", 1)
    claim = desk.claim()
    assert claim is not None
    path = bench.folder.stretch(job.id, 0, 0, claim.token)
    path.parent.mkdir(parents=True)
    half = write_stretch(path, [np.zeros(10, np.int16)])
    desk.commit(claim, [Stretch(0, path.name, half.sha256, 10, is_last=False)])
    desk.release(claim)
    uncommit, calls = WorkerDesk.uncommit, []

    def busy_once(desk: WorkerDesk, *place: Any) -> None:
        calls.append(place)
        if len(calls) == 1:
            raise TransientError("busy")
        uncommit(desk, *place)

    monkeypatch.setattr(WorkerDesk, "uncommit", busy_once)
    bench.work(NumberEngine())
    done = bench.wait(job, State.DONE)
    assert (len(calls), done.token) == (2, 3)


def test_a_suspect_is_spoken_alone_until_it_gets_on(bench: Bench) -> None:
    suspect = bench.submit(30)
    assert WorkerDesk(bench.db, "w0", "espeak", 1).claim() is not None
    bench.store.release_worker("w0", crashed="killed by signal 9")
    neighbour = bench.submit(30)
    together: list[int] = []
    engine = NumberEngine()

    def look() -> None:
        if bench.store.job(suspect.id).passages_done == 0:
            together.append(running(bench, Kind.JOB))

    engine.before_step = look
    bench.work(engine)
    bench.wait(suspect, State.DONE)
    bench.wait(neighbour, State.DONE)
    assert set(together) == {1}

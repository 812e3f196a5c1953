"""What a worker counts, with a real loop beneath it; and the thread that tells of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from longtake.cache import PassageCache
from longtake.core.clock import SystemClock
from longtake.core.disk import disk_error
from longtake.core.stats import Counts, Spread, StepStats, read_stats, stats_path
from longtake.core.units import seconds_of
from longtake.jobs.records import Kind
from longtake.worker import figures
from longtake.worker.blame import is_write_failure
from longtake.worker.figures import KEPT_FILES, Reporter
from longtake.worker.loop import WorkerLoop
from tests.support.engine import BEATS, SAMPLES, NumberEngine
from tests.unit.worker.test_loop import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "data")
    yield bench
    bench.stop()
    bench.db.close()


def counts_at_the_end(bench: Bench, loop: WorkerLoop) -> Counts:
    bench.stop()
    loop.figures._looked_at = float("-inf")
    loop.figures.look(0)
    return loop.figures.latest.counts


def waits(spread: Spread) -> int:
    return sum(spread.counts)


def test_what_is_spoken_is_counted(bench: Bench) -> None:
    job, other = bench.submit(7), bench.submit(2, kind=Kind.SPEECH)
    engine = NumberEngine()
    engine.before_step = lambda: time.sleep(0.001)
    loop = bench.work(engine)
    bench.wait(job)
    bench.wait(other)
    counts = counts_at_the_end(bench, loop)

    assert counts.passages == 9
    assert counts.audio_s == pytest.approx(9 * seconds_of(SAMPLES))
    assert counts.step_requests == 9 * BEATS
    assert 9 * BEATS / engine.most_active <= counts.steps < 9 * BEATS
    assert counts.busy_s >= counts.steps * 0.001
    assert counts.frames == 90, "the engine's own"
    assert {kind: waits(each) for kind, each in counts.queue_wait_s.items()} == {"job": 1, "speech": 1}
    assert {kind: waits(each) for kind, each in counts.first_audio_s.items()} == {"job": 1, "speech": 1}
    assert counts.first_audio_s["job"].sum_s >= counts.queue_wait_s["job"].sum_s
    assert (counts.resumes, counts.truncations, counts.write_failures, counts.preemptions) == (0, 0, 0, 0)


def test_probes_are_not_counted_among_waits(bench: Bench) -> None:
    job = bench.submit(1, kind=Kind.PROBE)
    loop = bench.work(NumberEngine())
    bench.wait(job)
    counts = counts_at_the_end(bench, loop)
    assert counts.passages == 1
    assert not counts.queue_wait_s
    assert not counts.first_audio_s


def test_a_job_that_goes_on_is_a_resume_and_waits_no_second_time(bench: Bench) -> None:
    job = bench.submit(30)
    engine = NumberEngine()
    engine.before_step = lambda: time.sleep(0.005)
    first = bench.work(engine)
    while bench.store.job(job.id).passages_done < 3:
        time.sleep(0.005)
    before = counts_at_the_end(bench, first)
    second = bench.work(NumberEngine(), name="w2")
    bench.wait(job)
    after = counts_at_the_end(bench, second)

    assert (before.resumes, after.resumes) == (0, 1)
    assert not after.queue_wait_s
    assert not after.first_audio_s
    assert before.passages + after.passages == 30, "nothing is counted twice"


def test_what_comes_from_the_cache_is_heard_but_not_computed(bench: Bench, tmp_path: Path) -> None:
    cache = PassageCache(tmp_path / "cache", bound_bytes=1 << 20)
    loop = bench.work(NumberEngine(caches=True), cache=cache)
    bench.wait(bench.submit(3))
    bench.wait(bench.submit(3))
    counts = counts_at_the_end(bench, loop)

    assert (counts.cache_hits, counts.cache_misses) == (3, 3)
    assert counts.audio_s == pytest.approx(3 * seconds_of(SAMPLES))
    assert waits(counts.first_audio_s["job"]) == 2


def test_the_state_of_now(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever it is looked at: never the moment between two passages, when nobody is at work."""
    monkeypatch.setattr(figures, "LOOK_S", 0.0)
    engine = NumberEngine(max_active=2, cost_bytes=10)
    job = bench.submit(200)
    loop = bench.work(engine, budget_bytes=15)
    seen = []
    engine.before_step = lambda: seen.append(loop.figures.latest)
    bench.wait(job)
    assert len(seen) > 50
    assert {each.active for each in seen} == {1}
    assert {(each.jobs, each.max_active) for each in seen} == {(1, 2)}
    assert {(each.held_bytes, each.limit_bytes, each.budget_bytes) for each in seen} == {(10, 15, 15)}


def test_a_disk_that_takes_no_audio_is_a_write_failure(bench: Bench) -> None:
    assert is_write_failure(disk_error(OSError(28, "no space"), None))
    assert is_write_failure(disk_error(OSError(5, "input/output error"), None))
    assert not is_write_failure(ValueError("a mistake"))
    assert not is_write_failure(None)

    job = bench.submit(3)
    bench.folder.floor_bytes = 1 << 60
    loop = bench.work(NumberEngine())
    while bench.store.job(job.id).state != "paused":
        time.sleep(0.005)
    assert counts_at_the_end(bench, loop).write_failures == 1


def told(worker_id: str = "espeak-1") -> StepStats:
    return StepStats(worker_id, "espeak", 1, "boot", 0.0, "ready", Counts(steps=4))


def test_the_file_is_replaced_again_and_again_and_stays(tmp_path: Path) -> None:
    path = stats_path(tmp_path / "run", "espeak-1")
    reporter = Reporter(tmp_path / "run", told, SystemClock(), period_s=0.01)
    reporter.start()
    first = read_stats(path)
    assert first is not None
    deadline = time.monotonic() + 10
    while (later := read_stats(path)) is None or later.told_s <= first.told_s:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert later.counts.steps == 4
    assert later.resident_bytes == pytest.approx(psutil.Process().memory_info().rss, rel=0.5)
    reporter.stop()
    last = read_stats(path)
    assert last is not None
    assert last.state == "gone"


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "run"
    blocked.write_text("a file stands here")
    reporter = Reporter(blocked, told, SystemClock())
    reporter.write()
    reporter.write()
    assert len(caplog.records) == 1
    blocked.unlink()
    reporter.write()
    assert read_stats(stats_path(blocked, "espeak-1")) is not None


def test_files_of_workers_that_are_gone_are_few(tmp_path: Path) -> None:
    for number in range(KEPT_FILES + 3):
        Reporter(tmp_path, lambda number=number: told(f"espeak-{number}"), SystemClock()).write()  # type: ignore[misc]
    (tmp_path / "other-1.json").write_text("{}")
    reporter = Reporter(tmp_path, lambda: told("espeak-new"), SystemClock(), period_s=60)
    reporter.start()
    reporter.stop()
    assert len(list(tmp_path.glob("espeak-*.json"))) == KEPT_FILES + 1
    assert (tmp_path / "other-1.json").exists()

"""The recorder without a loop: real store, real files, passages handed over by the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from longtake.audio import sha256_of
from longtake.core.errors import (
    CapacityError,
    DiskFullError,
    EngineError,
    InputError,
    LeaseLostError,
    WorkerError,
)
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Claim, Job, Stretch
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from longtake.worker.blame import error_to_dict
from longtake.worker.recorder import Outcome, Recorder, Spoken
from tests.support.jobs import planned, spec

SAMPLES = 2400


class Studio:
    """A folder, a store and a worker's desk; recorders are ended with the test."""

    def __init__(self, root: Path) -> None:
        self.folder = DataFolder(root, floor_bytes=0)
        self.db = Database(self.folder.database)
        self.store = JobStore(self.db)
        self.desk = WorkerDesk(self.db, "w1", "espeak", 1)
        self.recorders: list[Recorder] = []
        self.news = threading.Event()

    def submit(self, passages: int, **fields: object) -> Job:
        return self.store.submit(spec(**fields), "x", planned(passages, silence_s=0.0))[0]

    def claim(self) -> Claim:
        claim = self.desk.claim()
        assert claim is not None
        return claim

    def record(self, claim: Claim, *, keeps_traces: bool = False) -> Recorder:
        recorder = Recorder(claim, self.desk, self.folder, keeps_traces=keeps_traces, news=self.news.set)
        recorder.start()
        self.recorders.append(recorder)
        return recorder

    def passages(self, job: Job) -> list[str]:
        return sorted(path.name for path in self.folder.passages(job.id).iterdir())

    def audio(self, job: Job) -> list[int]:
        """The loudest sample of each passage of the finished file."""
        job = self.store.job(job.id)
        assert job.audio_file is not None
        samples = np.fromfile(self.folder.job(job.id) / job.audio_file, "<i2")
        return [int(part.max()) for part in np.split(samples, len(samples) // SAMPLES)]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(tmp_path / "data")
    yield studio
    for recorder in studio.recorders:
        assert recorder.stop(10)
    studio.db.close()


def sound(index: int, samples: int = SAMPLES) -> Spoken:
    return Spoken(index, np.full(samples, index + 1, np.int16), ())


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_passages_in_any_order_become_one_file_in_theirs(studio: Studio) -> None:
    job = studio.submit(4)
    recorder = studio.record(studio.claim())
    for index in (2, 0, 3, 1):
        recorder.offer(sound(index))
    wait_until(lambda: recorder.outcome)
    assert (recorder.outcome, recorder.error) == (Outcome.FINISHED, None)
    assert studio.store.job(job.id).state is State.DONE
    assert studio.audio(job) == [1, 2, 3, 4]
    assert studio.news.is_set()


def test_what_waits_for_its_predecessor_is_committed_already(studio: Studio) -> None:
    job = studio.submit(3)
    recorder = studio.record(studio.claim())
    recorder.offer(sound(2))
    wait_until(lambda: studio.store.job(job.id).passages_done == 1)
    ((_, passage),) = [(p, s) for p, s in studio.store.passages(job.id) if s is not None]
    assert recorder.spoken(2) == passage
    assert recorder.spoken(0) is None
    (stretch,) = passage.stretches
    path = studio.folder.stretch(job.id, 2, 0, token=1)
    assert (passage.is_whole, stretch.file, stretch.samples) == (True, path.name, SAMPLES)
    assert stretch.sha256 == sha256_of(path)
    assert recorder.outcome is None
    assert recorder.steps >= 1


def test_the_lead_is_what_is_spoken_and_not_encoded(studio: Studio) -> None:
    studio.submit(3)
    recorder = studio.record(studio.claim())
    assert recorder.lead_s == 0.0
    recorder.offer(sound(1, 24_000))
    recorder.offer(sound(2, 12_000))
    assert recorder.lead_s == 1.5
    wait_until(lambda: studio.store.counts() and recorder.steps)
    assert recorder.lead_s == 1.5, "committed is not encoded: passage 0 is missing"
    recorder.offer(sound(0))
    wait_until(lambda: recorder.lead_s == 0.0)


def test_stop_commits_what_was_offered_and_finishes_nothing(studio: Studio) -> None:
    job = studio.submit(3)
    recorder = studio.record(studio.claim())
    recorder.offer(sound(1))
    recorder.offer(sound(2))
    assert recorder.stop(10)
    assert recorder.outcome is None
    assert studio.store.job(job.id).passages_done == 2
    assert studio.store.job(job.id).state is State.RUNNING, "the verdict is the loop's"
    assert studio.folder.part(job.id, 1, ".pcm").exists(), "what was encoded stays for those who listen"


def test_what_the_cache_has_too_would_not_be_lost(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job out of the cache must not use up what all jobs together may have uncommitted."""
    go_on = threading.Event()
    commit = studio.desk.commit

    def slow(claim: Claim, stretches: Sequence[Stretch]) -> None:
        go_on.wait(10)
        commit(claim, stretches)

    monkeypatch.setattr(studio.desk, "commit", slow)
    studio.submit(3)
    recorder = studio.record(studio.claim())
    recorder.offer(replace(sound(0, 24_000), is_cached=True))
    recorder.offer(sound(1, 12_000))
    assert (recorder.uncommitted_s, recorder.lead_s) == (0.5, 1.5)
    go_on.set()
    wait_until(lambda: recorder.spoken(1))
    assert recorder.uncommitted_s == 0.0


def test_what_comes_while_a_block_is_encoded_and_before_the_stop_is_kept(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stop is seen right after a commit, during which more was offered."""
    job = studio.submit(4)
    writing, go_on = threading.Event(), threading.Event()
    commit, before_block = studio.desk.commit, Recorder._before_block

    def slow(claim: Claim, stretches: Sequence[Stretch]) -> None:
        if any(stretch.index == 2 for stretch in stretches):
            writing.set()
            go_on.wait(10)
        commit(claim, stretches)

    def with_more(recorder: Recorder) -> None:
        if not writing.is_set():
            recorder.offer(sound(2))
        before_block(recorder)

    monkeypatch.setattr(studio.desk, "commit", slow)
    monkeypatch.setattr(Recorder, "_before_block", with_more)
    recorder = studio.record(studio.claim())
    recorder.offer(sound(0))
    assert writing.wait(10)
    recorder.offer(sound(3))
    recorder.stop(0.0)
    go_on.set()
    assert recorder.stop(10)
    assert studio.store.job(job.id).passages_done == 3


def test_stop_tells_when_it_did_not_end_in_time_and_what_came_meanwhile_is_kept(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()
    commit = studio.desk.commit

    def slow(claim: Claim, stretches: Sequence[Stretch]) -> None:
        writing.set()
        go_on.wait(10)
        commit(claim, stretches)

    monkeypatch.setattr(studio.desk, "commit", slow)
    job = studio.submit(3)
    recorder = studio.record(studio.claim())
    recorder.offer(sound(1))
    assert writing.wait(10)
    recorder.offer(sound(2))
    assert not recorder.stop(0.02)
    go_on.set()
    assert recorder.stop(10)
    assert studio.store.job(job.id).passages_done == 2


def half_done(studio: Studio, passages: int, done: int) -> Job:
    """A job whose first worker was stopped."""
    job = studio.submit(passages)
    claim = studio.claim()
    recorder = studio.record(claim)
    for index in range(done):
        recorder.offer(sound(index))
    assert recorder.stop(10)
    studio.desk.release(claim)
    return job


def test_a_second_recorder_finishes_from_the_files_of_the_first(studio: Studio) -> None:
    job = half_done(studio, 4, done=3)
    recorder = studio.record(studio.claim())
    assert recorder.lead_s == 0.0, "what others spoke is no lead: nothing is held for it"
    recorder.offer(sound(3))
    wait_until(lambda: recorder.outcome)
    assert studio.audio(job) == [1, 2, 3, 4]
    assert studio.passages(job) == [f"{index:06d}.0000-{token}.pcm" for index, token in enumerate((1, 1, 1, 2))]
    assert studio.store.job(job.id).audio_file == "audio-2.pcm"


def test_what_no_row_names_is_swept_away(studio: Studio) -> None:
    job = half_done(studio, 3, done=1)
    folder = studio.folder.job(job.id)
    for name in ("part-1.mp3", "audio-1.pcm", "passages/000001.0000-1.pcm", "passages/000002.0000-1.pcm.tmp"):
        (folder / name).write_bytes(b"\0\0")
    (folder / "notes.txt").write_text("not ours")
    recorder = studio.record(studio.claim())
    wait_until(lambda: studio.folder.part(job.id, 2, ".pcm").exists())
    recorder.stop(10)
    assert studio.passages(job) == ["000000.0000-1.pcm"]
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", "part-2.pcm", "passages"]


@pytest.mark.parametrize("how", ["missing", "changed", "cut"])
def test_a_damaged_passage_is_asked_for_again(studio: Studio, how: str) -> None:
    job = half_done(studio, 3, done=2)
    path = studio.folder.stretch(job.id, 1, 0, token=1)
    whole = path.read_bytes()
    match how:
        case "missing":
            path.unlink()
        case "changed":
            path.write_bytes(whole[:-2] + b"\7\0")
        case "cut":
            path.write_bytes(whole[:-1])
    recorder = studio.record(studio.claim())
    recorder.offer(sound(2))
    damaged: list[int] = []

    def look() -> bool:
        damaged.extend(recorder.take_damaged())
        return bool(damaged)

    wait_until(look)
    assert damaged == [1]
    assert recorder.take_damaged() == [], "it is asked for once"
    wait_until(lambda: studio.store.job(job.id).passages_done == 2)  # 0, and 2 which waits for 1
    assert recorder.outcome is None
    recorder.offer(sound(1))
    wait_until(lambda: recorder.outcome)
    assert studio.audio(job) == [1, 2, 3]
    assert "000001.0000-2.pcm" in studio.passages(job)


def stretch(index: int, number: int, value: int, *, is_last: bool = False) -> Spoken:
    return Spoken(index, np.full(SAMPLES, value, np.int16), (), number, is_last=is_last, trace=f"<{value}>".encode())


def test_stretches_are_heard_before_their_passage_is_whole(studio: Studio) -> None:
    job = studio.submit(2)
    recorder = studio.record(studio.claim())
    for spoken in (stretch(1, 0, 3), stretch(0, 0, 1), stretch(0, 1, 2)):
        recorder.offer(spoken)
    wait_until(lambda: recorder.lead_s == pytest.approx(0.1))
    assert recorder.outcome is None
    assert studio.store.job(job.id).passages_done == 0
    recorder.offer(stretch(1, 1, 4, is_last=True))
    recorder.offer(Spoken(0, np.empty(0, np.int16), (), 2, is_last=True))
    wait_until(lambda: recorder.outcome)
    assert studio.audio(job) == [1, 2, 3, 4]
    assert (recorder.trace(0), recorder.trace(1)) == (b"<1><2>", b"<3><4>")


@pytest.mark.parametrize(("keeps_traces", "left"), [(True, 2), (False, 0)])
def test_a_damaged_passage_is_cut_back_to_where_the_engine_can_go_on(
    studio: Studio, keeps_traces: bool, left: int
) -> None:
    job = studio.submit(2)
    claim = studio.claim()
    first = studio.record(claim)
    for spoken in (stretch(0, 0, 1), stretch(0, 1, 2), stretch(0, 2, 3, is_last=True)):
        first.offer(spoken)
    first.stop(10)
    studio.desk.release(claim)
    path = studio.folder.stretch(job.id, 0, 2, token=1)
    path.write_bytes(path.read_bytes() + b"?")  # behind the samples: the trace is damaged
    recorder = studio.record(studio.claim(), keeps_traces=keeps_traces)
    wait_until(lambda: recorder.take_damaged() == [0])
    passage = recorder.spoken(0)
    assert (len(passage.stretches) if passage else 0) == left
    assert passage is None or not passage.is_whole
    assert recorder.trace(0) == b"<1><2>"[: 3 * left]
    for number in range(left, 3):
        recorder.offer(stretch(0, number, number + 1, is_last=number == 2))
    recorder.offer(stretch(1, 0, 4, is_last=True))
    wait_until(lambda: recorder.outcome)
    assert studio.audio(job) == [1, 2, 3, 4]


def test_who_lost_the_job_writes_nothing_more(studio: Studio) -> None:
    job = studio.submit(2)
    recorder = studio.record(studio.claim())
    recorder.offer(sound(0))
    wait_until(lambda: studio.store.job(job.id).passages_done == 1)
    studio.store.release_worker("w1", crashed=None)
    recorder.offer(sound(1))
    wait_until(lambda: recorder.outcome)
    assert recorder.outcome is Outcome.LOST
    assert isinstance(recorder.error, LeaseLostError)
    after = studio.store.job(job.id)
    assert (after.state, after.passages_done) == (State.QUEUED, 1)


def heir_has_finished(studio: Studio, job: Job) -> list[str]:
    """Another worker has taken the job and brought it to its end; gives the files that count."""
    studio.store.release_worker("w1", crashed=None)
    desk = WorkerDesk(studio.db, "w2", "espeak", 1)
    claim = desk.claim()
    assert claim is not None
    heir = Recorder(claim, desk, studio.folder, news=lambda: None)
    heir.start()
    for index in {0, 1, 2} - set(claim.spoken):
        heir.offer(sound(index))
    wait_until(lambda: heir.outcome)
    assert studio.store.job(job.id).state is State.DONE
    return files(studio, job)


def files(studio: Studio, job: Job) -> list[str]:
    return sorted(path.name for path, _ in studio.folder.files_by_token(job.id))


def test_a_woken_worker_sweeps_nothing_of_its_successors(studio: Studio) -> None:
    """It was frozen right behind its claim, and begins as if nothing had happened."""
    job = studio.submit(3)
    old = studio.claim()
    counted = heir_has_finished(studio, job)
    assert counted == [*(f"{index:06d}.0000-2.pcm" for index in range(3)), "audio-2.pcm"]
    zombie = studio.record(old)
    zombie.offer(sound(0))
    wait_until(lambda: zombie.outcome)
    assert zombie.outcome is Outcome.LOST
    assert files(studio, job) == counted, "and nothing of its own stays"
    assert studio.audio(job) == [1, 2, 3]


def test_a_woken_worker_that_is_told_to_stop_clears_away_too(studio: Studio) -> None:
    job = studio.submit(3)
    old = studio.claim()
    counted = heir_has_finished(studio, job)
    zombie = studio.record(old)
    wait_until(lambda: "part-1.pcm" in files(studio, job))
    zombie.lose()
    assert zombie.stop(10)
    assert files(studio, job) == counted


def test_what_others_build_upon_is_not_cleared_away(studio: Studio) -> None:
    job = studio.submit(3)
    zombie = studio.record(studio.claim())
    zombie.offer(sound(1))
    wait_until(lambda: studio.store.job(job.id).passages_done == 1)
    counted = heir_has_finished(studio, job)
    assert "000001.0000-1.pcm" in counted
    zombie.offer(sound(0))
    wait_until(lambda: zombie.outcome)
    assert files(studio, job) == counted


def test_without_a_successor_the_part_stays_for_those_who_listen(studio: Studio) -> None:
    job = studio.submit(2)
    recorder = studio.record(studio.claim())
    recorder.offer(sound(0))
    wait_until(lambda: studio.store.job(job.id).passages_done == 1)
    studio.store.release_worker("w1", crashed=None)
    recorder.offer(sound(1))
    wait_until(lambda: recorder.outcome)
    assert recorder.outcome is Outcome.LOST
    assert "part-1.pcm" in files(studio, job)


def test_a_full_disk_is_found_before_the_file_is_written(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    job = studio.submit(1)
    recorder = studio.record(studio.claim())
    monkeypatch.setattr(DataFolder, "free_bytes", lambda self: 2 * SAMPLES - 1)
    recorder.offer(sound(0))
    wait_until(lambda: recorder.outcome)
    assert recorder.outcome is Outcome.FAILED
    assert isinstance(recorder.error, DiskFullError)
    assert studio.passages(job) == []


def test_any_other_accident_is_kept_for_the_loop(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(studio.desk, "commit", stumble)
    studio.submit(1)
    recorder = studio.record(studio.claim())
    recorder.offer(sound(0))
    wait_until(lambda: recorder.outcome)
    assert recorder.outcome is Outcome.FAILED
    assert isinstance(recorder.error, KeyError)
    assert studio.news.is_set()


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (InputError("m", code="unknown_voice"), "invalid_request_error", "unknown_voice"),
        (CapacityError("m"), "capacity_error", "does_not_fit"),
        (EngineError("m"), "engine_error", "engine_failed"),
        (WorkerError("m", code="write_failed"), "engine_error", "write_failed"),
        (ZeroDivisionError("m"), "server_error", "internal_error"),
    ],
)
def test_an_error_is_stored_in_the_words_of_the_api(error: Exception, kind: str, code: str) -> None:
    stored = error_to_dict(error)
    assert (stored["type"], stored["code"], stored["param"]) == (kind, code, None)
    assert stored["message"] is not None
    assert "m" in stored["message"]


def test_a_stored_error_names_the_field_and_a_mistake_of_ours_its_kind() -> None:
    assert error_to_dict(InputError("m", param="voices"))["param"] == "voices"
    message = error_to_dict(ZeroDivisionError("by nothing"))["message"]
    assert message is not None
    assert "ZeroDivisionError: by nothing" in message
    assert "log" in message


def test_an_hour_of_silence_is_left_at_once_and_is_progress(studio: Studio) -> None:
    job = studio.submit(1, trailing_silence_s=3600.0, response_format="flac", loudness="podcast")
    recorder = studio.record(studio.claim())
    recorder.offer(sound(0))
    wait_until(lambda: recorder.steps > 20)
    begun = time.monotonic()
    assert recorder.stop(10)
    assert time.monotonic() - begun < 1.0
    assert (recorder.outcome, studio.store.job(job.id).passages_done) == (None, 1)


def test_silence_does_not_fill_the_disk(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 1 << 40
    monkeypatch.setattr(DataFolder, "free_bytes", lambda self: free)
    studio.folder.floor_bytes = 1 << 20
    studio.submit(1, trailing_silence_s=36000.0, response_format="wav")
    recorder = studio.record(studio.claim())
    recorder.offer(sound(0))
    wait_until(lambda: recorder.steps > 20)
    free = 1 << 10
    wait_until(lambda: recorder.outcome)
    assert isinstance(recorder.error, DiskFullError)

"""Again from here with real files: where it is cut, what stays, and that nothing is lost, whatever goes wrong."""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longtake.audio import read_samples, read_trace, sha256_of, write_stretch
from longtake.core.errors import ConflictError, DiskFullError, InputError, NotFoundError, TransientError
from longtake.core.records import Line, Mark, Passage
from longtake.core.units import parse_time, seconds_of
from longtake.delivery import again as rooms
from longtake.delivery import audio_path, speak_again, subtitles_of
from longtake.delivery.border import find_border
from longtake.engines.vibevoice.network.names import DIFFUSION, END
from longtake.engines.vibevoice.trace import read_trace as read_steps
from longtake.engines.vibevoice.trace import write_step
from longtake.jobs.cuts import Cuts
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Claim, Job, Kind, PlannedPassage, Stretch
from longtake.jobs.removal import finish_removals
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from tests.support.jobs import planned, spec

FRAME = 3200
LINES = (Line(1, "aaaaaaaaaa", "en"), Line(2, "bbbbbbbbbb", "en"), Line(1, "cccccccccc", "en"))


class Shelf:
    """A data folder, with a worker that writes files as a real one does."""

    def __init__(self, root: Path) -> None:
        self.folder = DataFolder(root, floor_bytes=0)
        self.db = Database(self.folder.database)
        self.store = JobStore(self.db)

    def claim(self, engine: str = "espeak") -> Claim:
        claim = WorkerDesk(self.db, "w1", engine, 1).claim()
        assert claim is not None
        return claim

    def commit(self, claim: Claim, *stretches: Stretch) -> None:
        WorkerDesk(self.db, "w1", claim.job.spec.engine, 1).commit(claim, stretches)

    def stretch(
        self, claim: Claim, index: int, samples: int, *, number: int = 0, is_last: bool = True, trace: bytes = b""
    ) -> Stretch:
        path = self.folder.stretch(claim.job.id, index, number, claim.token)
        path.parent.mkdir(parents=True, exist_ok=True)
        pcm = np.random.default_rng([claim.token, index, number]).integers(-9999, 9999, samples, np.int16)
        file = write_stretch(path, [pcm], trace)
        return Stretch(index, path.name, file.sha256, samples, (), number, is_last, len(trace))

    def finish(self, claim: Claim) -> Job:
        final = self.folder.finished(claim.job.id, claim.token, ".pcm")
        final.write_bytes(b"finished")
        WorkerDesk(self.db, "w1", claim.job.spec.engine, 1).finish(claim, final.name, 8)
        return self.store.job(claim.job.id)

    def done(self, passages: int = 4) -> Job:
        """Passages of a second, half a second of silence between them: 0, 1.5, 3.0, 4.5 s."""
        self.store.submit(spec(), "x", planned(passages))
        claim = self.claim()
        self.commit(claim, *(self.stretch(claim, index, 24_000) for index in range(passages)))
        return self.finish(claim)

    def dialogue(self, frames: tuple[int, ...] = (20, 30, 25), *, is_done: bool = True) -> Job:
        """One passage of three turns for VibeVoice, in stretches of so many frames; each ends with END."""
        fields: dict[str, Any] = {"engine": "vibevoice", "voices": {1: "a", 2: "b"}, "labels": {1: "Ann", 2: "Bob"}}
        estimated_s = seconds_of(FRAME * 75)
        plan = [PlannedPassage(Passage(0, LINES, 0.0), "en", 30, estimated_s)]
        self.store.submit(spec(**fields), "x", plan)
        claim = self.claim("vibevoice")
        for number, count in enumerate(frames):
            steps = b"".join(write_step(DIFFUSION, np.full(192, f, np.float32)) for f in range(count))
            is_last = is_done and number == len(frames) - 1
            trace = steps + write_step(END, None)
            self.commit(claim, self.stretch(claim, 0, count * FRAME, number=number, is_last=is_last, trace=trace))
        return self.finish(claim) if is_done else self.store.job(claim.job.id)

    def files(self, job_id: str) -> dict[str, bytes]:
        root = self.folder.job(job_id)
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    def snapshot(self) -> dict[str, Any]:
        """All jobs and their files, but for what a cut that came to nothing may change: the token."""
        return {job.id: (job.state, self.store.passages(job.id), self.files(job.id)) for job in self.store.jobs()}


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path / "data")
    yield shelf
    shelf.db.close()


# Where


@pytest.mark.parametrize(
    ("asked_s", "index", "from_s"),
    [(0, 0, 0.0), (0.9, 0, 0.0), (1.2, 0, 0.0), (1.5, 1, 1.5), (2.9, 1, 1.5), (3.0, 2, 3.0), (5.5, 3, 4.5)],
)
def test_a_sentence_engine_is_cut_where_the_passage_begins(
    shelf: Shelf, asked_s: float, index: int, from_s: float
) -> None:
    job = shelf.done()
    again = speak_again(shelf.store, shelf.folder, job.id, asked_s)
    assert (again.from_s, again.line.text, again.label) == (from_s, f"Passage number {index}.", "Speaker 1")
    assert [found is not None for _, found in shelf.store.passages(job.id)] == [place < index for place in range(4)]
    assert shelf.store.job(job.id).state is State.QUEUED


def test_the_time_that_the_subtitles_show_is_the_time_that_is_cut(shelf: Shelf) -> None:
    rng = np.random.default_rng(3)
    plan = [
        PlannedPassage(Passage(i, (Line(1 + i % 2, f"Word {i}.", "en"),), float(rng.uniform(0, 0.7))), "en", 1, 1.0)
        for i in range(60)
    ]
    shelf.store.submit(spec(voices={1: "a", 2: "b"}, labels={1: "A", 2: "B"}), "x", plan)
    claim = shelf.claim()
    shelf.commit(claim, *(shelf.stretch(claim, i, int(rng.integers(9_000, 50_000))) for i in range(60)))
    job = shelf.store.job(claim.job.id)
    shown = "".join(subtitles_of(shelf.store, job, "srt")).split("\n\n")
    times = [parse_time(cue.split("\n")[1].split(" --> ")[0], "x") for cue in shown if cue]
    assert len(times) == 60
    for index, time_s in enumerate(times):
        assert find_border(shelf.store, job, time_s, is_within=False).index == index


def test_within_a_passage_it_is_cut_where_a_turn_begins_to_the_frame(shelf: Shelf) -> None:
    """Three turns of 25 frames; the second begins in the second stretch, behind its fifth frame."""
    job = shelf.dialogue()
    before = shelf.store.passages(job.id)[0][1]
    assert before is not None
    again = speak_again(shelf.store, shelf.folder, job.id, 4.0, seed=5)
    assert (again.line, again.label, again.seed) == (LINES[1], "Bob", 5)
    assert again.from_s == pytest.approx(25 * FRAME / 24_000)
    after = shelf.store.passages(job.id)[0][1]
    assert after is not None
    assert after.stretches[0] == before.stretches[0]
    assert [s.samples for s in after.stretches] == [20 * FRAME, 5 * FRAME]
    assert not after.is_whole
    tail, whole = after.stretches[1], before.stretches[1]
    folder = shelf.folder.passages(job.id)
    assert tail.file != whole.file
    assert sha256_of(folder / tail.file) == tail.sha256
    kept, was = ([*read_samples(folder / s.file, s.samples)] for s in (tail, whole))
    assert np.array_equal(np.concatenate(kept), np.concatenate(was)[: 5 * FRAME])
    steps = read_steps(read_trace(folder / tail.file, tail.samples))
    assert steps.tokens == (DIFFUSION,) * 5
    assert steps.features_F192[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert len(read_trace(folder / tail.file, tail.samples)) == tail.trace_bytes == 5 * 769


@pytest.mark.parametrize(
    ("frames", "asked_s", "kept"),
    [
        ((25, 50), 3.4, [25]),  # the turn begins where a stretch ends
        ((75,), 9.9, [50]),
        ((20, 30, 25), 3.2, []),  # the first turn is the whole passage
        ((10, 10, 10, 10, 10, 10, 10, 5), 7.0, [10, 10, 10, 10, 10]),
    ],
)
def test_stretches_before_the_cut_stay_as_they_are(
    shelf: Shelf, frames: tuple[int, ...], asked_s: float, kept: list[int]
) -> None:
    job = shelf.dialogue(frames)
    speak_again(shelf.store, shelf.folder, job.id, asked_s)
    found = shelf.store.passages(job.id)[0][1]
    assert [s.samples // FRAME for s in found.stretches] == kept if found else kept == []


def test_of_what_is_only_begun_the_text_is_not_squeezed_into_what_is_spoken(shelf: Shelf) -> None:
    job = shelf.dialogue((20, 20), is_done=False)
    assert job.state is State.RUNNING
    again = speak_again(shelf.store, shelf.folder, job.id, 5.0)
    assert (again.line, round(again.from_s, 3)) == (LINES[1], 3.333)


def test_a_damaged_stretch_is_not_made_a_good_one(shelf: Shelf) -> None:
    job = shelf.dialogue()
    found = shelf.store.passages(job.id)[0][1]
    assert found is not None
    path = shelf.folder.passages(job.id) / found.stretches[1].file
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    again = speak_again(shelf.store, shelf.folder, job.id, 4.0)
    assert again.from_s == pytest.approx(20 * FRAME / 24_000), "what is before it is intact"
    assert again.job.audio_samples == 20 * FRAME


@pytest.mark.parametrize(
    ("at_s", "told"),
    [
        (-1.0, r"The time is -1\.0; it must be 0"),
        (math.nan, "The time is nan"),
        (math.inf, "The time is inf"),
        (5.51, r"0:05\.510 lies behind what is spoken of the job job_\w+: 0:05\.500"),
    ],
)
def test_what_is_no_time_of_this_job_is_told_and_changes_nothing(shelf: Shelf, at_s: float, told: str) -> None:
    job = shelf.done()
    before = shelf.snapshot()
    with pytest.raises(InputError, match=told) as caught:
        speak_again(shelf.store, shelf.folder, job.id, at_s)
    assert (caught.value.code, caught.value.param) == ("time_out_of_range", "from_seconds")
    assert shelf.snapshot() == before
    assert shelf.store.job(job.id).token == job.token


def test_the_silence_that_ends_a_script_belongs_to_its_last_turn(shelf: Shelf) -> None:
    shelf.store.submit(spec(trailing_silence_s=3.0), "x", planned(1))
    claim = shelf.claim()
    shelf.commit(claim, shelf.stretch(claim, 0, 24_000))
    shelf.finish(claim)
    assert speak_again(shelf.store, shelf.folder, claim.job.id, 3.9).from_s == 0.0


def test_where_nothing_is_spoken_nothing_is_spoken_again(shelf: Shelf) -> None:
    job, _ = shelf.store.submit(spec(), "x", planned(2))
    with pytest.raises(InputError, match="Nothing of the job") as caught:
        speak_again(shelf.store, shelf.folder, job.id, 0.0)
    assert caught.value.code == "nothing_spoken"
    assert shelf.store.job(job.id).state is State.QUEUED


def test_only_what_a_user_made_and_did_not_give_up(shelf: Shelf) -> None:
    speech, _ = shelf.store.submit(spec(), "x", planned(1), kind=Kind.SPEECH)
    for job_id in (speech.id, "job_x"):
        with pytest.raises(NotFoundError):
            speak_again(shelf.store, shelf.folder, job_id, 0.0)
    shelf.store.cancel(speech.id)
    job = shelf.store.submit(spec(), "x", planned(1))[0]
    shelf.store.cancel(job.id)
    with pytest.raises(ConflictError, match="for good"):
        speak_again(shelf.store, shelf.folder, job.id, 0.0)


def test_without_a_seed_it_is_a_fresh_one(shelf: Shelf) -> None:
    seeds = {speak_again(shelf.store, shelf.folder, shelf.done(1).id, 0.5).seed for _ in range(3)}
    assert len(seeds) == 3


# The earlier version


def test_the_earlier_version_has_all_files_under_names_of_its_own_and_takes_no_room(shelf: Shelf) -> None:
    job = shelf.done()
    before = shelf.files(job.id)
    again = speak_again(shelf.store, shelf.folder, job.id, 3.0)
    assert shelf.files(again.earlier_id) == before
    earlier = shelf.store.job(again.earlier_id)
    path = audio_path(shelf.folder, earlier)
    assert path is not None
    assert path.read_bytes() == b"finished"
    assert path.stat().st_ino == (shelf.folder.job(job.id) / path.name).stat().st_ino
    assert "".join(subtitles_of(shelf.store, earlier, "srt")).count("-->") == 4
    assert "".join(subtitles_of(shelf.store, shelf.store.job(job.id), "srt")).count("-->") == 2
    shelf.folder.remove_job(job.id)
    assert shelf.files(again.earlier_id) == before, "each can be deleted without the other"


def test_what_could_be_heard_of_a_job_that_is_not_done_can_still_be_heard(shelf: Shelf) -> None:
    shelf.store.submit(spec(), "x", planned(3))
    claim = shelf.claim()
    shelf.commit(claim, shelf.stretch(claim, 0, 24_000))
    shelf.folder.part(claim.job.id, claim.token, ".pcm").write_bytes(b"so far")
    again = speak_again(shelf.store, shelf.folder, claim.job.id, 0.0)
    path = audio_path(shelf.folder, shelf.store.job(again.earlier_id))
    assert path is not None
    assert path.read_bytes() == b"so far"


def test_on_a_disk_without_links_it_is_copied(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    job = shelf.done()
    before = shelf.files(job.id)
    again = speak_again(shelf.store, shelf.folder, job.id, 3.0)
    assert shelf.files(again.earlier_id) == before


def test_a_file_that_has_gone_is_missing_in_both(shelf: Shelf) -> None:
    job = shelf.done()
    found = shelf.store.passages(job.id)[0][1]
    assert found is not None
    (shelf.folder.passages(job.id) / found.stretches[0].file).unlink()
    again = speak_again(shelf.store, shelf.folder, job.id, 3.0)
    assert shelf.files(again.earlier_id) == shelf.files(job.id)


# What goes wrong


class KillError(BaseException):
    """kill -9, as far as the process itself can tell."""


def fail_at(monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException, *, is_killed: bool) -> None:
    """Raise at a step; when killed, nothing that would clean up runs either."""

    def stop(*_: object, **__: object) -> Any:
        raise error

    match step:
        case "link":
            monkeypatch.setattr(rooms, "link_file", stop)
        case "tail":
            monkeypatch.setattr(rooms, "write_stretch", stop)
        case "sync":
            monkeypatch.setattr(rooms, "sync_folder", stop)
        case "rows":
            monkeypatch.setattr(Cuts, "_recount", stop)
    if is_killed:
        monkeypatch.setattr(rooms, "_clean", lambda *_: None)
        monkeypatch.setattr(Cuts, "give_back", lambda *_: None)


STEPS = ["link", "tail", "sync", "rows"]


@pytest.mark.parametrize("step", STEPS)
def test_killed_between_two_steps_the_job_has_all_it_had(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    job = shelf.dialogue((20, 20), is_done=False)
    before = shelf.store.passages(job.id)
    files = shelf.files(job.id)
    with monkeypatch.context() as patch:
        fail_at(patch, step, KillError(), is_killed=True)
        with pytest.raises(KillError):
            speak_again(shelf.store, shelf.folder, job.id, 4.0)
    now = shelf.store.job(job.id)
    assert (now.state, len(shelf.store.jobs())) == (State.PAUSED, 1)
    assert "cut back" in (now.reason or "")
    assert shelf.store.passages(job.id) == before
    assert files.items() <= shelf.files(job.id).items()
    numbers = [event.number for event in shelf.store.events(job.id)]
    assert numbers == list(range(1, len(numbers) + 1))
    unknown = finish_removals(shelf.store, shelf.folder)
    assert (unknown, [path.name for path in (shelf.folder.root / "jobs").iterdir()]) == ([], [job.id]), "swept"
    assert speak_again(shelf.store, shelf.folder, job.id, 4.0).job.state is State.QUEUED, "and it can be tried again"


@pytest.mark.parametrize("step", STEPS)
def test_failed_between_two_steps_it_goes_on_as_before_and_nothing_is_left_over(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    job = shelf.dialogue((20, 20), is_done=False)
    done = shelf.done()
    before = shelf.snapshot()
    fail_at(monkeypatch, step, DiskFullError("no room"), is_killed=False)
    with pytest.raises(DiskFullError):
        speak_again(shelf.store, shelf.folder, job.id, 4.0)
    after = shelf.snapshot()
    assert after.pop(job.id)[1:] == before.pop(job.id)[1:]
    assert after == before
    assert shelf.store.job(job.id).state is State.QUEUED, "it was being spoken, and is again"
    assert {path.name for path in (shelf.folder.root / "jobs").iterdir()} == {job.id, done.id}


def test_an_interrupt_behind_the_last_step_takes_nothing_back(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    job = shelf.done()
    real = Cuts.cut

    def cut_then_stop(self: Cuts, *arguments: Any) -> Job:
        real(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Cuts, "cut", cut_then_stop)
    with pytest.raises(KeyboardInterrupt):
        speak_again(shelf.store, shelf.folder, job.id, 3.0)
    earlier = next(each for each in shelf.store.jobs() if each.earlier_of)
    assert audio_path(shelf.folder, earlier) is not None
    assert shelf.store.job(job.id).state is State.QUEUED


def test_no_room_for_another_take_is_told_before_anything_is_touched(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = shelf.done()
    before = shelf.snapshot()
    needed_bytes = (5.5 + 2.5) * 48_000  # the file, and what is spoken anew
    usage = shutil.disk_usage(shelf.folder.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=round(needed_bytes) - 1))
    with pytest.raises(DiskFullError, match="Speaking it again needs"):
        speak_again(shelf.store, shelf.folder, job.id, 3.0)
    assert shelf.snapshot() == before
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=round(needed_bytes)))
    speak_again(shelf.store, shelf.folder, job.id, 3.0)


def meddling(monkeypatch: pytest.MonkeyPatch, meddle: Callable[[str], object], times: int) -> list[str]:
    """Somebody has a hand in the job while its files are made ready."""
    real, calls = rooms._link, []

    def link(folder: DataFolder, job: Job, *rest: Any) -> None:
        real(folder, job, *rest)
        calls.append(job.id)
        if len(calls) <= times:
            meddle(job.id)

    monkeypatch.setattr(rooms, "_link", link)
    return calls


def test_who_loses_a_race_tries_again(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    job = shelf.done()
    calls = meddling(monkeypatch, shelf.store.cuts.take, times=2)
    again = speak_again(shelf.store, shelf.folder, job.id, 3.0)
    assert len(calls) == 3
    assert again.job.state is State.QUEUED
    assert {path.name for path in (shelf.folder.root / "jobs").iterdir()} == {job.id, again.earlier_id}


def test_who_always_loses_is_told(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    job = shelf.done()
    before = shelf.snapshot()
    meddling(monkeypatch, shelf.store.cuts.take, times=99)
    with pytest.raises(TransientError, match="changed by others at each of 5 tries"):
        speak_again(shelf.store, shelf.folder, job.id, 3.0)
    assert shelf.snapshot() == before


def test_a_cancel_meanwhile_wins(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    job = shelf.dialogue((20, 20), is_done=False)
    meddling(monkeypatch, shelf.store.cancel, times=1)
    with pytest.raises(ConflictError, match="for good"):
        speak_again(shelf.store, shelf.folder, job.id, 4.0)
    assert shelf.store.job(job.id).state is State.CANCELLED
    assert [each.id for each in shelf.store.jobs()] == [job.id]


def test_marks_are_what_counts_where_there_are_some(shelf: Shelf) -> None:
    plan = [PlannedPassage(Passage(0, LINES, 0.0), "en", 1, 3.0)]
    shelf.store.submit(spec(voices={1: "a", 2: "b"}, labels={1: "A", 2: "B"}), "x", plan)
    claim = shelf.claim()
    stretch = shelf.stretch(claim, 0, 72_000)
    times = [(0.0, 0.4), (0.5, 0.9), (1.0, 3.0)]
    marks = tuple(
        Mark(start_s, end_s, line.text, line.speaker) for (start_s, end_s), line in zip(times, LINES, strict=True)
    )
    shelf.commit(claim, Stretch(0, stretch.file, stretch.sha256, 72_000, marks))
    border = find_border(shelf.store, shelf.store.job(claim.job.id), 0.95, is_within=True)
    assert (border.samples, border.line) == (12_000, LINES[1])

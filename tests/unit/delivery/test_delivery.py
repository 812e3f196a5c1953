"""A job as its user hears and sees it: which file, which subtitles, when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from longtake.audio import Assembly, AudioFormat, Loudness
from longtake.core.errors import InputError
from longtake.core.records import Line, Mark, Passage
from longtake.delivery import audio_path, subtitles_of, timeline
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Claim, Job, PlannedPassage, Stretch
from longtake.jobs.store import JobStore
from tests.support.jobs import planned, spec, spoken


class Shelf:
    """A data folder with one worker, who takes its jobs one after the other."""

    def __init__(self, root: Path) -> None:
        self.folder = DataFolder(root, floor_bytes=0)
        self.db = Database(self.folder.database)
        self.store = JobStore(self.db)
        self.desk = WorkerDesk(self.db, "w1", "espeak", 1)

    def claim(self) -> Claim:
        claim = self.desk.claim()
        assert claim is not None
        return claim

    def put(self, job: Job, *names: str) -> None:
        self.folder.job(job.id).mkdir(parents=True, exist_ok=True)
        for name in names:
            (self.folder.job(job.id) / name).write_bytes(b"")

    def found(self, job: Job) -> str | None:
        path = audio_path(self.folder, self.store.job(job.id))
        assert path is None or path.parent == self.folder.job(job.id)
        return path.name if path else None


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path / "data")
    yield shelf
    shelf.db.close()


# The file


def test_a_job_that_was_never_claimed_has_no_audio(shelf: Shelf) -> None:
    job, _ = shelf.store.submit(spec(), "x", planned(1))
    shelf.put(job, "part-0.pcm", "audio-0.pcm")
    assert shelf.found(job) is None


def test_the_newest_part_is_heard_and_until_it_is_there_its_predecessor(shelf: Shelf) -> None:
    job, _ = shelf.store.submit(spec(response_format="mp3"), "x", planned(1))
    for _ in range(3):
        shelf.desk.release(shelf.claim())
    assert shelf.found(job) is None
    shelf.put(job, "part-1.mp3", "part-3.wav", "part-4.mp3")
    assert shelf.found(job) == "part-1.mp3"  # neither another format nor a token that was never given
    shelf.put(job, "part-2.mp3")
    assert shelf.found(job) == "part-2.mp3"
    shelf.put(job, "part-3.mp3")
    assert shelf.found(job) == "part-3.mp3"


def test_between_its_renaming_and_its_row_a_finished_file_is_heard_too(shelf: Shelf) -> None:
    job, _ = shelf.store.submit(spec(), "x", planned(1))
    shelf.desk.release(shelf.claim())
    shelf.claim()
    shelf.put(job, "part-1.pcm", "audio-2.pcm")
    assert shelf.found(job) == "audio-2.pcm"


def test_a_done_job_has_the_file_of_its_row_and_no_other(shelf: Shelf) -> None:
    job, _ = shelf.store.submit(spec(), "x", planned(1))
    claim = shelf.claim()
    shelf.desk.commit(claim, [spoken(0)])
    shelf.desk.finish(claim, "audio-1.pcm", 0)
    shelf.put(job, "part-1.pcm")
    assert shelf.found(job) is None, "the finished file was deleted: a part is not what was promised"
    shelf.put(job, "audio-1.pcm")
    assert shelf.found(job) == "audio-1.pcm"


def test_a_folder_is_no_file(shelf: Shelf) -> None:
    job, _ = shelf.store.submit(spec(), "x", planned(1))
    shelf.claim()
    (shelf.folder.job(job.id) / "part-1.pcm").mkdir(parents=True)
    assert shelf.found(job) is None


# The timeline


def test_passages_stand_where_the_assembly_puts_them(shelf: Shelf, tmp_path: Path) -> None:
    """The two places that know where a passage begins agree to the sample, whatever the silences round to."""
    rng = np.random.default_rng(5)
    silences = [0.0, *(float(s) for s in rng.uniform(0, 0.5, 40))]
    lengths = [int(n) for n in rng.integers(1, 3000, len(silences))]
    plan = [
        PlannedPassage(Passage(i, (Line(1, "Word.", "en"),), silence_s), "en", 1, 1.0)
        for i, silence_s in enumerate(silences)
    ]
    job, _ = shelf.store.submit(spec(), "x", plan)
    claim = shelf.claim()
    shelf.desk.commit(claim, [spoken(i, samples=n) for i, n in enumerate(lengths)])
    with Assembly(tmp_path / "a.pcm", AudioFormat.PCM, Loudness.OFF) as assembly:
        for silence_s, length in zip(silences, lengths, strict=True):
            assembly.add(silence_s, [np.zeros(length, np.int16)])
        assembly.finish()
    told = list(timeline(shelf.store, job.id))
    assert [round(p.start_s * 24_000) for p in told] == list(assembly.passage_starts)
    assert [p.start_s * 24_000 for p in told] == pytest.approx(assembly.passage_starts, abs=1e-6)
    assert [p.duration_s for p in told] == [n / 24_000 for n in lengths]
    assert shelf.store.job(job.id).audio_samples == assembly.samples


def test_the_timeline_ends_at_the_first_hole(shelf: Shelf) -> None:
    job, _ = shelf.store.submit(spec(), "x", planned(4, silence_s=0.5))
    assert list(timeline(shelf.store, job.id)) == []
    claim = shelf.claim()
    shelf.desk.commit(claim, [spoken(0), spoken(1), spoken(3)])
    assert [p.start_s for p in timeline(shelf.store, job.id)] == [0.0, 1.5]
    shelf.desk.commit(claim, [spoken(2)])
    assert [p.start_s for p in timeline(shelf.store, job.id)] == [0.0, 1.5, 3.0, 4.5]


def test_the_timeline_carries_marks_and_lines(shelf: Shelf) -> None:
    job, _ = shelf.store.submit(spec(), "x", planned(1))
    shelf.desk.commit(shelf.claim(), [spoken(0, samples=12_000)])
    (only,) = timeline(shelf.store, job.id)
    assert only.marks == spoken(0).marks
    assert only.lines == (Line(1, "Passage number 0.", "en"),)


# Subtitles


@pytest.fixture
def talk(shelf: Shelf) -> Job:
    """Ann speaks for a second, half a second later Bob, whose engine gave no marks."""
    plan = [
        PlannedPassage(Passage(0, (Line(1, "Good <evening>.", "en"),), 0.0), "en", 2, 1.0),
        PlannedPassage(Passage(1, (Line(2, "Thank you.", "en"),), 0.5), "en", 2, 1.0),
    ]
    job, _ = shelf.store.submit(spec(voices={1: "a", 2: "b"}, labels={1: "Ann", 2: "Bob"}), "x", plan)
    marks = (Mark(0.1, 0.4, "Good ", 1), Mark(0.4, 0.9, "<evening>.", 1))
    shelf.desk.commit(
        shelf.claim(),
        [Stretch(0, "0.pcm", "0" * 64, 24_000, marks), Stretch(1, "1.pcm", "0" * 64, 48_000, ())],
    )
    return job


def test_srt(shelf: Shelf, talk: Job) -> None:
    assert "".join(subtitles_of(shelf.store, talk, "srt")) == (
        "1\n00:00:00,100 --> 00:00:01,100\nAnn: Good <evening>.\n\n"
        "2\n00:00:01,500 --> 00:00:03,500\nBob: Thank you.\n\n"
    )


def test_vtt(shelf: Shelf, talk: Job) -> None:
    assert "".join(subtitles_of(shelf.store, talk, "vtt")) == (
        "WEBVTT\n\n"
        "00:00:00.100 --> 00:00:01.100\n<v Ann>Good &lt;evening&gt;.\n\n"
        "00:00:01.500 --> 00:00:03.500\n<v Bob>Thank you.\n\n"
    )


def test_what_is_not_spoken_yet_has_no_subtitles(shelf: Shelf) -> None:
    job, _ = shelf.store.submit(spec(), "x", planned(2))
    assert list(subtitles_of(shelf.store, job, "srt")) == []
    assert list(subtitles_of(shelf.store, job, "vtt")) == ["WEBVTT\n\n"]


@pytest.mark.parametrize("kind", ["ass", "SRT", "", "../srt"])
def test_other_kinds_are_refused_at_once(shelf: Shelf, talk: Job, kind: str) -> None:
    with pytest.raises(InputError, match="srt and vtt") as refused:
        subtitles_of(shelf.store, talk, kind)  # before anything is asked of the iterator
    assert (refused.value.code, refused.value.param) == ("unknown_format", "format")

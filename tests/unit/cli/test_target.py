"""Where the audio goes, and what becomes of it when it cannot go there."""

from __future__ import annotations

import errno
import os
import shlex
import stat
import threading
from pathlib import Path

import pytest

from longtake.cli import target as targets
from longtake.core.errors import DiskFullError, InputError, WorkerError
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from longtake.wiring import Host
from tests.support.jobs import planned, spec, spoken
from tests.unit.cli.conftest import Run, StandIn, speak

TWO = "Alice: Good evening.\nBob: Good evening to you.\n"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def undelivered(run: Run, stand_in: StandIn, home: Path) -> str:
    """A job that is done, with subtitles wanted, while its folder ``out`` is not there; gives its id."""
    (home / "out").mkdir()

    def act(host: Host, job: Job, desk: WorkerDesk) -> None:
        speak(host, job, desk)
        (home / "out").rmdir()

    stand_in.act = act
    refused = run("say", "-", "-o", "out/a.mp3", "--subtitles", "srt", stdin=TWO, code=2)
    job_id = stand_in.jobs[0].id
    assert f"longtake resume {job_id} -o FILE --data {home.parent / 'data'}" in str(refused.exception)
    stand_in.act = lambda *_: pytest.fail("it is spoken already")
    return job_id


# Delivered later


def test_what_was_not_delivered_is_unfinished(run: Run, undelivered: str, home: Path) -> None:
    (home / "out").mkdir()
    run("resume")
    assert (home / "out" / "a.mp3").read_bytes() == b"the audio"
    assert names(home / "out") == ["a.mp3", "a.srt"], "subtitles as first asked, and nothing half-written"
    assert "no unfinished job" in str(run("resume", code=2).exception)


def test_delivered_elsewhere_it_is_finished_too(run: Run, undelivered: str, home: Path) -> None:
    assert "Name another file with -o" in str(run("resume", code=2).exception)
    run("resume", "-o", "b.mp3", "--subtitles", "vtt")
    assert names(home) == ["b.mp3", "b.vtt"], "subtitles as asked now"
    assert "no unfinished job" in str(run("resume", code=2).exception)


def test_what_a_killed_delivery_left_is_swept(run: Run, undelivered: str, home: Path) -> None:
    (home / "out").mkdir()
    for name in (f".{undelivered}.mp3.tmp", f".{undelivered}.srt.tmp", ".job_other.mp3.tmp"):
        (home / "out" / name).write_bytes(b"half")
    run("resume", "-o", "b.mp3")
    assert names(home / "out") == [".job_other.mp3.tmp"]


def test_an_interrupt_while_it_is_delivered(
    run: Run, stand_in: StandIn, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(targets, "commit_file", interrupt)
        told = run("say", "-", "-o", "a.mp3", "--subtitles", "vtt", stdin=TWO, code=130).stderr
    assert f"Go on with: longtake resume {stand_in.jobs[0].id} --data" in told
    assert names(home) == []
    run("resume")
    assert names(home) == ["a.mp3", "a.vtt"]
    assert len(stand_in.jobs) == 1, "nothing is spoken again"


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 3), (errno.EDQUOT, 3), (errno.EIO, 2)])
def test_a_full_disk_does_not_fit_and_leaves_nothing(
    run: Run, stand_in: StandIn, home: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        error = run("say", "-", "-o", "a.mp3", stdin=TWO, code=code).exception
    assert isinstance(error, DiskFullError if code == 3 else InputError)
    assert f"{home / 'a.mp3'} cannot be written: {os.strerror(number)}. The audio is safe" in str(error)
    assert names(home) == []
    run("resume")
    assert names(home) == ["a.mp3"]


# The finished file


def test_a_finished_file_that_has_gone_is_made_again(run: Run, stand_in: StandIn, home: Path) -> None:
    run("say", "-", "-o", "a.mp3", stdin=TWO)
    job = stand_in.jobs[0]
    files = DataFolder(home.parent / "data", floor_bytes=0).job(job.id)
    (files / "audio-1.mp3").unlink()
    (home / "a.mp3").unlink()
    run("resume", job.id, "-o", "b.mp3")
    assert (home / "b.mp3").read_bytes() == b"the audio"
    assert names(files) == ["audio-2.mp3"]


def test_a_source_that_cannot_be_read_is_not_taken_for_the_target(
    run: Run, undelivered: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "audio_path", lambda folder, job: home)  # a folder
    error = run("resume", "-o", "b.mp3", code=4).exception
    assert isinstance(error, WorkerError)
    assert f"{home} cannot be read: Is a directory" in str(error)
    assert names(home) == []


# What is no ordinary file


def test_a_pipe_is_written_into(run: Run, stand_in: StandIn, home: Path) -> None:
    os.mkfifo("pipe")
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append((home / "pipe").read_bytes()))
    reader.start()
    run("say", "-", "-o", "pipe", "--format", "mp3", stdin=TWO)
    reader.join(10)
    assert heard == [b"the audio"]
    assert stat.S_ISFIFO((home / "pipe").stat().st_mode)
    assert names(home) == ["pipe"]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="Linux has it")
def test_a_device_stays_one_and_may_be_full(run: Run, stand_in: StandIn, home: Path) -> None:
    (home / "full").symlink_to("/dev/full")  # not itself, lest a mistake replaces it
    error = run("say", "-", "-o", "full", "--format", "mp3", stdin=TWO, code=3).exception
    assert "No space left on device. The audio is safe" in str(error)
    assert (home / "full").is_symlink()
    assert (home / "full").is_char_device()


def test_subtitles_need_a_file_to_lie_beside(run: Run, stand_in: StandIn) -> None:
    os.mkfifo("pipe")
    for out in ("pipe", "a.srt"):
        asked = ("say", "-", "-o", out, "--format", "mp3", "--subtitles", "srt")
        assert "ubtitles" in str(run(*asked, stdin=TWO, code=2).exception)
    assert stand_in.jobs == []


def test_a_link_stays_one(run: Run, stand_in: StandIn, home: Path) -> None:
    (home / "there").mkdir()
    (home / "a.mp3").symlink_to("there/b.mp3")
    run("say", "-", "-o", "a.mp3", stdin=TWO)
    assert (home / "a.mp3").is_symlink()
    assert (home / "there" / "b.mp3").read_bytes() == b"the audio"


# Names


@pytest.fixture
def over_http(home: Path) -> Job:
    """A done job, as mp3, that nobody told where to put it."""
    folder = DataFolder(home.parent / "data", floor_bytes=0)
    db = Database(folder.database)
    store, desk = JobStore(db), WorkerDesk(db, "w", "espeak", 1)
    job, _ = store.submit(spec(title="Good evening, Zoë: 你好！", response_format="mp3"), "x", planned(1))
    claim = desk.claim()
    assert claim is not None
    desk.commit(claim, [spoken(0)])
    folder.job(job.id).mkdir()
    (folder.job(job.id) / "audio-1.mp3").write_bytes(b"x")
    assert desk.finish(claim, "audio-1.mp3", 1) is State.DONE
    db.close()
    return job


def test_what_came_over_http_is_named_after_its_title(run: Run, over_http: Job, home: Path) -> None:
    assert "no unfinished job" in str(run("resume", code=2).exception), "nobody here waits for it"
    run("resume", over_http.id)
    assert names(home) == ["good-evening-zoë-你好.mp3"]
    run("resume", over_http.id)
    assert len(names(home)) == 2, "what lies there is not replaced"
    assert f"good-evening-zoë-你好-{over_http.id}.mp3" in names(home)


@pytest.mark.parametrize(
    ("title", "name"),
    [("../../etc/passwd", "etc-passwd"), (".hidden", "hidden"), ("สวัสดี", "สวัสดี"), ("?!…", ""), ("x" * 99, "x" * 50)],
)
def test_a_title_becomes_a_harmless_name(title: str, name: str) -> None:
    assert targets._file_name(title) == name


def test_a_name_that_promises_another_format_is_refused(run: Run, over_http: Job, home: Path) -> None:
    error = run("resume", over_http.id, "-o", "a.wav", code=2).exception
    assert f"a.wav would be wav, but the job {over_http.id} is made as mp3. End the name in .mp3" in str(error)
    assert names(home) == []
    for name in ("a.MP3", "a.bin", "a"):  # right, or no promise at all
        run("resume", over_http.id, "-o", name)
    assert names(home) == ["a", "a.MP3", "a.bin"]


def test_a_promise_that_was_overruled_stays_so(run: Run, stand_in: StandIn, home: Path) -> None:
    run("say", "-", "-o", "a.mp3", "--format", "opus", stdin=TWO)
    run("resume", stand_in.jobs[0].id, "-o", "a.mp3")
    run("resume", stand_in.jobs[0].id)


def test_the_remedy_can_be_pasted(run: Run, stand_in: StandIn, home: Path) -> None:
    (home / "out").mkdir()

    def act(host: Host, job: Job, desk: WorkerDesk) -> None:
        speak(host, job, desk)
        (home / "out").rmdir()

    stand_in.act = act
    data = home.parent / "my data"
    asked = ("say", "-", "-o", "out/a.mp3", "--data", data, "--lora", "my lora", "--device", "cpu")
    told = str(run(*asked, stdin=TWO, code=2).exception)
    words = shlex.split(told.partition("elsewhere with: ")[2])
    assert words[3:] == ["-o", "FILE", "--data", str(data), "--device", "cpu", "--lora", "my lora"]
    run(*words[1:4], "b.mp3", *words[5:])
    assert names(home) == ["b.mp3"]

"""``say`` and ``resume`` with a stand-in for the worker: what is asked, delivered, told, and with which exit code."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longtake.cli import interrupts
from longtake.cli import say as says
from longtake.cli.follow import follow
from longtake.engines.espeak.about import EspeakAbout
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job, Kind
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from longtake.supervise import WorkerState, WorkerStatus
from longtake.wiring import Host
from tests.support.jobs import planned, spec, spoken
from tests.unit.cli.conftest import Run, StandIn, speak

TWO = "Alice: Good evening.\nBob: Good evening to you.\n"


class Store:
    """The data folder as another process sees it."""

    def __init__(self, root: Path) -> None:
        self.folder: DataFolder = DataFolder(root, floor_bytes=0)
        self.db = Database(self.folder.database)
        self.jobs = JobStore(self.db)
        self.desk = WorkerDesk(self.db, "w-elsewhere", "espeak", 1)

    def submit(self, **fields: Any) -> Job:
        return self.jobs.submit(spec(**fields), "x", planned(2))[0]


@pytest.fixture
def store(home: Path) -> Any:
    store = Store(home.parent / "data")
    yield store
    store.db.close()


# say: what is asked


def test_every_option_reaches_the_job(run: Run, stand_in: StandIn, store: Store, home: Path) -> None:
    run(
        *("say", "-", "-o", "a.out", "--format", "FLAC", "--loudness", "audiobook", "--speed", 1.25, "--seed", 7),
        *("--turn-silence", 1, "--sentence-silence", 0.5, "--voice", "Bob=de", "--voice", "1=fr", "--engine", "espeak"),
        stdin=TWO + "And good night.",
    )
    (job,) = store.jobs.jobs()
    assert (job.kind, job.state, job.out_path) == (Kind.JOB, State.DONE, str(home / "a.out"))
    asked = job.spec
    assert (asked.engine, asked.response_format, asked.loudness) == ("espeak", "flac", "audiobook")
    assert (asked.speed, asked.seed, asked.voices) == (1.25, 7, {1: "fr", 2: "de"})
    assert [p.silence_before_s for p, _ in store.jobs.passages(job.id)] == [0.0, 1.0, 0.5]


def test_what_is_not_asked_is_a_podcast_as_mp3_named_after_the_script(
    run: Run, stand_in: StandIn, store: Store, home: Path
) -> None:
    (home / "my.show.txt").write_text(TWO)
    done = run("say", "my.show.txt")
    (job,) = store.jobs.jobs()
    assert (job.spec.response_format, job.spec.loudness, job.spec.speed, job.spec.seed) == ("mp3", "podcast", 1.0, 0)
    assert job.out_path == str(home / "my.show.mp3")
    assert (home / "my.show.mp3").read_bytes() == b"the audio"
    assert done.stdout == f"{home / 'my.show.mp3'}  (0:02)\n"


@pytest.mark.parametrize(
    ("out", "audio_format", "name", "found"),
    [
        (None, None, "speech.mp3", "mp3"),
        (None, "wav", "speech.wav", "wav"),
        ("a.ogg", None, "a.ogg", "opus"),
        ("A.WAV", None, "A.WAV", "wav"),
        ("a.mp3", "opus", "a.mp3", "opus"),
    ],
)
def test_the_format_is_asked_or_told_by_the_name(
    run: Run,
    stand_in: StandIn,
    store: Store,
    home: Path,
    out: str | None,
    audio_format: str | None,
    name: str,
    found: str,
) -> None:
    asked = [*(("-o", out) if out else ()), *(("--format", audio_format) if audio_format else ())]
    run("say", "-", *asked, stdin=TWO)
    assert [path.name for path in home.iterdir()] == [name]
    assert store.jobs.jobs()[0].spec.response_format == found


@pytest.mark.parametrize(
    ("out", "told"),
    [("a.docx", "a.docx"), ("a", "'a'"), ("taken.mp3", "is a folder"), ("no/where/a.mp3", "no folder that you may")],
)
def test_an_impossible_file_is_told_before_anything_is_read(
    run: Run, stand_in: StandIn, store: Store, home: Path, out: str, told: str
) -> None:
    (home / "taken.mp3").mkdir()
    refused = run("say", "-", "-o", out, stdin=TWO, code=2)
    assert refused.exception is not None
    assert getattr(refused.exception, "param", None) == "out"
    assert told in str(refused.exception)
    assert store.jobs.jobs() == []


def test_limits_of_the_command_line_hold(run: Run, stand_in: StandIn, store: Store) -> None:
    run("say", "-", "--max-characters", 10, stdin=TWO, code=2)
    run("say", "-", "--max-characters", 10, stdin=b"\xff" * 45, code=2)  # refused by its bytes, before it is decoded
    run("say", "-", "--max-minutes", 0.01, stdin=TWO, code=3)
    run("say", "-", "--max-minutes", -1, stdin=TWO, code=2)
    assert store.jobs.jobs() == []
    assert stand_in.jobs == []


# say: what is told and delivered


def test_json_is_one_document_and_nothing_beside_it(run: Run, stand_in: StandIn, home: Path) -> None:
    done = run("say", "-", "-o", "a.wav", "--json", stdin=TWO)
    told = json.loads(done.stdout)
    assert told == {"id": stand_in.jobs[0].id, "state": "done", "path": str(home / "a.wav"), "seconds": 2.45}
    assert done.stderr == ""


def test_subtitles_lie_beside_the_audio(run: Run, stand_in: StandIn, home: Path) -> None:
    run("say", "-", "-o", "a.b.mp3", "--subtitles", "srt", "--subtitles", "vtt", stdin=TWO)
    assert sorted(path.name for path in home.iterdir()) == ["a.b.mp3", "a.b.srt", "a.b.vtt"]
    assert (home / "a.b.srt").read_text().startswith("1\n00:00:00,000 --> ")
    assert (home / "a.b.vtt").read_text().startswith("WEBVTT\n")


def test_what_stood_there_is_replaced_when_all_is_done(run: Run, stand_in: StandIn, home: Path) -> None:
    (home / "a.mp3").write_bytes(b"old")

    def act(host: Host, job: Job, desk: WorkerDesk) -> None:
        assert (home / "a.mp3").read_bytes() == b"old"
        speak(host, job, desk)

    stand_in.act = act
    run("say", "-", "-o", "a.mp3", stdin=TWO)
    assert (home / "a.mp3").read_bytes() == b"the audio"


def test_a_file_that_cannot_be_delivered_is_safe_and_can_be_had_elsewhere(
    run: Run, stand_in: StandIn, home: Path
) -> None:
    (home / "out").mkdir()

    def act(host: Host, job: Job, desk: WorkerDesk) -> None:
        speak(host, job, desk)
        (home / "out").rmdir()

    stand_in.act = act
    refused = run("say", "-", "-o", "out/a.mp3", stdin=TWO, code=2)
    job_id = stand_in.jobs[0].id
    assert f"longtake resume {job_id} -o FILE" in str(refused.exception)
    run("resume", job_id, "-o", "b.mp3")
    assert (home / "b.mp3").read_bytes() == b"the audio"


def failed(error: dict[str, Any]) -> Callable[[Host, Job, WorkerDesk], None]:
    def act(host: Host, job: Job, desk: WorkerDesk) -> None:
        claim = desk.claim()
        assert claim is not None
        desk.fail(claim, {"message": "It broke.", "param": None, "code": "x", **error})

    return act


def suspended(host: Host, job: Job, desk: WorkerDesk) -> None:
    claim = desk.claim()
    assert claim is not None
    desk.suspend(claim, "disk full: no room")


ENDS: list[tuple[Callable[[Host, Job, WorkerDesk], Any], int, str, bool]] = [
    (failed({"type": "invalid_request_error"}), 2, "The job failed: It broke.", True),
    (failed({"type": "engine_error"}), 4, "The job failed: It broke.", True),
    (suspended, 3, "The job is paused: disk full: no room", True),
    (lambda host, job, desk: host.store.pause(job.id), 130, "The job was paused by someone else.", True),
    (lambda host, job, desk: host.store.cancel(job.id), 130, "The job was cancelled by someone else.", False),
]


@pytest.mark.parametrize(("act", "code", "told", "can_go_on"), ENDS)
def test_every_other_end_has_its_code_and_its_remedy(
    run: Run, stand_in: StandIn, home: Path, act: Any, code: int, told: str, can_go_on: bool
) -> None:
    stand_in.act = act
    ended = run("say", "-", "--json", stdin=TWO, code=code)
    assert ended.stdout == ""
    assert told in ended.stderr
    hint = f"longtake resume {stand_in.jobs[0].id} --data {home.parent / 'data'}"
    assert (hint in ended.stderr) is can_go_on
    assert list(home.iterdir()) == []


def test_an_engine_that_cannot_speak_is_told_and_the_job_kept(run: Run, stand_in: StandIn, store: Store) -> None:
    stand_in.status = WorkerStatus("espeak", WorkerState.BROKEN, None, "5 workers died.", 5, 0)
    stand_in.act = lambda *_: None
    refused = run("say", "-", stdin=TWO, code=4)
    job_id = stand_in.jobs[0].id
    assert (
        f"espeak cannot speak: 5 workers died. The job is kept; when the cause is mended: longtake resume {job_id}"
        in (str(refused.exception))
    )
    assert store.jobs.job(job_id).state is State.QUEUED


def test_subtitles_are_remembered_with_the_job(run: Run, stand_in: StandIn, store: Store, home: Path) -> None:
    stand_in.act = suspended
    run("say", "-", "-o", "a.mp3", "--subtitles", "srt", stdin=TWO, code=3)
    stand_in.act = speak
    run("resume")
    assert sorted(path.name for path in home.iterdir()) == ["a.mp3", "a.srt"]
    job = store.jobs.job(stand_in.jobs[0].id)
    assert job.out_subtitles == ("srt",)
    assert job.delivered_at is not None


@pytest.mark.parametrize("command", ["say", "resume"])
def test_a_lora_adapter_reaches_the_engine_and_the_hint(
    run: Run, stand_in: StandIn, store: Store, command: str
) -> None:
    store.jobs.pause(store.submit().id)
    seen = []

    def act(host: Host, job: Job, desk: WorkerDesk) -> None:
        seen.append(host.settings.engine.lora)
        host.store.pause(job.id)

    stand_in.act = act
    asked = ("say", "-", "-o", "a.pcm") if command == "say" else ("resume", "-o", "a.pcm")
    told = run(*asked, "--lora", "my/adapter", stdin=TWO, code=130).stderr
    assert seen == ["my/adapter"]
    assert "--lora my/adapter" in told, "without it another voice would go on"


def test_settings_of_the_model_are_part_of_the_job(
    run: Run, stand_in: StandIn, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EspeakAbout, "check_settings", lambda self, settings: None)
    run("say", "-", "-o", "a.mp3", "--context", "window", "--steps", 4, "--guidance", 2.5, stdin=TWO)
    run("say", "-", "-o", "b.mp3", stdin=TWO)
    plain, asked = (job.spec.settings for job in store.jobs.jobs())
    assert (asked, plain) == ({"context": "window", "steps": 4, "guidance": 2.5}, {})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--steps", 4), "espeak has no setting 'steps'"),
        (("--guidance", 2), "espeak has no setting 'guidance'"),
        (("--context", "full"), "espeak has no setting 'context'"),
        (("--engine", "vibevoice", "--steps", 0), "'steps' is 0; give a whole number from 1"),
        (("--engine", "vibevoice", "--guidance", "nan"), "'guidance' is nan"),
    ],
)
def test_an_engine_refuses_what_it_does_not_know(
    run: Run, stand_in: StandIn, options: tuple[object, ...], told: str
) -> None:
    for command in (("say", "-", "-o", "a.mp3"), ("lint", "-")):
        assert told in str(run(*command, *options, stdin=TWO, code=2).exception)
    assert stand_in.jobs == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_a_job_to_go_on_with(
    run: Run, stand_in: StandIn, store: Store, home: Path, number: int
) -> None:
    stand_in.act = lambda *_: os.kill(os.getpid(), number)
    told = run("say", "-", "-o", "a.mp3", stdin=TWO, code=130).stderr
    job_id = stand_in.jobs[0].id
    assert f"nothing is lost. Go on with: longtake resume {job_id} --data {home.parent / 'data'}" in told
    assert signal.getsignal(signal.SIGINT) is interrupts._leave, "a second Ctrl-C does not wait"
    assert store.jobs.job(job_id).state is State.QUEUED
    assert store.folder.lock(), "the folder is free for the next"
    store.folder.unlock()


def test_the_hint_names_the_data_folder_only_where_it_must(
    run: Run, stand_in: StandIn, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LONGTAKE_DATA")
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: str(home.parent / "data"))
    stand_in.act = suspended
    assert "--data" not in run("say", "-", stdin=TWO, code=3).stderr


# Another host


def test_where_another_process_hosts_the_folder_it_waits_for_that(
    run: Run, stand_in: StandIn, store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.folder.lock()
    read = DataFolder.host_pid

    def speak_meanwhile(self: DataFolder) -> int | None:
        claim = store.desk.claim()
        if claim is not None:
            store.desk.release(claim)
            speak(store, claim.job, store.desk)
        return read(self)

    monkeypatch.setattr(DataFolder, "host_pid", speak_meanwhile)
    told = run("say", "-", "-o", "a.mp3", stdin=TWO).stderr
    assert f"waiting for longtake process {os.getpid()}, which uses this data folder" in told
    assert stand_in.jobs == [], "it started no worker beside the other's"
    assert (home / "a.mp3").exists()
    store.folder.unlock()


def test_a_host_without_a_worker_for_it_is_not_waited_for_for_ever(
    run: Run, stand_in: StandIn, store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(says, "NO_WORKER_S", 0.05)
    assert store.folder.lock()
    told = str(run("say", "-", "-o", "a.mp3", stdin=TWO, code=4).exception)
    (job,) = store.jobs.jobs()
    assert f"process {os.getpid()} uses this data folder" in told
    assert "no living worker for espeak" in told
    assert "POST /v1/admin/restart?engine=espeak" in told
    assert f"longtake resume {job.id} --data {home.parent / 'data'}" in told
    assert job.state is State.QUEUED, "it is kept"
    store.folder.unlock()


def test_a_worker_that_lives_is_waited_for(
    run: Run, stand_in: StandIn, store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(says, "NO_WORKER_S", 0.05)
    assert store.folder.lock()
    begun_s = time.monotonic()

    def be_busy(self: DataFolder) -> int | None:
        store.desk.heartbeat(state="ready", steps=1, active=1)
        if time.monotonic() - begun_s > 0.3:
            claim = store.desk.claim()
            assert claim is not None
            store.desk.release(claim)
            speak(store, claim.job, store.desk)
        return os.getpid()

    monkeypatch.setattr(DataFolder, "host_pid", be_busy)
    run("say", "-", "-o", "a.mp3", stdin=TWO)
    assert (home / "a.mp3").exists()
    store.folder.unlock()


def test_when_that_process_goes_it_takes_over(
    run: Run, stand_in: StandIn, store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.folder.lock()
    read = DataFolder.host_pid

    def leave(self: DataFolder) -> int | None:
        store.folder.unlock()
        return read(self)

    monkeypatch.setattr(DataFolder, "host_pid", leave)
    run("say", "-", "-o", "a.mp3", stdin=TWO)
    assert len(stand_in.jobs) == 1
    assert (home / "a.mp3").exists()


# resume


def done_job(store: Store, **fields: Any) -> Job:
    job = store.submit(**fields)
    claim = store.desk.claim()
    assert claim is not None
    store.desk.commit(claim, [spoken(0), spoken(1)])
    path = store.folder.finished(job.id, claim.token, f".{job.spec.response_format}")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"done before")
    store.desk.finish(claim, path.name, 11)
    return job


def test_a_done_job_is_delivered_again_without_a_worker(run: Run, stand_in: StandIn, store: Store, home: Path) -> None:
    job = done_job(store)
    told = json.loads(run("resume", job.id, "-o", "again.pcm", "--subtitles", "vtt", "--json").stdout)
    assert told == {"id": job.id, "state": "done", "path": "again.pcm", "seconds": 2.5}
    assert (home / "again.pcm").read_bytes() == b"done before"
    assert (home / "again.vtt").exists()
    run("resume", job.id)  # it was never told where to: its title, here
    assert (home / "a-test.pcm").read_bytes() == b"done before"
    assert stand_in.jobs == []


def test_a_done_job_whose_passages_are_lost_is_delivered_without_subtitles(
    run: Run, stand_in: StandIn, store: Store, home: Path
) -> None:
    """As a repair leaves it. Empty subtitles would look as if nothing were said."""
    (home / "s.txt").write_text(TWO)
    run("say", "s.txt", "-o", "a.mp3", "--subtitles", "srt")
    (job,) = store.jobs.jobs()
    for path in home.glob("a.*"):
        path.unlink()
    store.db.execute("forget_stretches", id=job.id)
    store.db.execute("forget_spoken", id=job.id)
    told = run("resume", job.id)
    assert (home / "a.mp3").read_bytes() == b"the audio"
    assert not (home / "a.srt").exists()
    assert f"No srt: the passages of {job.id} are lost" in told.stderr
    assert len(stand_in.jobs) == 1, "nobody was asked to speak"
    refused = run("resume", job.id, "--from", "0:01", code=2)
    assert "passages of the job" in str(refused.exception)
    assert store.jobs.job(job.id).state is State.DONE


def test_resume_goes_on_with_what_is_missing(run: Run, stand_in: StandIn, store: Store, home: Path) -> None:
    stand_in.act = suspended
    run("say", "-", "-o", "a.mp3", stdin=TWO, code=3)
    job_id = stand_in.jobs[0].id
    stand_in.act = speak
    run("resume", job_id)
    assert (home / "a.mp3").read_bytes() == b"the audio"
    assert store.jobs.job(job_id).token == 2


@pytest.mark.parametrize("leave", ["failed", "paused", "queued", "running"])
def test_without_a_name_it_is_the_newest_that_is_not_finished(
    run: Run, stand_in: StandIn, store: Store, home: Path, leave: str
) -> None:
    done_job(store)
    store.jobs.pause(store.submit().id)  # an older one that is unfinished, too
    wanted = store.submit()
    match leave:
        case "failed":
            claim = store.desk.claim()
            assert claim is not None
            store.desk.fail(claim, {"message": "m", "type": "engine_error"})
        case "paused":
            store.jobs.pause(wanted.id)
        case "running":  # by a process that was killed: its lease still runs
            assert store.desk.claim() is not None
    assert store.jobs.job(wanted.id).state == leave
    store.jobs.cancel(store.submit().id)
    run("resume", "-o", "a.pcm")
    assert [job.id for job in stand_in.jobs] == [wanted.id]
    assert store.jobs.job(wanted.id).state is State.DONE


def test_a_running_job_of_a_living_host_is_not_taken_from_it(
    run: Run, stand_in: StandIn, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.folder.lock()
    job = store.submit()
    claim = store.desk.claim()
    assert claim is not None

    look = follow

    def fail_meanwhile(*arguments: Any) -> Job:
        store.desk.fail(claim, {"message": "m", "type": "engine_error"})
        return look(*arguments)

    monkeypatch.setattr(says, "follow", fail_meanwhile)
    run("resume", job.id, code=4)
    assert store.jobs.job(job.id).token == claim.token
    assert stand_in.jobs == []
    store.folder.unlock()


def test_a_cancel_that_a_killed_process_left_open_is_kept(run: Run, stand_in: StandIn, store: Store) -> None:
    job = store.submit()
    assert store.desk.claim() is not None
    store.jobs.cancel(job.id)
    assert "no unfinished job" in str(run("resume", code=2).exception)
    assert store.jobs.job(job.id).state is State.CANCELLED


def test_an_unfinished_job_is_found_behind_any_number_of_others(
    run: Run, stand_in: StandIn, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = store.submit()
    for _ in range(120):
        store.jobs.cancel(store.submit().id)
    run("resume", "-o", "a.pcm")
    assert [job.id for job in stand_in.jobs] == [wanted.id]


def test_what_cannot_be_resumed_is_told(run: Run, stand_in: StandIn, store: Store) -> None:
    assert "no unfinished job" in str(run("resume", code=2).exception)
    assert "no job 'job_x'" in str(run("resume", "job_x", code=2).exception)
    job = store.submit()
    store.jobs.cancel(job.id)
    assert "was cancelled. Say its script again" in str(run("resume", job.id, code=2).exception)
    assert "no unfinished job" in str(run("resume", code=2).exception), "a cancelled one is finished"
    assert stand_in.jobs == []


def test_resume_looks_at_the_file_before_it_touches_the_job(run: Run, stand_in: StandIn, store: Store) -> None:
    job = store.submit()
    store.jobs.pause(job.id)
    run("resume", job.id, "-o", "no/where/a.mp3", code=2)
    assert store.jobs.job(job.id).state is State.PAUSED


# resume --from


def spoken_job(store: Store, **options: Any) -> Job:
    """Two passages of a second, half a second of silence between; the finished file is there."""
    job = store.jobs.submit(spec(), "x", planned(2), **options)[0]
    speak(store, job, store.desk, b"first take")
    return store.jobs.job(job.id)


def test_a_bad_take_is_spoken_again_and_delivered_anew(run: Run, stand_in: StandIn, store: Store, home: Path) -> None:
    job = spoken_job(store, out_path=str(home / "a.pcm"))
    store.jobs.note_delivered(job.id)
    seen = []

    def act(host: Host, job: Job, desk: WorkerDesk) -> None:
        seen.extend(host.store.jobs())
        speak(host, job, desk, b"second take")

    stand_in.act = act
    told = run("resume", job.id, "--from", "0:02.2", "--seed", 7).stderr
    now, earlier = sorted(seen, key=lambda each: each.number)
    assert (now.id, now.state, now.passages_done) == (job.id, State.QUEUED, 1)
    assert (earlier.earlier_of, earlier.state) == (job.id, State.DONE), "it is there while the new one is not"
    assert f"{job.id} is cut back to 0:01.500 (Speaker 1: “Passage number 1.”)" in told
    assert f"with seed 7. The earlier version is {earlier.id} until this one is done." in told
    assert (home / "a.pcm").read_bytes() == b"second take"
    assert [each.id for each in store.jobs.jobs()] == [job.id]
    assert [path.name for path in (store.folder.root / "jobs").iterdir()] == [job.id]
    done = store.jobs.job(job.id)
    assert done.delivered_at is not None


def test_with_json_there_is_one_document(run: Run, stand_in: StandIn, store: Store, home: Path) -> None:
    job = spoken_job(store)
    done = run("resume", job.id, "--from", "0", "--seed", 7, "-o", "b.pcm", "--json")
    told = json.loads(done.stdout)
    assert told["again"] == {"from_seconds": 0.0, "seed": 7}
    assert (told["id"], told["state"]) == (job.id, "done")


def test_without_a_copy_the_earlier_version_stays(run: Run, stand_in: StandIn, store: Store, home: Path) -> None:
    job = spoken_job(store)
    stand_in.act = lambda host, job, _: host.store.cancel(job.id)
    run("resume", job.id, "--from", "0", "-o", "b.pcm", code=130)
    (earlier,) = [each for each in store.jobs.jobs() if each.id != job.id]
    assert earlier.earlier_of == job.id
    assert (store.folder.job(earlier.id) / str(earlier.audio_file)).read_bytes() == b"first take"


def test_the_newest_unfinished_is_never_an_earlier_version(run: Run, stand_in: StandIn, store: Store) -> None:
    wanted = store.submit()
    claim = store.desk.claim()
    assert claim is not None
    store.desk.commit(claim, [spoken(0)])
    stand_in.act = lambda host, job, _: host.store.pause(job.id)
    run("resume", wanted.id, "--from", "0", "-o", "a.pcm", code=130)
    stand_in.act = speak
    run("resume", "-o", "a.pcm")
    assert stand_in.jobs[-1].id == wanted.id
    assert [each.id for each in store.jobs.jobs()] == [wanted.id]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--from", "12:75"), "'12:75' is no point in time. Write minutes and seconds (12:30)"),
        (("--from", "nan"), "'nan' is no point in time"),
        (("--from=-5",), "'-5' is no point in time"),
        (("--from", "1:00"), "1:00.000 lies behind what is spoken"),
        (("--seed", "5"), "name the time with --from"),
    ],
)
def test_what_cannot_be_spoken_again_is_told(
    run: Run, stand_in: StandIn, store: Store, options: tuple[str, ...], told: str
) -> None:
    job = spoken_job(store)
    assert told in str(run("resume", job.id, *options, "-o", "a.pcm", code=2).exception)
    assert store.jobs.job(job.id).state is State.DONE
    assert stand_in.jobs == []


def test_what_is_spoken_again_has_a_name(run: Run, stand_in: StandIn, store: Store) -> None:
    spoken_job(store)
    assert "Name the job" in str(run("resume", "--from", "0", code=2).exception)

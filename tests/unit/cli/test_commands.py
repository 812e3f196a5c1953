"""``lint``, ``jobs``, ``voices``, ``doctor``, ``serve``: everything up to the first process or socket client."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from longtake.cli.serve import require_safe_address
from longtake.config import ServerSettings, Settings
from longtake.core.errors import ConflictError, EngineError, InputError, NotFoundError
from longtake.doctor import disk, machine, service
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Kind
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from longtake.wire.doctor import Examined
from tests.support.jobs import planned, spec, spoken
from tests.support.recordings import voice, write_file
from tests.unit.cli.conftest import Run


@pytest.fixture
def folder(home: Path) -> DataFolder:
    return DataFolder(home.parent / "data", floor_bytes=0)


@pytest.fixture
def db(folder: DataFolder) -> Iterator[Database]:
    db = Database(folder.database)
    yield db
    db.close()


@pytest.fixture
def store(db: Database) -> JobStore:
    return JobStore(db)


@pytest.fixture
def desk(db: Database) -> WorkerDesk:
    return WorkerDesk(db, "w1", "espeak", 1)


# lint


def test_lint_tells_json_and_keeps_nothing(run: Run, store: JobStore, home: Path) -> None:
    (home / "s.txt").write_text("Alice: Good evening.\nBob: And to you.\n")
    told = json.loads(run("lint", "s.txt", "--json", "--voice", "alice=de", "--voice", "2=fr").stdout)
    assert (told["ok"], told["passages"], told["findings"]) == (True, 2, [])
    assert [speaker["voice"] for speaker in told["speakers"]] == ["de", "fr"]
    assert store.jobs() == []


def test_lint_prints_place_speakers_and_sum(run: Run) -> None:
    told = run("lint", "-", stdin="Alice: Good evening.\nAlice: ...\n").stdout.splitlines()
    assert told[0].startswith("-:2:1: warning: ")
    assert told[0].endswith(" [punctuation_only]")
    assert told[1].split() == ["Speaker", "1", "Alice", "2", "turns", "en-us"]
    assert told[2] == "16 characters, 2 turns, 1 passages; about 0:01 of audio with espeak."


@pytest.mark.parametrize(
    ("stdin", "options", "code"),
    [
        ("...", (), "empty_script"),
        ("Speaker 0: No.", (), "speaker_number"),
        ("Hello.", ("--voice", "1=nobody"), "unknown_voice"),
        ("word " * 20, ("--max-minutes", "0.05"), "too_long"),
    ],
)
def test_lint_of_what_cannot_be_spoken_is_2_and_still_tells_all(
    run: Run, stdin: str, options: tuple[str, ...], code: str
) -> None:
    told = json.loads(run("lint", "-", "--json", *options, stdin=stdin, code=2).stdout)
    assert not told["ok"]
    assert code in [finding["code"] for finding in told["findings"] if finding["severity"] == "error"]
    assert f"[{code}]" in run("lint", "-", *options, stdin=stdin, code=2).stdout


def test_lint_counts_at_the_speed_that_was_asked(run: Run) -> None:
    slow, fast = (
        json.loads(run("lint", "-", "--json", "--speed", speed, stdin="word " * 60).stdout)["estimate"]["seconds"]
        for speed in (1, 4)
    )
    assert slow == 20.0
    assert fast == 5.0


def test_lint_needs_no_data_folder(run: Run, home: Path) -> None:
    run("lint", "-", "--data", home / "none", stdin="Hello.")
    assert list(home.iterdir()) == [], "and makes none"
    (home / "file").touch()
    run("lint", "-", "--data", home / "file", stdin="Hello.")
    run("lint", "-", "--data", home / "file", "--engine", "festival", stdin="Hello.", code=2)


def test_lint_reads_a_folder_that_cannot_be_written(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wav = write_file(home / "alice.wav", voice())
    run("voices", "add", wav)
    data = home.parent / "data"
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path).is_relative_to(data) and mode & os.W_OK))
    told = str(run("jobs", code=2).exception)
    assert "cannot be written" in told
    assert "--data" in told
    judged = json.loads(run("lint", "-", "--json", "--engine", "vibevoice", stdin="Hello.").stdout)
    assert [speaker["voice"] for speaker in judged["speakers"]] == ["alice"], "its recordings are known"


@pytest.mark.parametrize(
    ("options", "stdin", "kind"),
    [
        (("--speed", "5"), b"Hello.", InputError),
        (("--engine", "festival"), b"Hello.", NotFoundError),
        (("--voice", "1"), b"Hello.", InputError),
        (("--max-characters", "3"), b"Hello.", InputError),
        ((), b"\0\1\2", InputError),
    ],
)
def test_lint_refuses_what_is_no_matter_of_the_script(
    run: Run, options: tuple[str, ...], stdin: bytes, kind: type[Exception]
) -> None:
    assert isinstance(run("lint", "-", *options, stdin=stdin, code=2).exception, kind)


# jobs


def test_an_empty_list_says_what_to_do(run: Run) -> None:
    assert run("jobs").stdout == "No jobs yet. `longtake say SCRIPT` makes one.\n"
    assert json.loads(run("jobs", "--json").stdout) == []


def test_jobs_are_listed_newest_first_and_speech_is_not(run: Run, store: JobStore, desk: WorkerDesk) -> None:
    old, new = (store.submit(spec(title=title), "x", planned(2))[0] for title in ("Old", "New"))
    store.submit(spec(title="Speech"), "x", planned(1), kind=Kind.SPEECH)
    claim = desk.claim(min_priority=0)
    assert claim is not None
    assert [job["id"] for job in json.loads(run("jobs", "--json").stdout)] == [new.id, old.id]
    assert [job["id"] for job in json.loads(run("jobs", "--json", "--limit", 1).stdout)] == [new.id]
    lines = run("jobs").stdout.splitlines()
    assert lines[0].split() == ["job", "state", "spoken", "of", "size", "title"]
    assert [line.split()[:4] for line in lines[1:]] == [
        [new.id, "queued", "0:00", "0:04"],
        [old.id, "queued", "0:00", "0:04"],
    ]
    for limit in (0, 1001, "many"):
        run("jobs", "--limit", limit, code=2)


def test_a_done_job_is_shown_whole(run: Run, store: JobStore, folder: DataFolder, desk: WorkerDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(2), out_path="/somewhere/a.pcm")
    claim = desk.claim()
    assert claim is not None
    folder.job(job.id).mkdir()
    folder.part(job.id, 1, ".pcm").write_bytes(b"x")
    desk.commit(claim, [spoken(0)])
    growing = json.loads(run("jobs", "show", job.id, "--json").stdout)
    assert growing["audio"] == str(folder.part(job.id, 1, ".pcm"))
    desk.commit(claim, [spoken(1)])
    desk.finish(claim, "audio-1.pcm", 2048)
    (folder.job(job.id) / "audio-1.pcm").write_bytes(b"x")
    told = json.loads(run("jobs", "show", job.id, "--json").stdout)
    assert (told["state"], told["passages_done"], told["passages_total"]) == ("done", 2, 2)
    assert (told["audio_seconds"], told["estimated_seconds"], told["out"]) == (2.5, 2.5, "/somewhere/a.pcm")
    assert told["audio"] == str(folder.job(job.id) / "audio-1.pcm")
    assert [event["number"] for event in told["events"]] == [1, 2, 3, 4, 5]
    text = run("jobs", "show", job.id).stdout
    for line in ("new → queued", "queued → running", "running → done"):
        assert line in text
    assert "error" not in text, "what there is not is not shown"
    assert "2.0 KiB" in run("jobs").stdout


def test_a_suspended_job_says_why(run: Run, store: JobStore, desk: WorkerDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    claim = desk.claim()
    assert claim is not None
    desk.suspend(claim, "disk full: no room")
    text = run("jobs", "show", job.id).stdout
    assert "reason           disk full: no room" in text
    assert "running → paused: disk full: no room" in text


def test_jobs_are_paused_and_cancelled(run: Run, store: JobStore) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    assert run("jobs", "pause", job.id).stdout == f"{job.id} is paused\n"
    assert store.job(job.id).state is State.PAUSED
    assert run("jobs", "cancel", job.id).stdout == f"{job.id} is cancelled\n"
    assert store.job(job.id).state is State.CANCELLED
    assert isinstance(run("jobs", "pause", job.id, code=2).exception, ConflictError)


def test_only_what_has_ended_is_deleted(run: Run, store: JobStore, folder: DataFolder) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    other, _ = store.submit(spec(), "x", planned(1))
    for each in (job, other):
        folder.passages(each.id).mkdir(parents=True)
    assert isinstance(run("jobs", "delete", job.id, code=2).exception, ConflictError)
    assert folder.job(job.id).exists()
    store.cancel(job.id)
    run("jobs", "delete", job.id)
    assert not folder.job(job.id).exists()
    assert [found.id for found in store.jobs()] == [other.id]
    assert folder.job(other.id).exists()


@pytest.mark.parametrize("verb", ["show", "pause", "cancel", "delete"])
@pytest.mark.parametrize("job_id", ["job_x", "../..", "", "."])
def test_a_job_that_is_not_there_harms_nothing(run: Run, folder: DataFolder, verb: str, job_id: str) -> None:
    assert isinstance(run("jobs", verb, job_id, code=2).exception, NotFoundError)
    assert folder.database.exists()


@pytest.mark.parametrize("place", ["before", "behind"])
def test_data_and_json_may_stand_on_either_side_of_the_verb(
    run: Run, store: JobStore, home: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    monkeypatch.setenv("LONGTAKE_DATA", str(home / "elsewhere"))
    options = ("--data", home.parent / "data", "--json")

    def ask(verb: str) -> Any:
        words = (*options, verb, job.id) if place == "before" else (verb, job.id, *options)
        return json.loads(run("jobs", *words).stdout)

    assert ask("show")["id"] == job.id
    assert (ask("pause")["state"], ask("cancel")["state"]) == ("paused", "cancelled")
    assert ask("delete") == {"id": job.id, "deleted": True}
    assert store.jobs() == []


@pytest.mark.parametrize(
    ("verb", "state"), [("pause", State.PAUSED), ("cancel", State.CANCELLED)], ids=["pause", "cancel"]
)
def test_what_a_killed_host_left_running_is_nobodys(
    run: Run, store: JobStore, folder: DataFolder, desk: WorkerDesk, verb: str, state: State
) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    assert desk.claim() is not None
    run("jobs", verb, job.id)
    assert store.job(job.id).state is state
    assert folder.lock(), "and the folder is free for the next host"
    folder.unlock()


def test_a_cancel_that_waits_for_a_killed_host_is_carried_out(
    run: Run, store: JobStore, folder: DataFolder, desk: WorkerDesk
) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    assert desk.claim() is not None
    store.cancel(job.id)
    assert store.job(job.id).state is State.CANCELLING
    run("jobs", "delete", job.id)
    assert store.jobs() == []


def test_a_living_host_keeps_its_jobs(run: Run, store: JobStore, folder: DataFolder, desk: WorkerDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    assert desk.claim() is not None
    assert folder.lock()
    assert run("jobs", "cancel", job.id).stdout == f"{job.id} is cancelling\n"
    assert isinstance(run("jobs", "delete", job.id, code=2).exception, ConflictError)
    folder.unlock()


def test_another_data_folder_is_named_before_the_verb(run: Run, store: JobStore, home: Path) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    elsewhere = home.parent / "elsewhere"
    elsewhere.mkdir()
    assert "No jobs yet" in run("jobs", "--data", elsewhere).stdout
    run("jobs", "--data", elsewhere, "cancel", job.id, code=2)
    run("jobs", "--data", home.parent / "data", "cancel", job.id)


@pytest.mark.parametrize(
    "command",
    [
        ("jobs",),
        ("jobs", "show", "job_1"),
        ("resume",),
        ("voices", "remove", "alice"),
        ("cache", "show"),
        ("report",),
        ("alerts", "list"),
        ("service", "restart"),
    ],
)
def test_a_mistyped_data_folder_is_told_and_not_made(run: Run, home: Path, command: tuple[str, ...]) -> None:
    result = run(*command, "--data", home / "typo", code=2)
    assert isinstance(result.exception, InputError)
    assert f"There is no data folder {home / 'typo'}" in result.exception.message
    assert not (home / "typo").exists()


def test_a_data_folder_of_a_user_whom_nobody_knows_is_told(run: Run) -> None:
    assert isinstance(run("jobs", "--data", "~nobody-of-that-name/data", code=2).exception, InputError)


def test_the_own_data_folder_is_made_by_whoever_comes_first(run: Run) -> None:
    assert "No jobs yet" in run("jobs").stdout


# voices


def test_voices_are_listed_with_what_a_request_needs(run: Run) -> None:
    rows = json.loads(run("voices", "--json").stdout)
    assert rows[0] == {"id": "en-us", "name": rows[0]["name"], "language": "en-US", "engine": "espeak"}
    assert len({row["id"] for row in rows}) == len(rows) > 100
    table = run("voices").stdout.splitlines()
    assert table[0].split() == ["id", "name", "language", "engine"]
    assert len(table) == len(rows) + 1


def test_voices_of_a_language_whatever_its_region_and_case(run: Run) -> None:
    rows = json.loads(run("voices", "--json", "--language", "PT").stdout)
    assert {row["language"].lower().partition("-")[0] for row in rows} == {"pt"}
    assert {row["id"].partition("+")[0] for row in rows} >= {"pt", "pt-br"}
    assert json.loads(run("voices", "--json", "--language", "pt-BR").stdout) == rows
    assert json.loads(run("voices", "--json", "--language", "xx").stdout) == []


def test_mandarin_has_two_names(run: Run) -> None:
    mandarin = json.loads(run("voices", "--json", "--language", "zh").stdout)
    assert mandarin
    assert json.loads(run("voices", "--json", "--language", "cmn").stdout) == mandarin
    cantonese = json.loads(run("voices", "--json", "--language", "yue").stdout)
    assert {row["language"].partition("-")[0] for row in cantonese} == {"yue"}


def test_voices_of_an_engine(run: Run) -> None:
    assert json.loads(run("voices", "--json", "--engine", "espeak").stdout)
    assert "festival" in str(run("voices", "--engine", "festival", code=2).exception)


# doctor


@pytest.fixture
def well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "speak", lambda engine, settings: f"{engine} spoke")
    monkeypatch.setattr(DataFolder, "free_bytes", lambda self: 100 << 30)


def test_a_machine_that_speaks_is_well(run: Run, well: None, home: Path) -> None:
    checks = json.loads(run("doctor", "--json", "--data", home / "d").stdout)
    assert {check["name"] for check in checks} >= {"python", "ffmpeg", "data folder", "speak espeak"}
    assert all(check["is_ok"] and not check["remedy"] for check in checks)
    found = {check["name"]: check["found"] for check in checks}
    assert found["data folder"] == f"{home / 'd'}, 100.0 GiB free"
    assert found["speak espeak"] == "espeak spoke"
    assert "WRONG" not in run("doctor").stdout


@pytest.mark.parametrize("error", [EngineError("no library"), OSError("no library"), ImportError("no library")])
def test_one_thing_wrong_is_told_with_its_remedy_and_the_rest_still_checked(
    run: Run, well: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> str:
        raise error

    monkeypatch.setattr(machine, "ffmpeg", fail)
    checks = {check["name"]: check for check in json.loads(run("doctor", "--json", code=4).stdout)}
    assert (checks["ffmpeg"]["is_ok"], checks["ffmpeg"]["found"]) == (False, "no library")
    assert checks["ffmpeg"]["remedy"]
    assert checks["speak espeak"]["is_ok"]
    text = run("doctor", code=4).stdout
    assert "WRONG ffmpeg         no library\n      → " in text


def test_a_data_folder_that_is_no_folder_or_has_no_room_is_wrong(
    run: Run, well: None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("")
    checks = {check["name"]: check for check in json.loads(run("doctor", "--json", "--data", "file", code=4).stdout)}
    assert "cannot be used" in checks["data folder"]["found"]
    monkeypatch.setattr(DataFolder, "free_bytes", lambda self: disk.ROOMY_BYTES)
    checks = {check["name"]: check for check in json.loads(run("doctor", "--json", code=4).stdout)}
    assert not checks["data folder"]["is_ok"]


# serve


class Server:
    """What was to be served."""

    settings: Settings
    with_studio: bool
    address: tuple[Any, ...]

    def run(
        self,
        settings: Settings,
        listener: socket.socket,
        *,
        with_studio: bool,
        examine: Callable[[], Sequence[Examined]],
    ) -> None:
        listener.listen()
        self.examine = examine
        self.settings, self.with_studio, self.address = settings, with_studio, listener.getsockname()
        self.proto = listener.proto


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    module = ModuleType("longtake.wiring.serve")
    module.run_server = server.run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return server


def test_every_flag_of_serve_reaches_the_settings(run: Run, server: Server, home: Path) -> None:
    run(
        *("serve", "--host", "127.0.0.1", "--port", 0, "--data", home / "d", "--engine", "espeak", "--model", "m"),
        *(
            "--device",
            "cpu",
            "--dtype",
            "fp32",
            "--kv-dtype",
            "int8",
            "--memory-budget",
            "1GiB",
            "--lora",
            "l",
            "--no-studio",
        ),
        *("--max-characters", 5, "--max-minutes", 6, "--speech-max-characters", 7),
        *("--max-queued-jobs", 8, "--max-queued-hours", 9),
    )
    settings = server.settings
    assert (settings.data, settings.engines, settings.server.speech_max_characters) == (home / "d", ("espeak",), 7)
    assert tuple(settings.engine.model_dump(exclude={"graphs"}).values()) == ("m", "cpu", "fp32", "int8", "1GiB", "l")
    assert tuple(settings.limits.model_dump().values()) == (5, 6.0, 8, 9.0)
    assert not server.with_studio
    assert server.address[0] == "127.0.0.1"
    assert server.address[1] > 0
    assert server.proto == socket.IPPROTO_TCP


def test_what_serve_is_not_told_comes_from_the_environment(
    run: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGTAKE_SERVER__PORT", "0")
    monkeypatch.setenv("LONGTAKE_LIMITS__MAX_MINUTES", "3")
    run("serve", "--max-characters", 5)
    assert (server.settings.limits.max_characters, server.settings.limits.max_minutes) == (5, 3.0)
    assert server.settings.engines == ("espeak",)
    assert server.address[0] == "127.0.0.1", "loopback unless something else is asked for"
    assert server.with_studio


def test_a_taken_port_is_told_at_once(run: Run, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = run("serve", "--port", port, code=2).exception
    assert f"127.0.0.1:{port}: Address already in use" in str(refused)
    assert not hasattr(server, "settings")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    require_safe_address(ServerSettings(host=host))


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.4", "fe80::1", "speech.example.org", "", "localhost.evil"]
)
def test_every_other_address_does(host: str, run: Run, server: Server) -> None:
    for key in (None, ""):
        with pytest.raises(InputError, match="LONGTAKE_SERVER__API_KEY") as refused:
            require_safe_address(ServerSettings(host=host, api_key=key))
    assert (refused.value.code, refused.value.param) == ("key_needed", "host")
    require_safe_address(ServerSettings(host=host, api_key="a long random word"))
    run("serve", "--host", host, code=2)
    assert not hasattr(server, "settings"), "nothing was listened on"

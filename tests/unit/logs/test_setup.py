"""What a log line looks like, and what must never be in one."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from longtake.config import LogSettings, Settings
from longtake.core.errors import InputError, NotFoundError
from longtake.logs.clean import EVENT_CHARACTERS, FIELDS, escape, secrets_in
from longtake.logs.lines import LineFile
from longtake.logs.setup import LogFiles, logging_to

log = logging.getLogger("longtake.here")
HOSTILE = "a\r\nb\x1b[2J\x9b31m\u2028c\u202ed\x00\ud800"


class Logged:
    """A process that logs into a folder, with one job."""

    def __init__(self, root: Path) -> None:
        self.path = root / "web.log"
        self.jobs = root / "jobs"
        (self.jobs / "job_1").mkdir(parents=True)
        self.console = io.StringIO()

    def job_log(self, job_id: str) -> Path | None:
        folder = self.jobs / job_id
        return folder / "log.jsonl" if folder.is_dir() else None

    @contextmanager
    def running(self, *, secrets: tuple[str, ...] = (), **settings: Any) -> Iterator[LogFiles]:
        given = LogSettings(**settings)
        with logging_to(self.path, given, job_log=self.job_log, console=self.console, secrets=secrets) as files:
            yield files

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def logged(tmp_path: Path) -> Logged:
    return Logged(tmp_path)


def test_a_line_has_its_parts_in_order_and_goes_to_process_job_and_console(logged: Logged) -> None:
    with logged.running(console="json"):
        log.warning("half of %s", "it", extra={"file": "x.pcm", "passage": 3, "job": "job_1"})
        log.info("of another", extra={"job": "job_2"})
        log.debug("not asked for")
    first, second = logged.lines
    assert list(first) == ["time", "level", "event", "logger", "process", "pid", "job", "passage", "file"]
    assert (first["level"], first["event"], first["process"], first["passage"]) == ("warning", "half of it", "web", 3)
    assert second["job"] == "job_2"
    assert (logged.jobs / "job_1" / "log.jsonl").read_text() == logged.path.read_text().splitlines(keepends=True)[0]
    assert not (logged.jobs / "job_2").exists(), "a log makes no folder of a job"
    assert [json.loads(line)["event"] for line in logged.console.getvalue().splitlines()] == [
        "half of it",
        "of another",
    ]


@pytest.mark.parametrize("console", ["json", "pretty"])
def test_nobody_can_write_a_line_of_his_own(logged: Logged, console: str) -> None:
    with logged.running(console=console):
        log.info("it says %s", HOSTILE, extra={"voice": HOSTILE, "job": HOSTILE, HOSTILE: 1})
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            log.exception("it broke")
    shown = logged.console.getvalue()
    for text in (logged.path.read_text(), shown):
        assert not set(text) & set("\r\x1b\x9b\u2028\u202e\x00"), "no control character"
    assert len(logged.lines) == 2
    assert logged.lines[0]["voice"] == "a\\r\\nb\\x1b[2J\\x9b31m\\u2028c\\u202ed\\x00\\ud800"
    if console == "pretty":
        assert all(line[:2] == "20" or line.startswith("    │ ") for line in shown.splitlines())


def test_every_character_that_moves_a_cursor_is_written_out() -> None:
    text = "".join(map(chr, range(0x20))) + "".join(map(chr, range(0x7F, 0xA0)))
    assert escape(text).isprintable()
    assert escape("Guten Tag, 你好, שלום 🎧 \\n") == "Guten Tag, 你好, שלום 🎧 \\n"


def test_secrets_are_hidden_wherever_they_stand(logged: Logged) -> None:
    with logged.running(secrets=("a-long-random-word",), console="json"):
        log.info("key %s", "a-long-random-word", extra={"note": "xa-long-random-wordx"})
        log.info("Authorization: Bearer abc.def", extra={"headers": {"authorization": "Basic Zm9v", "x": "kept"}})
        log.info("send to slack://Tkn1/Bkn2/Ckn3 and https://me:word@example.org/kept?api_key=s3cr3tvalue")
        log.info("send to https://example.org/bot?access_token=t0kenvalue&x=1 and https://example.org/bot?key=k3yvalue")
        try:
            raise OSError("mailto://me:word@example.org refused")
        except OSError:
            log.exception("not sent")
    text = logged.path.read_text() + logged.console.getvalue()
    for secret in (
        "a-long-random-word",
        "abc.def",
        "Zm9v",
        "Tkn1",
        "Ckn3",
        "me:word",
        "s3cr3tvalue",
        "t0kenvalue",
        "k3yvalue",
    ):
        assert secret not in text
    assert "example.org/kept" in text


def test_the_secrets_of_a_tree_of_settings() -> None:
    tree = {"server": {"api_key": "k", "port": 1}, "alerts": {"urls": ["u", "v"], "level": "x"}, "token": None}
    assert list(secrets_in(tree)) == ["k", "u", "v"]


def test_the_secrets_of_the_settings_are_the_words_themselves() -> None:
    settings = Settings.model_validate(
        {"server": {"api_key": "a-key"}, "alerts": {"urls": ["https://example.org/services/T0/B0/word"]}}
    )
    assert list(secrets_in(settings.model_dump())) == ["a-key", "https://example.org/services/T0/B0/word"]


def test_the_script_is_not_told_unless_asked(logged: Logged) -> None:
    def tell() -> None:
        try:
            try:
                raise KeyError("SECRET PLOT")
            except KeyError as cause:
                raise InputError("“SECRET PLOT” is no turn.", code="bad_turn", param="script") from cause
        except InputError as error:
            log.error("job failed: %s", error, exc_info=error)

    with logged.running(console="pretty"):
        tell()
        log.error("job failed: %s", NotFoundError("There is no folder /models/x.", param="model"))
    text = logged.path.read_text() + logged.console.getvalue()
    assert "SECRET PLOT" not in "\n".join(line for line in text.splitlines() if "raise " not in line).replace(
        logged.lines[0]["trace"], ""
    )
    assert "KeyError (" in logged.lines[0]["trace"]
    assert "bad_turn" in logged.lines[0]["event"]
    assert "/models/x" in logged.lines[1]["event"], "what is not of a script is told in full"
    with logged.running(script_text=True, console="pretty"):
        tell()
    assert "SECRET PLOT” is no turn" in logged.lines[-1]["event"]


def test_a_line_has_an_end(logged: Logged) -> None:
    many = {f"field{number}": "y" * 5000 for number in range(200)}
    with logged.running(console="json"):
        log.info("x" * 1_000_000, extra=many)
    [line] = logged.lines
    assert len(line) == FIELDS + 6
    assert line["level"] == "info"
    assert len(line["event"]) < EVENT_CHARACTERS + 50
    assert "998000 characters" in line["event"]


def test_what_cannot_be_written_is_counted_and_told(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    with logged.running(console="json"):
        log.info("before")
        with monkeypatch.context() as full:
            full.setattr(LineFile, "write", lambda self, line: False)
            for _ in range(7):
                log.info("lost")
        log.info("after")
    events = [line["event"] for line in logged.lines]
    assert [events[0], events[2]] == ["before", "after"]
    assert events[1].startswith("7 lines are lost")
    assert logged.lines[1]["lost"] == 7


def test_what_cannot_be_shown_does_no_harm(logged: Logged) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    with logged.running(console="json"):
        log.info("odd", extra={"odd": Odd()})
        log.info("after")
    assert [line["event"] for line in logged.lines][-1] == "after"
    assert logged.lines[0]["lost"] == 1


def test_a_thread_that_dies_is_an_event(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.__excepthook__", lambda *_: None)

    def die() -> None:
        raise RuntimeError("at once")

    with logged.running(console="json"):
        thread = threading.Thread(target=die, name="heart")
        thread.start()
        thread.join()
    [line] = logged.lines
    assert (line["level"], line["event"]) == ("critical", "thread heart died")
    assert line["trace"].endswith("RuntimeError: at once")


def test_the_end_of_the_block_leaves_logging_as_it_was(logged: Logged) -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, threading.excepthook)
    with logged.running():
        assert root.handlers != before[0]
    assert (list(root.handlers), root.level, threading.excepthook) == before

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from click.testing import CliRunner, Result

from longtake.cli import follow
from longtake.cli.exits import exit_code_of
from longtake.cli.group import cli
from longtake.core.errors import LongtakeError
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job
from longtake.supervise import WorkerState, WorkerStatus
from longtake.wiring import Host
from tests.support.jobs import spoken

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, with the data folder below; nothing of the developer's own settings."""
    for name in os.environ:
        if name.startswith("LONGTAKE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LONGTAKE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LONGTAKE_DISK_FLOOR_MIB", "16")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(follow, "LOOK_S", 0.002)
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield tmp_path / "home"
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def run() -> Run:
    """Call a command; `code` is the exit code that is expected, and an error on purpose counts as `main` counts it."""

    def call(*arguments: object, stdin: bytes | str = b"", code: int = 0) -> Result:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], input=stdin)
        found = exit_code_of(result.exception) if isinstance(result.exception, LongtakeError) else result.exit_code
        if not isinstance(result.exception, LongtakeError | SystemExit | None):
            raise result.exception
        assert found == code, f"exit {found}: {result.exception!r}\n{result.output}"
        return result

    return call


class StandIn:
    """Takes the place of the worker processes: `act` is called with host, job and desk when they should start."""

    def __init__(self) -> None:
        self.act: Callable[[Host, Job, WorkerDesk], Any] = speak
        self.jobs: list[Job] = []
        self.status = WorkerStatus("espeak", WorkerState.STARTING, None, None, 0, 0)
        self._hosts: list[Host] = []

    def start(self, host: Host, only_job: Job | None) -> None:
        assert only_job is not None, "the command line speaks one job and leaves the queue alone"
        host.folder.require_lock()
        self._hosts.append(host)
        self.jobs.append(only_job)
        self.act(host, only_job, WorkerDesk(host.db, "stand-in", only_job.spec.engine, 1, only_job=only_job.id))

    def is_hosting(self, host: Host) -> bool:
        return host in self._hosts

    def statuses(self, host: Host) -> tuple[WorkerStatus, ...]:
        return (self.status,) if self.is_hosting(host) else ()


class Folders(Protocol):
    """Whatever knows the data folder."""

    @property
    def folder(self) -> DataFolder: ...


def speak(host: Folders, job: Job, desk: WorkerDesk, audio: bytes = b"the audio") -> None:
    """Every passage takes a second."""
    claim = desk.claim()
    assert claim is not None
    desk.commit(claim, [spoken(p.index, token=claim.token) for p in claim.passages if p.index not in claim.spoken])
    final = host.folder.finished(job.id, claim.token, f".{job.spec.response_format}")
    final.parent.mkdir(parents=True, exist_ok=True)
    final.write_bytes(audio)
    desk.finish(claim, final.name, len(audio))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(Host, "start_workers", lambda host, *, only_job=None: stand_in.start(host, only_job))
    monkeypatch.setattr(Host, "is_hosting", property(stand_in.is_hosting))
    monkeypatch.setattr(Host, "statuses", lambda host: stand_in.statuses(host))
    return stand_in

"""A server with a real job store and folder, and a worker that writes its files by script: no engine, no process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from longtake.config import ServerSettings
from longtake.core.clock import SystemClock
from longtake.core.disk import Cleaned
from longtake.core.errors import ConflictError, LeaseLostError
from longtake.core.records import Mark
from longtake.intake import Intake
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Claim, Job, QueueLimits, Stretch
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from longtake.monitor import Machine
from longtake.monitor.heat import HeatStatus
from longtake.monitor.probes.host import HostProbe
from longtake.monitor.probes.records import GpuReading, GpuState
from longtake.report import Setup, Sources
from longtake.script import Limits
from longtake.server.app import Backend, build_app
from longtake.supervise import Mending, WorkerState, WorkerStatus
from longtake.voices import VoiceStore

SAMPLES = 24_000  # of every passage: one second


def sound_of(index: int) -> bytes:
    """The bytes that passage `index` adds to the file."""
    return f"<{index:04d}>".encode() * 500


def sound_up_to(count: int) -> bytes:
    return b"".join(sound_of(index) for index in range(count))


class House:
    """Everything behind the routes, for one test."""

    def __init__(
        self,
        root: Path,
        *,
        queue: QueueLimits | None = None,
        engines: Sequence[str] = ("espeak",),
        mending: Mending | None = None,
        clean: Callable[[bool], Cleaned] | None = None,
        **settings: Any,
    ) -> None:
        self.folder = DataFolder(root, floor_bytes=0)
        self.db = Database(self.folder.database)
        self.store = JobStore(self.db, limits=queue)
        self.voices = VoiceStore(self.folder.voices)
        self.intake = Intake(self.store, self.folder, self.voices, engines, Limits(20_000, 30.0))
        self.statuses = [WorkerStatus("espeak", WorkerState.READY, None, None, 2, 7)]
        self.woken: list[str] = []
        self.gpus = GpuReading(GpuState.ABSENT, 0.0, "no NVIDIA driver: it is a test")
        clock = SystemClock()
        probe = HostProbe(root, dict, clock)
        self.backend = Backend(
            store=self.store,
            folder=self.folder,
            intake=self.intake,
            workers=lambda: self.statuses,
            wake=self.woken.append,
            clock=clock,
            machine=Machine(lambda: self.gpus, probe, HeatStatus, clock),
            mending=mending,
            clean=clean,
            report=Sources(
                history=self.store.history,
                minutes=self.folder.minutes,
                crashes=list,
                free_bytes=self.folder.free_bytes,
                budgets=dict,
                setup=Setup(tuple(engines), 4),
            ),
        )
        self._server = ServerSettings(**settings)
        self.app = self.build()

    def build(self) -> FastAPI:
        """One more application over the same backend: each is opened once."""
        return build_app(self.backend, self._server)

    def worker(self, name: str = "w1", engine: str = "espeak") -> ScriptedWorker:
        return ScriptedWorker(self, name, engine)

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder.root / "jobs").iterdir())

    def transients(self) -> list[str]:
        """Ids of speech and probe jobs that are still in the store."""
        counts = sum(self.store.counts().values())
        listed = len(self.store.jobs(limit=1000))
        return ["?"] * (counts - listed)


class ScriptedWorker:
    """Claims jobs and 'speaks' them as told: step by step from the test, or by itself in a thread."""

    def __init__(self, house: House, name: str, engine: str) -> None:
        self.house = house
        self.desk = WorkerDesk(house.db, name, engine, 4711)
        self.claim: Claim | None = None
        self.claimed: list[Job] = []

    @property
    def held(self) -> Claim:
        assert self.claim is not None
        return self.claim

    @property
    def part(self) -> Path:
        job = self.held.job
        return self.house.folder.part(job.id, self.held.token, f".{job.spec.response_format}")

    def take(self) -> Claim:
        """Claim the next job and begin its file anew, as a worker does that takes over."""
        self.claim = self.desk.claim()
        assert self.claim is not None, "there is nothing to claim"
        self.claimed.append(self.claim.job)
        self.part.parent.mkdir(parents=True, exist_ok=True)
        self.part.write_bytes(b"")
        return self.claim

    def write(self, data: bytes) -> None:
        with self.part.open("ab") as file:
            file.write(data)

    def speak(self, index: int) -> None:
        """Commit passage `index` and let its sound be heard."""
        text = self.held.passages[index].lines[0].text
        mark = Mark(0.0, SAMPLES / 24_000, text, self.held.passages[index].lines[0].speaker)
        if index not in self.held.spoken:
            self.desk.commit(self.held, [Stretch(index, f"{index}.pcm", "0" * 64, SAMPLES, (mark,))])
        self.write(sound_of(index))

    def finish(self) -> None:
        name = f"audio-{self.held.token}{self.part.suffix}"
        final = self.part.with_name(name)
        self.part.rename(final)
        self.desk.finish(self.held, name, final.stat().st_size)

    def speak_all(self) -> Job:
        claim = self.take()
        for passage in claim.passages:
            self.speak(passage.index)
        self.finish()
        return self.house.store.job(claim.job.id)

    def fail(self, message: str = "the engine choked", kind: str = "engine_error") -> None:
        self.desk.fail(self.held, {"message": message, "type": kind, "param": None, "code": "engine_failed"})

    @contextmanager
    def running(self, *, fails_after: int | None = None, hold_after: int | None = None) -> Iterator[threading.Event]:
        """Speak whatever comes, in a thread, until the block ends.

        Args:
            fails_after: Passages after which every job fails.
            hold_after: Passages after which every job waits for the event that is yielded, or for its cancellation.
        """
        go_on, leave = threading.Event(), threading.Event()

        def run() -> None:
            while not leave.is_set():
                claim = self.desk.claim()
                if claim is None:
                    time.sleep(0.005)
                    continue
                self.claim = claim
                self.claimed.append(self.claim.job)
                self._run_job(go_on, leave, fails_after, hold_after)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield go_on
        finally:
            leave.set()
            thread.join(10)

    def _run_job(
        self, go_on: threading.Event, leave: threading.Event, fails_after: int | None, hold_after: int | None
    ) -> None:
        self.part.parent.mkdir(parents=True, exist_ok=True)
        self.part.write_bytes(b"")
        for number, passage in enumerate(self.held.passages):
            while number == hold_after and not go_on.is_set() and not leave.is_set() and not self._is_unwanted():
                time.sleep(0.005)
            if number == fails_after:
                self.fail()
                return
            if self._is_unwanted() or leave.is_set():
                self.desk.release(self.held)
                return
            self.speak(passage.index)
        with suppress(LeaseLostError, ConflictError):
            self.finish()

    def _is_unwanted(self) -> bool:
        return self.desk.owned().get(self.held.job.id, (0, State.CANCELLED))[1] is not State.RUNNING


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """A real socket: only there do streams break and clients leave as they do in life."""
    # The protocol by name: asyncio sets TCP_NODELAY only where it reads it, and without it every answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.005)

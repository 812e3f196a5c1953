"""Two real worker processes on one store, one of them frozen by SIGSTOP beyond its lease, and woken up again."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from longtake.config import Settings, load_settings
from longtake.delivery import audio_path
from longtake.intake import JobRequest
from longtake.jobs.records import Job
from longtake.jobs.states import ENDED, State
from longtake.supervise import WorkerProcess
from longtake.wiring import Host, open_host
from longtake.worker.orders import Assignment
from tests.support.recordings import voice
from tests.support.scripts import dialogue

LEASE_S, HEARTBEAT_S = 3.0, 0.5
NAMES = ("w-one", "w-two")
VIBEVOICE = {"model": "random:tiny", "device": "cpu", "dtype": "fp32"}


def wait_for(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Pair:
    """Two workers of one engine that nobody supervises, and whoever looks on."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self.host, self.settings = host, settings
        self.processes = {name: self.start(name) for name in NAMES}
        wait_for(lambda: [row.state for row in host.store.workers()] == ["ready", "ready"])

    def start(self, name: str) -> WorkerProcess:
        assignment = Assignment(name, self.settings.engines[0], self.settings)
        return WorkerProcess("longtake.worker.main", assignment.to_line(), self.host.folder.logs / f"{name}.err")

    def has_told(self, name: str, event: str, **facts: object) -> bool:
        """Whether that worker logged it; both write to one file."""
        lines = (self.host.folder.logs / f"worker-{self.settings.engines[0]}.log").read_text().splitlines()
        told = {"event": event, "pid": self.processes[name].pid, **facts}
        return any(told.items() <= json.loads(line).items() for line in lines)

    def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        os.kill(process.pid, signal.SIGCONT)
        process.send("stop\n")
        if not process.wait(10.0):
            process.kill()
            process.wait(10.0)
        process.close()

    def owner(self, job: Job) -> str:
        row = self.host.db.row("owner", id=job.id)
        assert row is not None
        return str(row["lease_worker"])

    def freeze(self, name: str) -> None:
        """Not in the middle of a write: the store has one writer, and would wait for it as long as it sleeps."""
        while True:
            os.kill(self.processes[name].pid, signal.SIGSTOP)
            with closing(sqlite3.connect(self.host.folder.database, timeout=0.2, isolation_level=None)) as other:
                try:
                    other.execute("BEGIN IMMEDIATE")
                    other.execute("ROLLBACK")
                    return
                except sqlite3.OperationalError:
                    os.kill(self.processes[name].pid, signal.SIGCONT)
                    time.sleep(0.01)

    def wake(self, name: str) -> None:
        os.kill(self.processes[name].pid, signal.SIGCONT)

    def wait(self, job: Job, until: Callable[[Job], bool] = lambda job: job.state in ENDED) -> Job:
        wait_for(lambda: until(self.host.store.job(job.id)))
        return self.host.store.job(job.id)

    def history(self, job: Job) -> list[tuple[object, ...]]:
        """All that users can hear and see of a job: its row, its events, its files byte for byte, but not its log."""
        store, folder = self.host.store, self.host.folder.job(job.id)
        paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("log.jsonl")]
        files = sorted((path.relative_to(folder), path.read_bytes()) for path in paths)
        return [(store.job(job.id),), tuple(store.events(job.id, limit=10_000)), *files]

    def audio(self, job: Job) -> np.ndarray:
        path = audio_path(self.host.folder, self.host.store.job(job.id))
        assert path is not None
        return np.fromfile(path, "<i2").astype(int)


@pytest.fixture(params=["espeak", "vibevoice"])
def pair(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings = load_settings(
        data=tmp_path / "data",
        engines=(request.param,),
        engine=VIBEVOICE if request.param == "vibevoice" else {},
        disk_floor_mib=16,
        worker={"lease_s": LEASE_S, "heartbeat_s": HEARTBEAT_S},
    )
    with open_host(settings, workers=False) as host:
        pair = Pair(settings, host)
        yield pair
        for name in list(pair.processes):
            pair.stop(name)


def request_for(pair: Pair) -> JobRequest:
    if pair.settings.engines == ("espeak",):
        return JobRequest(dialogue(60), response_format="pcm")
    for number in (1, 2):
        pair.host.voices.add(voice(3.0, pitch_hz=110.0 * number), name=f"v{number}", language="en")
    return JobRequest(dialogue(5), response_format="pcm", settings={"steps": 1}, seed=3)


def test_the_other_finishes_and_the_woken_one_writes_nothing(pair: Pair) -> None:
    request = request_for(pair)
    job, _ = pair.host.intake.submit(request)
    pair.wait(job, lambda job: job.audio_samples >= 3 * 24_000)
    frozen = pair.owner(job)
    (other,) = set(NAMES) - {frozen}
    pair.freeze(frozen)
    frozen_at = time.monotonic()
    kept = pair.host.store.job(job.id)
    assert kept.state is State.RUNNING

    pair.wait(job, lambda job: job.token == 2)
    assert time.monotonic() - frozen_at > LEASE_S - HEARTBEAT_S - 0.2, "a lease holds until its end"
    done = pair.wait(job)
    assert (done.state, done.token, done.crashes) == (State.DONE, 2, 0)
    states = [e.data["to"] for e in pair.host.store.events(job.id, limit=10_000) if e.kind == "state"]
    assert states == ["queued", "running", "queued", "running", "done"]
    history = pair.history(job)
    assert not list(pair.host.folder.job(job.id).glob("part-*")), "what the frozen one began, its successor has swept"

    pair.wake(frozen)
    wait_for(lambda: pair.has_told(frozen, "lease lost: the job is another's now", job=job.id, token=1))
    pair.stop(other)
    again, _ = pair.host.intake.submit(request)
    assert pair.wait(again).state is State.DONE, "the woken one goes on with the next job"
    assert pair.history(job) == history, "and of the first one it has changed nothing, not a file"

    named = {s.file for _, passage in pair.host.store.passages(job.id) if passage for s in passage.stretches}
    assert {path.name for path in pair.host.folder.passages(job.id).iterdir()} == named
    ours, undisturbed = pair.audio(job), pair.audio(again)
    assert ours.shape == undisturbed.shape
    if pair.settings.engines == ("espeak",):
        assert np.array_equal(ours, undisturbed)
    else:  # exact up to the last commit, without the fade of 5 ms at its end; within 1e-3 behind it
        before = kept.audio_samples - 200
        assert np.array_equal(ours[:before], undisturbed[:before])
        assert np.abs(ours - undisturbed).max() <= 33


def test_an_idle_worker_that_is_frozen_is_replaced_when_its_lease_would_be_over(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path, disk_floor_mib=16, worker={"lease_s": 1.5, "heartbeat_s": 0.3})
    with open_host(settings, workers=True) as host:
        wait_for(lambda: [row.state for row in host.store.workers()] == ["ready"])
        assert host.has_living_worker("espeak")
        frozen = host.statuses()[0].pid
        assert frozen is not None
        os.kill(frozen, signal.SIGSTOP)
        frozen_at = time.monotonic()
        wait_for(lambda: host.statuses()[0].reason is not None, timeout_s=20.0)
        assert 1.0 < time.monotonic() - frozen_at < 10.0
        assert host.statuses()[0].reason == "its heart did not beat for 2 s"
        wait_for(lambda: host.statuses()[0].pid not in (None, frozen))

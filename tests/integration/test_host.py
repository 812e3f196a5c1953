"""A real host with real worker processes that are really killed. FLAC: its encoder is the quickest that is one."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from longtake.config import Settings, load_settings
from longtake.core.errors import ConflictError
from longtake.delivery import audio_path
from longtake.intake import JobRequest
from longtake.jobs.records import Job
from longtake.jobs.states import ENDED, State
from longtake.supervise import WorkerProcess, WorkerState
from longtake.wiring import Host, open_host
from tests.support.jobs import planned, spec
from tests.support.scripts import dialogue

LONG = dialogue(60)  # about 10 minutes, 180 passages


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data=tmp_path / "data", disk_floor_mib=16, worker={"heartbeat_s": 0.2})


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SHA-256 of the long script's audio, spoken in peace."""
    quiet = load_settings(data=tmp_path_factory.mktemp("quiet"), disk_floor_mib=16)
    with open_host(quiet, workers=True) as host:
        job = wait(host, submit(host))
        yield digest(host, job)


def submit(host: Host, script: str = LONG) -> Job:
    return host.intake.submit(JobRequest(script, loudness="podcast", response_format="flac"))[0]


def wait(host: Host, job: Job, until: Callable[[Job], bool] | None = None, timeout_s: float = 60.0) -> Job:
    deadline = time.monotonic() + timeout_s
    is_there = until or (lambda job: job.state in ENDED)
    while not is_there(now := host.store.job(job.id)):
        assert time.monotonic() < deadline, f"{now.state} {now.passages_done}/{now.passages_total} {host.statuses()}"
        time.sleep(0.005)
    return now


def digest(host: Host, job: Job) -> str:
    job = host.store.job(job.id)
    assert job.state is State.DONE, job.error
    path = audio_path(host.folder, job)
    assert path is not None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def worker_pid(host: Host) -> int:
    pid = host.statuses()[0].pid
    assert pid is not None
    return pid


def test_a_killed_worker_costs_nothing_but_time(settings: Settings, uninterrupted: str) -> None:
    with open_host(settings, workers=True) as host:
        job = submit(host)
        for at in (20, 100):
            wait(host, job, lambda job, at=at: job.passages_done >= at)  # type: ignore[misc]
            os.kill(worker_pid(host), signal.SIGKILL)
        wait(host, job)
        assert digest(host, job) == uninterrupted
        done = host.store.job(job.id)
        assert (done.crashes, done.token) == (0, 3), "deaths between which it got on are no reason to set it aside"
        states = [e.data["to"] for e in host.store.events(job.id, limit=5000) if e.kind == "state"]
        assert states == ["queued", "running", "queued", "running", "queued", "running", "done"]
        progress = [e.data["passages_done"] for e in host.store.events(job.id, limit=5000) if e.kind == "progress"]
        assert progress == sorted(set(progress)), "a committed passage was spoken again"


def test_a_killed_host_takes_its_worker_along_and_the_next_goes_on(settings: Settings, uninterrupted: str) -> None:
    with open_host(settings, workers=False) as watcher:
        job = submit(watcher)
        victim = subprocess.Popen([sys.executable, "-m", "tests.integration.host_process", settings.data])
        wait(watcher, job, lambda job: job.passages_done >= 20)
        child = psutil.Process(victim.pid).children()[0]
        victim.kill()
        victim.wait()
        child.wait(5.0)  # raises when the orphan goes on
        assert watcher.store.job(job.id).state in (State.RUNNING, State.QUEUED)
        watcher.start_workers()
        wait(watcher, job)
        assert digest(watcher, job) == uninterrupted


def test_both_killed_at_once(settings: Settings, uninterrupted: str) -> None:
    with open_host(settings, workers=False) as watcher:
        job = submit(watcher)
        victim = subprocess.Popen([sys.executable, "-m", "tests.integration.host_process", settings.data])
        wait(watcher, job, lambda job: job.passages_done >= 60)
        child = psutil.Process(victim.pid).children()[0]
        child.kill()
        victim.kill()
        victim.wait()
        watcher.start_workers()  # at once: nobody waits for a lease to run out
        wait(watcher, job, lambda job: job.state is State.RUNNING, timeout_s=5.0)
        wait(watcher, job)
        assert digest(watcher, job) == uninterrupted


def test_pause_resume_and_cancel_within_a_second(settings: Settings, uninterrupted: str) -> None:
    with open_host(settings, workers=True) as host:
        job = submit(host)
        wait(host, job, lambda job: job.passages_done >= 10)
        host.store.pause(job.id)
        paused = wait(host, job, lambda job: job.state is State.PAUSED, timeout_s=1.0)
        time.sleep(0.3)
        assert host.store.job(job.id).passages_done == paused.passages_done < paused.passages_total
        host.store.resume(job.id)
        wait(host, job)
        assert digest(host, job) == uninterrupted
        other = submit(host)
        wait(host, other, lambda job: job.passages_done >= 10)
        host.store.cancel(other.id)
        wait(host, other, lambda job: job.state is State.CANCELLED, timeout_s=1.0)


def test_an_orderly_stop_is_quick_and_loses_nothing(settings: Settings, uninterrupted: str) -> None:
    with open_host(settings, workers=True) as host:
        job = submit(host)
        wait(host, job, lambda job: job.passages_done >= 20)
        start = time.monotonic()
    assert time.monotonic() - start < 3.0
    with open_host(settings, workers=True) as host:
        assert host.store.job(job.id).crashes == 0
        wait(host, job)
        assert digest(host, job) == uninterrupted


def test_a_data_folder_has_one_host(settings: Settings) -> None:
    with open_host(settings, workers=True), open_host(settings, workers=False) as second:
        with pytest.raises(ConflictError, match=f"process {os.getpid()}.*--data"):
            second.start_workers()
        assert not second.is_hosting


def test_a_frozen_worker_is_killed_for_want_of_progress(tmp_path: Path, uninterrupted: str) -> None:
    settings = load_settings(
        data=tmp_path / "data", disk_floor_mib=16, worker={"heartbeat_s": 0.1, "stall_s": 1.0, "stop_timeout_s": 1.0}
    )
    with open_host(settings, workers=True) as host:
        job = submit(host)
        wait(host, job, lambda job: job.passages_done >= 20)
        frozen = worker_pid(host)
        os.kill(frozen, signal.SIGSTOP)
        wait(host, job)
        assert digest(host, job) == uninterrupted
        assert worker_pid(host) != frozen
        reasons = [e.data["reason"] for e in host.store.events(job.id, limit=5000) if e.kind == "state"]
        assert "its worker died; it goes on" in reasons


def test_a_worker_that_cannot_load_is_told_and_jobs_wait(tmp_path: Path) -> None:
    settings = load_settings(
        data=tmp_path / "data", disk_floor_mib=16, engines=("vibevoice",), engine={"model": "no/such/folder"}
    )
    with open_host(settings, workers=True) as host:
        job, _ = host.store.submit(spec(engine="vibevoice"), "x", planned(1))
        deadline = time.monotonic() + 60  # torch is imported
        while host.statuses()[0].state is not WorkerState.BROKEN and time.monotonic() < deadline:
            time.sleep(0.02)
        status = host.statuses()[0]
        assert status.state is WorkerState.BROKEN
        assert status.reason is not None
        assert "no/such/folder" in status.reason or "not installed" in status.reason
        assert host.store.job(job.id).state is State.QUEUED


def test_tidying_deletes_delivered_speech_and_resumes_what_a_full_disk_paused(settings: Settings) -> None:
    from longtake.jobs.desk import WorkerDesk
    from longtake.jobs.records import Kind
    from longtake.jobs.store import JobStore
    from tests.support.clock import HandClock

    with open_host(settings, workers=False) as host:
        clock = HandClock()
        store = JobStore(host.db, clock=clock)
        speech, _ = host.intake.submit(JobRequest("Hello."), kind=Kind.SPEECH)
        store.cancel(speech.id)
        host.folder.passages(speech.id).mkdir(parents=True)
        paused = submit(host, "Hello again.")
        desk = WorkerDesk(host.db, "w", "espeak", 1)
        claim = desk.claim()
        assert claim is not None
        desk.suspend(claim, "disk full: no room")
        by_hand = submit(host, "And again.")
        host.store.pause(by_hand.id)
        host.tidy()
        assert host.store.job(paused.id).state is State.QUEUED
        assert host.store.job(by_hand.id).state is State.PAUSED, "its user paused it"
        assert not host.folder.job(speech.id).exists()


def test_a_worker_comes_back_though_its_log_is_gone(settings: Settings) -> None:
    with open_host(settings, workers=True) as host:
        wait(host, submit(host, "Hello."))
        shutil.rmtree(host.folder.logs)
        os.kill(worker_pid(host), signal.SIGKILL)
        wait(host, submit(host, "Hello again."), timeout_s=20.0)
        assert (host.folder.logs / "worker-espeak.log").exists()


def test_what_nobody_speaks_is_freed_unless_a_host_lives(settings: Settings) -> None:
    from longtake.jobs.desk import WorkerDesk

    with open_host(settings, workers=False) as host, open_host(settings, workers=False) as other:
        job = submit(host, "Hello.")
        assert WorkerDesk(host.db, "w", "espeak", 1).claim() is not None
        assert other.folder.lock()
        host.free_orphans()
        assert host.store.job(job.id).state is State.RUNNING
        other.folder.unlock()
        host.free_orphans()
        assert host.store.job(job.id).state is State.QUEUED
        assert other.folder.lock(), "the lock was held for a moment only"


def test_a_worker_process_tells_how_it_died(tmp_path: Path) -> None:
    log = tmp_path / "w.log"
    log.write_text("an older worker's last line\n")
    process = WorkerProcess("longtake.worker.main", "this is no assignment\n", log)
    assert process.wait(20)
    assert (process.exit_code() or 0) > 0
    assert "JSONDecodeError" in process.last_words()
    process.close()
    silent = WorkerProcess("longtake.worker.main", "", log)
    os.kill(silent.pid, signal.SIGKILL)
    assert silent.wait(5)
    assert silent.last_words() == "killed by SIGKILL"
    silent.send("wake\n")  # to the dead: no error
    silent.close()


def test_what_a_worker_complains_of_is_bounded_while_it_lives(settings: Settings) -> None:
    with open_host(settings, workers=True) as host:
        wait(host, submit(host, "Hello."))
        words = host.folder.words("espeak")
        with words.open("ab") as file:
            file.write(b"a library complains\n" * 100_000)
        host.tidy()
        assert words.stat().st_size == 0
        os.kill(worker_pid(host), signal.SIGABRT)
        wait(host, submit(host, "Hello again."), timeout_s=20.0)
        assert "Fatal Python error: Aborted" in words.read_text(), "and whoever writes goes on at its beginning"

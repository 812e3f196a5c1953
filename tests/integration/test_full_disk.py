"""A disk that is really full: a small file system of its own. Needs the right to mount one."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from longtake.config import load_settings
from longtake.core.errors import DiskFullError
from longtake.delivery import audio_path
from longtake.intake import JobRequest
from longtake.jobs.records import Job
from longtake.jobs.states import ENDED, State
from longtake.wiring import Host, open_host
from tests.support.scripts import dialogue

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(disk)], capture_output=True, check=False
    ).returncode == 0  # fmt: skip
    if not mounted:
        pytest.skip("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path, *, leave_bytes: int) -> Path:
    """Another program fills the disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        if leave_bytes:
            file.write(bytes(shutil.disk_usage(disk).free - leave_bytes))
        else:
            while file.write(bytes(MIB // 4)):
                pass
    return ballast


def wait(host: Host, job: Job, *states: State, at_least: int = 0, timeout_s: float = 40.0) -> Job:
    deadline = time.monotonic() + timeout_s
    while (now := host.store.job(job.id)).state not in states:
        assert now.passages_done >= at_least, "something spoken was lost"
        assert now.state not in ENDED, now
        assert time.monotonic() < deadline, now
        time.sleep(0.02)
    return now


def audio(host: Host, job: Job) -> bytes:
    path = audio_path(host.folder, job)
    assert path is not None
    return path.read_bytes()


@pytest.mark.parametrize("leave_bytes", [19 * MIB, 0], ids=["down to the floor", "to the last byte"])
def test_a_job_pauses_on_a_full_disk_and_goes_on_by_itself(small_disk: Path, leave_bytes: int) -> None:
    settings = load_settings(data=small_disk / "data", disk_floor_mib=16)
    request = JobRequest(dialogue(20), response_format="wav", turn_silence_s=2.0)
    with open_host(settings, workers=True) as host:
        job, _ = host.intake.submit(request)
        while host.store.job(job.id).passages_done == 0:
            wait(host, job, State.QUEUED, State.RUNNING)
            time.sleep(0.02)
        ballast = fill(small_disk, leave_bytes=leave_bytes)
        paused = wait(host, job, State.PAUSED)
        assert paused.reason is not None
        assert paused.reason.startswith("disk full: ")
        assert 0 < paused.passages_done < paused.passages_total
        with pytest.raises(DiskFullError, match=r"must stay free.*--data"):
            host.intake.submit(request)
        ballast.unlink()
        # The host looks every few seconds whether there is room again.
        done = wait(host, job, State.DONE, at_least=paused.passages_done)
        assert done.crashes == 0, "the worker lived through it"
        again, _ = host.intake.submit(request)
        assert audio(host, wait(host, again, State.DONE)) == audio(host, done)


def test_the_cache_gives_its_room_before_a_job_is_paused(small_disk: Path) -> None:
    settings = load_settings(data=small_disk / "data", disk_floor_mib=16)
    request = JobRequest(dialogue(70), response_format="mp3")
    with open_host(settings, workers=True) as host:
        first, _ = host.intake.submit(request)
        wait(host, first, State.DONE)
        kept = host.cache.usage()
        assert kept.used_bytes > 20 * MIB, "more than a short job writes, the store's log and all"
        host.store.forget(first.id)
        host.folder.remove_job(first.id)
        job, _ = host.intake.submit(JobRequest(dialogue(8), response_format="wav", speed=0.9))
        while host.store.job(job.id).passages_done == 0:
            wait(host, job, State.QUEUED, State.RUNNING)
        fill(small_disk, leave_bytes=16 * MIB)
        done = wait(host, job, State.DONE)
        states = [event.data["to"] for event in host.store.events(job.id, limit=5000) if event.kind == "state"]
        assert "paused" not in states
        assert done.crashes == 0
        assert host.cache.usage().used_bytes < kept.used_bytes

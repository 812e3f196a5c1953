"""A data folder on a disk of 20 MB that runs full: jobs pause, and go on when there is room. Nothing is lost."""

from __future__ import annotations

import hashlib
import os
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
from longtake.jobs.states import State
from longtake.wiring import Host, open_host
from longtake.wiring import host as host_module
from tests.support.scripts import dialogue

MIB = 1 << 20
SCRIPTS = [dialogue(8), dialogue(7, speakers=3), dialogue(6, speakers=1)]  # a minute of speech, less, and less


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """20 MB of memory, mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(disk)]
    try:
        mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def submit(host: Host, script: str) -> Job:
    return host.intake.submit(JobRequest(script, response_format="mp3", loudness="podcast"))[0]


def digests(host: Host, jobs: list[Job]) -> list[str]:
    found = []
    for job in jobs:
        path = audio_path(host.folder, host.store.job(job.id))
        assert path is not None
        found.append(hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def wait(host: Host, jobs: list[Job], *states: State, timeout_s: float = 60.0) -> list[Job]:
    deadline = time.monotonic() + timeout_s
    while True:
        now = [host.store.job(job.id) for job in jobs]
        if all(job.state in states for job in now):
            return now
        assert not any(job.state in (State.FAILED, State.CANCELLED) for job in now), now
        assert time.monotonic() < deadline, now
        time.sleep(0.01)


@pytest.mark.parametrize("way", ["a file is deleted", "the disk grows"])
def test_jobs_pause_on_a_full_disk_and_finish_when_there_is_room(
    disk: Path, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "TIDY_S", 0.3)
    with open_host(load_settings(data=tmp_path / "roomy", disk_floor_mib=1), workers=True) as host:
        undisturbed = [submit(host, script) for script in SCRIPTS]
        wait(host, undisturbed, State.DONE)
        wanted = digests(host, undisturbed)

    settings = load_settings(data=disk / "data", disk_floor_mib=2)
    with open_host(settings, workers=True) as host:
        jobs = [submit(host, script) for script in SCRIPTS]  # at the start there is room for them all
        while not all(host.store.job(job.id).passages_done for job in jobs):
            time.sleep(0.005)
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(MIB // 8)):
                pass
        paused = wait(host, jobs, State.PAUSED, State.DONE)
        waiting = [job for job in paused if job.state is State.PAUSED]
        assert waiting, "they were quicker than the disk was full"
        assert all((job.reason or "").startswith("disk full: ") for job in waiting)
        with pytest.raises(DiskFullError, match=r"2\.0 MiB must stay free"):
            submit(host, SCRIPTS[0])
        assert host.statuses()[0].restarts == 0, "the worker lives"

        if way == "a file is deleted":
            filler.unlink()
        else:
            subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        done = wait(host, jobs, State.DONE)
        assert digests(host, jobs) == wanted
        for before, job in zip(paused, done, strict=True):
            assert job.passages_done == job.passages_total >= before.passages_done
            spoken = [event.data["passages_done"] for event in host.store.events(job.id) if event.kind == "progress"]
            assert spoken == sorted(set(spoken)), "nothing was spoken twice"
            assert [event.kind for event in host.store.events(job.id)].count("recalled") == 0


def test_a_job_that_cannot_be_stored_is_not_accepted(disk: Path) -> None:
    settings = load_settings(data=disk / "data", disk_floor_mib=2)
    with open_host(settings, workers=False) as host:
        with pytest.raises(DiskFullError, match=r"The audio of this job needs .* and 2\.0 MiB must stay free"):
            submit(host, dialogue(60))
        room, one = host.folder.free_bytes() - 2 * MIB, 0.0
        with pytest.raises(DiskFullError, match=r"of this job and of the 6 before it") as refused:  # noqa: PT012
            while True:
                one = submit(host, SCRIPTS[2]).estimated_s * 48_000
        assert refused.value.code == "disk_full"
        assert 6 * one < room < 8 * one * 5 / 4, "neither too few nor too many"
        assert len(host.store.jobs()) == 6


def test_the_reserve_is_small_on_a_small_disk(disk: Path) -> None:
    with open_host(load_settings(data=disk / "data", disk_floor_mib=2), workers=False) as host:
        host.folder.keep_reserve()
        assert (disk / "data" / "reserve").stat().st_size == 1 * MIB

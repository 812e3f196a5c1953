"""Checks of the machine and of the service, one by one."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from longtake.config import Settings, load_settings
from longtake.core.errors import CapacityError, DiskFullError, InputError, WorkerError
from longtake.doctor import disk, examine, machine, service
from longtake.jobs.folder import DataFolder
from longtake.monitor.probes.records import Card, GpuReading, GpuState
from longtake.supervise.crashes import Crash, CrashFolder, crash_id


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data=tmp_path / "data", server={"port": 0})


def test_disk_speed_is_measured_and_leaves_nothing(settings: Settings) -> None:
    assert "MB/s, a small write is durable after" in disk.speed(settings)
    assert not list(DataFolder(settings.data).root.glob("doctor-*"))


def test_a_disk_that_takes_long_to_make_a_write_durable_is_wrong(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "SLOW_SYNC_S", 0.002)
    monkeypatch.setattr(os, "fsync", lambda handle: time.sleep(0.004))
    with pytest.raises(CapacityError, match="more than 2 ms hold up speaking"):
        disk.speed(settings)


def test_a_full_disk_is_not_measured(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DataFolder, "free_bytes", lambda self: 70 << 20)
    with pytest.raises(DiskFullError):
        disk.speed(settings)


def test_a_port_is_free_or_taken_by_somebody_or_by_us(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        number = other.getsockname()[1]
        settings = load_settings(data=tmp_path / "data", server={"port": number})
        other.listen()
        with pytest.raises(InputError, match=f"Cannot listen on 127.0.0.1:{number}: Address already in use"):
            service.port(settings)
        host = DataFolder(settings.data)
        assert host.lock()
        assert f"process {os.getpid()}) serves" in service.port(settings)
        host.unlock()
    assert service.port(settings) == f"127.0.0.1:{number} is free"


def test_a_folder_that_cannot_be_used_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        number = other.getsockname()[1]
    settings = load_settings(data=tmp_path / "data", server={"port": number})
    checks = {check.name: check for check in takewhile(lambda check: check.name != "crashes", examine(settings))}
    assert "disk speed" not in checks
    assert checks["data folder"].remedy == "Name another folder with --data."
    assert checks["port"].found == f"127.0.0.1:{number} is free"


def test_crashes_of_late_are_told_and_old_ones_not(settings: Settings) -> None:
    assert service.crashes(settings).found == "none in the last seven days"
    folder = CrashFolder(DataFolder(settings.data).crashes)
    for days, memory in ((8, None), (2, None), (1, "Out of memory: Killed process 7")):
        at = time.time() - days * 86_400
        folder.keep(Crash(crash_id(at, "web", 7), at, "web", 7, "killed by SIGKILL", "0.1.0", memory=memory))
    check = service.crashes(settings)
    assert check.found.startswith("2 in the last seven days; the last: web at ")
    assert check.found.endswith("killed by SIGKILL; Out of memory: Killed process 7")
    assert Path(check.remedy.split(" has ")[0]).is_file()


def test_a_clock_that_is_years_behind_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.clock().endswith("UTC")
    then = SimpleNamespace(now=lambda zone: datetime(1970, 1, 3, tzinfo=UTC))
    monkeypatch.setattr(machine, "datetime", then)
    with pytest.raises(InputError, match="1970-01-03"):
        machine.clock()


def reading(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    class Watch:
        def __init__(self, clock: object) -> None: ...
        def start(self) -> None: ...
        def close(self) -> None: ...
        def reading(self) -> GpuReading:
            return GpuReading(at_s=0.0, **fields)

    monkeypatch.setattr(machine, "GpuWatch", Watch)


def test_a_driver_that_is_absent_is_wrong_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    reading(monkeypatch, state=GpuState.ABSENT, reason="no library")
    assert machine.driver("auto") == "no NVIDIA driver (no library); engines run on the processor"
    with pytest.raises(WorkerError, match="no library"):
        machine.driver("cuda:1")


def test_a_driver_that_is_there_must_work(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(index=0, name="NVIDIA H200", memory_total_bytes=141 << 30)
    reading(monkeypatch, state=GpuState.OK, driver_version="580.1", cards=(card,))
    assert machine.driver("auto") == "580.1: NVIDIA H200 with 141.0 GiB"
    reading(monkeypatch, state=GpuState.OK, cards=(Card(index=0, name="NVIDIA H200", is_lost=True),))
    with pytest.raises(WorkerError, match="NVIDIA H200 fell off the bus"):
        machine.driver("auto")
    reading(monkeypatch, state=GpuState.SILENT, reason="it has not answered for 5 s")
    with pytest.raises(WorkerError, match="not answered"):
        machine.driver("auto")


def answer(monkeypatch: pytest.MonkeyPatch, code: int, stdout: str, stderr: str = "") -> None:
    done = subprocess.CompletedProcess([], code, stdout, stderr)
    monkeypatch.setattr(machine.subprocess, "run", lambda *args, **kwargs: done)  # type: ignore[attr-defined]


def test_what_torch_says(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, 0, 'noise\n{"version": "2.13", "cuda": "12.8", "devices": ["H200"], "reason": null}\n')
    assert machine.torch_build("cuda") == "2.13, built for CUDA 12.8, sees H200"
    answer(monkeypatch, 0, '{"version": "2.13", "cuda": null, "devices": [], "reason": null}')
    assert machine.torch_build("auto") == "2.13, built without CUDA, sees no card"
    with pytest.raises(WorkerError, match="the device cuda was asked for"):
        machine.torch_build("cuda")
    answer(monkeypatch, 1, "", "Traceback …\nModuleNotFoundError: No module named 'torch'")
    with pytest.raises(WorkerError, match="No module named 'torch'"):
        machine.torch_build("auto")

"""Processors, memory, disks and our own processes, through psutil. Knows no card.

What is slow or seldom changes is looked at every tenth time: which children the workers have (that asks for every
process of the machine), the disk and the limits of a container.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from longtake.core.clock import Clock
from longtake.monitor.probes.cgroup import read_cgroup
from longtake.monitor.probes.records import CgroupReading, DiskReading, HostReading, ProcessReading

SLOW_EVERY = 10  # looks


class HostProbe:
    """One thread owns it: shares are of the time since its last look."""

    def __init__(
        self,
        folder: Path,
        workers: Callable[[], Mapping[int, str]],
        clock: Clock,
        *,
        cgroup: Callable[[], CgroupReading | None] = read_cgroup,
    ) -> None:
        """
        Args:
            folder: The disk on which it lies is looked at.
            workers: Process id → engine, of those that live.
        """
        self._folder = folder
        self._workers = workers
        self._clock = clock
        self._cgroup = cgroup
        self._looks = 0
        self._at_s: float | None = None
        self._traffic: tuple[int, int] | None = None
        self._disk: DiskReading | None = None
        self._group: CgroupReading | None = None
        self._processes: dict[int, _Process] = {}

    def read(self) -> HostReading:
        """The machine now; takes about a millisecond, some more every tenth time."""
        now_s = self._clock.monotonic_s()
        passed_s = None if self._at_s is None else now_s - self._at_s
        self._at_s = now_s
        if self._looks % SLOW_EVERY == 0:
            self._look_slowly()
        self._know_workers()
        self._looks += 1
        cores = psutil.cpu_percent(percpu=True)  # of the thread that calls; the first time it has nothing to compare
        memory, swap = psutil.virtual_memory(), _swap()
        read, written = self._rates(passed_s)
        return HostReading(
            cpu_ratio=sum(cores) / len(cores) / 100 if passed_s else None,
            core_ratios=tuple(core / 100 for core in cores) if passed_s else (),
            load_1m=_load(),
            memory_total_bytes=memory.total,
            memory_available_bytes=memory.available,
            swap_total_bytes=None if swap is None else swap[0],
            swap_used_bytes=None if swap is None else swap[1],
            disk=self._disk,
            disk_read_bytes_per_s=read,
            disk_written_bytes_per_s=written,
            cgroup=self._group,
            processes=self._read_processes(passed_s),
        )

    def _look_slowly(self) -> None:
        try:
            usage = shutil.disk_usage(self._folder)
            self._disk = DiskReading(usage.total, usage.used, usage.free)
        except OSError:  # the folder is gone, or its disk
            self._disk = None
        self._group = self._cgroup()
        self._processes = {pid: each for pid, each in self._processes.items() if each.role != "child"}
        for pid, engine in self._workers().items():
            with suppress(psutil.Error):
                for child in psutil.Process(pid).children(recursive=True):
                    self._processes[child.pid] = _Process(child, "child", engine)

    def _know_workers(self) -> None:
        """Workers may come and go any second."""
        wanted = {os.getpid(): ("web", None)} | {pid: ("worker", name) for pid, name in self._workers().items()}
        for pid, each in list(self._processes.items()):
            if each.role != "child" and pid not in wanted:
                del self._processes[pid]
        for pid, (role, engine) in wanted.items():
            if pid not in self._processes:
                with suppress(psutil.Error):  # it has just died
                    self._processes[pid] = _Process(psutil.Process(pid), role, engine)

    def _read_processes(self, passed_s: float | None) -> tuple[ProcessReading, ...]:
        found = []
        for pid, each in list(self._processes.items()):
            try:
                found.append(each.read(passed_s))
            except psutil.Error:
                del self._processes[pid]
        return tuple(found)

    def _rates(self, passed_s: float | None) -> tuple[float | None, float | None]:
        try:
            now = psutil.disk_io_counters()
        except (OSError, RuntimeError, ValueError):  # no such counters, or of a kind that psutil does not read
            now = None
        before, self._traffic = self._traffic, None if now is None else (now.read_bytes, now.write_bytes)
        if not passed_s or before is None or self._traffic is None:
            return None, None
        read, written = (max(0, after - past) / passed_s for after, past in zip(self._traffic, before, strict=True))
        return read, written


class _Process:
    def __init__(self, process: psutil.Process, role: str, engine: str | None) -> None:
        self.role = role
        self._engine = engine
        self._process = process
        self._used_s: float | None = None

    def read(self, passed_s: float | None) -> ProcessReading:
        with self._process.oneshot():
            times = self._process.cpu_times()
            used_s, before_s = times.user + times.system, self._used_s
            self._used_s = used_s
            return ProcessReading(
                pid=self._process.pid,
                role=self.role,
                engine=self._engine,
                resident_bytes=self._process.memory_info().rss,
                cpu_cores=(used_s - before_s) / passed_s if passed_s and before_s is not None else None,
                threads=self._process.num_threads(),
            )


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):  # not every system has one
        return None


def _swap() -> tuple[int, int] | None:
    try:
        swap = psutil.swap_memory()
    except (OSError, RuntimeError):
        return None
    return swap.total, swap.used

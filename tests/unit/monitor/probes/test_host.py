"""Against /proc of this very machine, and a container's files as they would lie there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from longtake.core.clock import SystemClock
from longtake.monitor.probes.cgroup import read_cgroup
from longtake.monitor.probes.host import SLOW_EVERY, HostProbe
from longtake.monitor.probes.records import CgroupReading

needs_proc = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="no /proc")


def probe(folder: Path, workers: dict[int, str] | None = None) -> HostProbe:
    return HostProbe(folder, lambda: workers or {}, SystemClock(), cgroup=lambda: None)


def meminfo() -> dict[str, int]:
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines}


def cpu_times() -> tuple[float, float]:
    """Of all processors since the boot: busy, and all."""
    user, nice, system, idle, iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    busy = user + nice + system + irq + softirq + steal
    return busy, busy + idle + iowait


@needs_proc
def test_memory_is_what_proc_says(tmp_path: Path) -> None:
    found, truth = probe(tmp_path).read(), meminfo()
    assert found.memory_total_bytes == truth["MemTotal"]
    assert found.memory_available_bytes == pytest.approx(truth["MemAvailable"], abs=500 << 20)
    assert found.swap_total_bytes == truth["SwapTotal"]


@needs_proc
def test_processors_are_what_proc_says(tmp_path: Path) -> None:
    host = probe(tmp_path)
    first = host.read()
    assert (first.cpu_ratio, first.core_ratios) == (None, ()), "nothing to compare with: absent, not zero"
    before = cpu_times()
    host.read()
    burn = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    time.sleep(1.0)
    found, after = host.read(), cpu_times()
    burn.kill()
    burn.wait()
    busy, passed = after[0] - before[0], after[1] - before[1]
    assert found.cpu_ratio == pytest.approx(busy / passed, abs=0.15)
    assert found.cpu_ratio is not None
    assert found.cpu_ratio > 0.5 / len(found.core_ratios)
    assert len(found.core_ratios) == os.cpu_count()
    assert found.load_1m == pytest.approx(float(Path("/proc/loadavg").read_text().split()[0]), abs=0.5)


def test_the_disk_is_the_one_of_the_folder(tmp_path: Path) -> None:
    found, truth = probe(tmp_path).read().disk, os.statvfs(tmp_path)
    assert found is not None
    assert found.total_bytes == truth.f_blocks * truth.f_frsize
    assert found.free_bytes == pytest.approx(truth.f_bavail * truth.f_frsize, abs=500 << 20)
    assert probe(tmp_path / "gone").read().disk is None


def test_writing_to_the_disk_is_seen(tmp_path: Path) -> None:
    if psutil.disk_io_counters() is None:
        pytest.skip("this machine counts no traffic of disks")
    host = probe(tmp_path)
    assert host.read().disk_written_bytes_per_s is None
    time.sleep(0.05)
    second = host.read().disk_written_bytes_per_s
    assert second is not None
    assert second >= 0


def test_our_processes_with_what_they_use(tmp_path: Path) -> None:
    code = "import subprocess; child = subprocess.Popen(['sleep', '60']); print(flush=True)\nwhile True: pass"
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert worker.stdout is not None
        worker.stdout.readline()
        host = probe(tmp_path, {worker.pid: "espeak"})
        first = host.read()
        time.sleep(0.5)
        found = {each.role: each for each in host.read().processes}
    finally:
        for child in psutil.Process(worker.pid).children():
            child.kill()
        worker.kill()
        worker.communicate()
    assert {each.cpu_cores for each in first.processes} == {None}
    assert set(found) == {"web", "worker", "child"}
    assert found["web"].pid == os.getpid()
    assert (found["worker"].pid, found["worker"].engine) == (worker.pid, "espeak")
    assert found["worker"].cpu_cores == pytest.approx(1.0, abs=0.9)
    assert found["child"].cpu_cores == pytest.approx(0.0, abs=0.1)
    assert found["web"].resident_bytes == pytest.approx(psutil.Process().memory_info().rss, rel=0.1)


def test_a_process_that_dies_is_gone_and_one_that_comes_is_seen_at_once(tmp_path: Path) -> None:
    workers: dict[int, str] = {}
    host = HostProbe(tmp_path, lambda: workers, SystemClock(), cgroup=lambda: None)
    host.read()
    child = subprocess.Popen(["sleep", "60"])
    workers[child.pid] = "espeak"
    assert child.pid in {each.pid for each in host.read().processes}
    child.kill()
    child.wait()
    assert child.pid not in {each.pid for each in host.read().processes}
    workers[2**22 - 1] = "there is no such process"
    host.read()


def test_what_is_slow_is_asked_seldom(tmp_path: Path) -> None:
    asked = []
    host = HostProbe(tmp_path, dict, SystemClock(), cgroup=lambda: asked.append(1))
    for _ in range(2 * SLOW_EVERY):
        host.read()
    assert len(asked) == 2


def cgroup(root: Path, own: str, files: dict[str, str]) -> CgroupReading | None:
    for name, text in files.items():
        path = root / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "own").write_text(own)
    return read_cgroup(groups=root / "groups", own=root / "own")


def test_the_tightest_limit_of_a_container_counts(tmp_path: Path) -> None:
    files = {
        "a/memory.max": "5000",
        "a/memory.current": "3000",
        "a/memory.stat": "inactive_file 100",
        "a/b/memory.max": "9000",
        "a/b/memory.current": "1000",
        "a/b/memory.stat": "inactive_file 0",
        "a/cpu.max": "150000 100000",
        "a/b/cpu.max": "max 100000",
    }
    assert cgroup(tmp_path, "0::/a/b\n", files) == CgroupReading(5000, 3000, 1.5)


def test_version_one_and_no_limit(tmp_path: Path) -> None:
    files = {
        "memory/x/memory.limit_in_bytes": str(2**63 - 4096),
        "memory/x/memory.usage_in_bytes": "1000",
        "memory/x/memory.stat": "total_inactive_file 0",
        "cpu,cpuacct/x/cpu.cfs_quota_us": "50000\n",
        "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
    }
    own = "4:memory:/x\n3:cpu,cpuacct:/x\n"
    assert cgroup(tmp_path, own, files) == CgroupReading(None, None, 0.5)
    (tmp_path / "groups/cpu,cpuacct/x/cpu.cfs_quota_us").write_text("-1\n")
    assert read_cgroup(groups=tmp_path / "groups", own=tmp_path / "own") is None


def test_where_there_are_no_control_groups(tmp_path: Path) -> None:
    assert read_cgroup(groups=tmp_path, own=tmp_path / "no Linux") is None

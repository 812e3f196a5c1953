"""What is free: the machine's, or what a container has left."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from longtake.core.memory import free_host_bytes

FREE = 10_000


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=FREE, total=99_999, free=5))


def group(folder: Path, most: str, used: int, *, reclaimable: int = 0, version: int = 2) -> None:
    names = {2: ("memory.max", "memory.current", "inactive_file")}
    names[1] = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    limit, use, line = names[version]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / limit).write_text(f"{most}\n")
    (folder / use).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 7\n{line} {reclaimable}\nfile 9\n")


def free(root: Path, own: str) -> int:
    (root / "own").write_text(own)
    return free_host_bytes(groups=root / "groups", own=root / "own")


def test_a_containers_limit_counts_with_what_the_kernel_takes_back(tmp_path: Path) -> None:
    group(tmp_path / "groups", "5000", 3000, reclaimable=1000)
    assert free(tmp_path, "0::/not/seen/from/inside\n") == 3000


def test_the_tightest_of_the_groups_around_it_counts(tmp_path: Path) -> None:
    group(tmp_path / "groups/a/b", "max", 3000)
    group(tmp_path / "groups/a", "5000", 4500)
    group(tmp_path / "groups", "90000", 6000)
    assert free(tmp_path, "0::/a/b\n") == 500


def test_version_one_is_read_too(tmp_path: Path) -> None:
    group(tmp_path / "groups/memory/x", "4000", 1000, reclaimable=10, version=1)
    group(tmp_path / "groups/memory", str(2**63 - 4096), 1000, version=1)
    assert free(tmp_path, "5:cpu:/x\n4:memory:/x\n0::/\n") == 3010


@pytest.mark.parametrize("most", ["max", "90000", "nonsense"])
def test_without_a_limit_it_is_the_machines(tmp_path: Path, most: str) -> None:
    group(tmp_path / "groups", most, 1000)
    assert free(tmp_path, "0::/\n") == FREE
    assert free_host_bytes(groups=tmp_path / "groups", own=tmp_path / "no Linux") == FREE


def test_more_than_the_limit_is_nothing_free(tmp_path: Path) -> None:
    group(tmp_path / "groups", "5000", 6000)
    assert free(tmp_path, "0::/\n") == 0


def test_here_it_is_some_number() -> None:
    assert 0 <= free_host_bytes() <= FREE

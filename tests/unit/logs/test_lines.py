"""A file of lines: rotation, other writers, torn lines, a disk that is full."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from longtake.logs.lines import LineFile


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "web.log"


def test_a_full_file_moves_away_and_the_oldest_is_deleted(path: Path) -> None:
    file = LineFile(path, limit_bytes=50, kept=2)
    for number in range(100):
        assert file.write(b"line %06d\n" % number)
    assert sorted(each.name for each in path.parent.iterdir()) == ["web.log", "web.log.1", "web.log.2"]
    kept = [line for name in ("web.log.2", "web.log.1", "web.log") for line in lines_of(path.with_name(name))]
    assert kept == [b"line %06d" % number for number in range(100 - len(kept), 100)], "no line is lost between files"
    assert all(each.stat().st_size <= 50 + 12 for each in path.parent.iterdir())


def test_two_writers_rotate_one_file_and_lose_nothing(path: Path) -> None:
    writers = [LineFile(path, limit_bytes=300, kept=9) for _ in range(2)]
    for number in range(100):
        assert writers[number % 2].write(b"line %06d\n" % number)
    found = sorted(line for each in path.parent.iterdir() for line in lines_of(each))
    assert found == [b"line %06d" % number for number in range(100)]


def test_a_file_that_someone_deleted_is_made_anew(path: Path) -> None:
    file = LineFile(path, limit_bytes=1000, kept=1)
    file.write(b"one\n")
    path.unlink()
    path.parent.rmdir()
    assert file.write(b"two\n")
    assert lines_of(path) == [b"two"]


def test_a_line_that_a_crash_cut_off_stands_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"whole\nhal")
    assert LineFile(path, limit_bytes=1000, kept=1).write(b"next\n")
    assert lines_of(path) == [b"whole", b"hal", b"next"]


def test_a_full_disk_is_told_by_the_answer_and_the_next_line_begins_afresh(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = LineFile(path, limit_bytes=1000, kept=1)
    assert file.write(b"one\n")
    with monkeypatch.context() as full:
        write = os.write
        full.setattr(os, "write", lambda handle, data: write(handle, data[:3]))
        assert not file.write(b"half of it\n")

        def refuse(handle: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        full.setattr(os, "write", refuse)
        assert not file.write(b"nothing of it\n")
        assert file.fault == "No space left on device"
    assert file.write(b"two\n")
    assert lines_of(path) == [b"one", b"hal", b"two"]


def test_only_the_owner_may_read_it(path: Path) -> None:
    LineFile(path, limit_bytes=1000, kept=1).write(b"one\n")
    assert path.stat().st_mode & 0o077 == 0

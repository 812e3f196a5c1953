from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from longtake.core.disk import link_file, sync_folder
from longtake.core.errors import DiskFullError, WorkerError


def test_a_second_name_takes_no_room(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"x")
    assert link_file(source, target)
    sync_folder(tmp_path)
    assert target.stat().st_ino == source.stat().st_ino
    source.unlink()
    assert target.read_bytes() == b"x", "one name gone, the file is still there"


def test_what_is_not_there_gets_no_name(tmp_path: Path) -> None:
    assert not link_file(tmp_path / "a", tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.EXDEV, errno.EMLINK, errno.EOPNOTSUPP])
def test_where_there_are_no_links_it_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    (tmp_path / "a").write_bytes(b"x")
    refuse(monkeypatch, number)
    assert link_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"x"


def test_no_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"x")
    refuse(monkeypatch, errno.ENOSPC)
    with pytest.raises(DiskFullError):
        link_file(tmp_path / "a", tmp_path / "b")


def test_a_folder_that_is_not_there_cannot_be_made_durable(tmp_path: Path) -> None:
    with pytest.raises(WorkerError):
        sync_folder(tmp_path / "nowhere")


def refuse(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def link(source: Any, target: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)

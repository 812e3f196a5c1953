from __future__ import annotations

import os
from pathlib import Path

import pytest

from longtake.core.errors import DiskFullError, InputError
from longtake.jobs.folder import DataFolder


@pytest.mark.parametrize("name", [".", "jobs", "jobs.db", "host.lock"])
def test_a_folder_that_cannot_be_written_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As on a read-only disk, where even root may not."""
    folder = DataFolder(tmp_path)
    folder.database.touch()
    assert folder.lock()
    folder.unlock()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path / name)
    with pytest.raises(InputError, match="--data") as refused:
        DataFolder(tmp_path)
    assert (refused.value.code, refused.value.param) == ("data_folder", "data")


@pytest.mark.parametrize(("given_back", "is_enough"), [(0, False), (49, False), (50, True)])
def test_before_a_job_goes_without_room_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_back: int, is_enough: bool
) -> None:
    folder = DataFolder(tmp_path, floor_bytes=100)
    free, asked = [120], []

    def make_room(needed_bytes: int) -> None:
        asked.append(needed_bytes)
        free[0] += given_back

    folder.make_room = make_room
    monkeypatch.setattr(DataFolder, "free_bytes", lambda self: free[0])
    folder.require_room(20, "A word")
    assert asked == [], "there was room"
    if is_enough:
        folder.require_room(70, "A job")
    else:
        with pytest.raises(
            DiskFullError, match=f"A job needs 70 B .* 100 B must stay free, but only {120 + given_back} B"
        ):
            folder.require_room(70, "A job")
    assert asked == [50 + 25], "and a quarter of the floor: others are writing, too"


def test_room_to_spare_is_beyond_twice_the_floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = DataFolder(tmp_path, floor_bytes=100)
    monkeypatch.setattr(DataFolder, "free_bytes", lambda self: 250)
    assert folder.has_room_to_spare(50)
    assert not folder.has_room_to_spare(51)


@pytest.mark.parametrize("name", ["jobs.db", "host.lock"])
def test_a_folder_where_a_file_belongs_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=rf"{name} is a folder.*--data"):
        DataFolder(tmp_path)


def test_a_lock_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    (tmp_path / "host.lock").mkdir()  # since then
    with pytest.raises(InputError, match=r"host\.lock cannot be opened: Is a directory.*--data") as refused:
        folder.require_lock()
    assert refused.value.code == "data_folder"

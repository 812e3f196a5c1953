from __future__ import annotations

import os
from pathlib import Path

import pytest

from longtake.core.errors import InputError
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

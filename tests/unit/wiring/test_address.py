from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from longtake.core.errors import ConflictError
from longtake.jobs.folder import DataFolder
from longtake.wiring.address import announced, server_of

URL = "http://127.0.0.1:7860"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[DataFolder]:
    host = DataFolder(tmp_path, floor_bytes=0)
    assert host.lock()
    yield host
    host.unlock()


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """As another process sees it."""
    return DataFolder(tmp_path, floor_bytes=0)


def require_none(folder: DataFolder) -> None:
    with pytest.raises(ConflictError, match=r"No server runs on .* Start one with `longtake serve --data"):
        server_of(folder)


def test_it_is_found_while_it_runs(host: DataFolder, folder: DataFolder) -> None:
    require_none(folder)
    with announced(host, URL):
        assert server_of(folder) == URL
    require_none(folder)


def test_what_a_killed_one_left_is_not_believed(host: DataFolder, folder: DataFolder) -> None:
    with announced(host, URL):
        host.unlock()  # its process is gone
        require_none(folder)
        assert not folder.is_hosted()


def test_a_host_that_is_no_server_is_none(host: DataFolder, folder: DataFolder) -> None:
    """As `say`, behind a server that was killed."""
    with announced(host, URL):
        (folder.root / "host.lock").write_text("1")
        require_none(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x", "url": 1}'])
def test_a_damaged_file_is_none(host: DataFolder, folder: DataFolder, text: str) -> None:
    folder.run.mkdir()
    (folder.run / "server.json").write_text(text)
    require_none(folder)

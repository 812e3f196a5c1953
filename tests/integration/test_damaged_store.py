"""A damaged store, met by real processes: they refuse, name the remedy, and the remedy works."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from longtake.cli.exits import EXIT_BAD_INPUT, EXIT_ENGINE_FAILED
from longtake.config import load_settings
from longtake.core.errors import WorkerError
from longtake.jobs.damage import repairing
from longtake.jobs.folder import DataFolder
from longtake.jobs.repair import set_aside
from longtake.wiring import open_host
from tests.support.served import LONGTAKE, Served
from tests.support.stores import audio_of, fill_store, overwrite_pages, pages_of

KEPT = {name: value for name, value in os.environ.items() if not name.startswith("LONGTAKE_")}


def longtake(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = KEPT | {"LONGTAKE_DISK_FLOOR_MIB": "16"}
    command = [LONGTAKE, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """Jobs whose passages are damaged in the middle of the file: opening it is no problem, reading all of it is."""
    folder = fill_store(tmp_path / "data", jobs=6)
    pages = pages_of(folder.database, "passages")
    if len(pages) < 6:
        pytest.skip("this SQLite cannot say where its pages are")
    overwrite_pages(folder.database, pages[3:5])
    return folder


def test_serve_and_say_refuse_and_after_the_repair_they_do_not(folder: DataFolder, tmp_path: Path) -> None:
    before, audio = folder.database.read_bytes(), audio_of(folder)
    (tmp_path / "script.txt").write_text("Speaker 1: Good evening.")
    for command in (
        ("serve", "--port", 0, "--no-studio", "--data", folder.root),
        ("say", "script.txt", "--data", folder.root),
        ("resume", "--data", folder.root),
    ):
        refused = longtake(*command, cwd=tmp_path)
        assert refused.returncode == EXIT_ENGINE_FAILED, refused.stderr
        for word in (str(folder.database), "damaged", "There is no backup", "longtake doctor --repair"):
            assert word in refused.stderr, command
        assert "Traceback" not in refused.stderr
    assert folder.database.read_bytes() == before, "no job was queued in it"
    checks = json.loads(longtake("doctor", "--json", "--data", folder.root, cwd=tmp_path).stdout)
    assert [check["name"] for check in checks if not check["is_ok"]] == ["job store"]

    mended = longtake("doctor", "--repair", "--data", folder.root, cwd=tmp_path)
    assert mended.returncode == 0, mended.stdout
    assert "8 jobs are saved" in mended.stdout
    [aside] = set_aside(folder.database)
    assert str(aside) in mended.stdout
    assert aside.name in mended.stdout.partition("job store")[2], "the file that lies there is shown from now on"
    assert aside.read_bytes() == before
    assert audio_of(folder).items() >= audio.items()

    listed = json.loads(longtake("jobs", "--json", "--data", folder.root, cwd=tmp_path).stdout)
    assert len(listed) == 8
    with Served(folder.root) as served:
        assert served.http.get("/readyz").json()["ready"]
    whole = longtake("doctor", "--repair", "--data", folder.root, cwd=tmp_path)
    assert "is whole; nothing was done" in whole.stdout


def test_a_look_at_the_jobs_does_not_read_all_of_the_store(folder: DataFolder, tmp_path: Path) -> None:
    assert longtake("jobs", "--data", folder.root, cwd=tmp_path).returncode == 0


def test_a_store_that_is_gone_is_not_replaced(folder: DataFolder, tmp_path: Path) -> None:
    audio = audio_of(folder)
    folder.database.unlink()
    refused = longtake("serve", "--port", 0, "--no-studio", "--data", folder.root, cwd=tmp_path)
    assert refused.returncode == EXIT_ENGINE_FAILED
    assert "files of 7 jobs" in refused.stderr
    mended = longtake("doctor", "--repair", "--data", folder.root, cwd=tmp_path)
    assert mended.returncode == 0
    assert "7 lost but for the files" in mended.stdout
    with Served(folder.root):
        assert audio_of(folder).items() >= audio.items(), "the host does not take them for what a crash left"


def test_one_bad_value_stops_the_server_and_is_mended(tmp_path: Path) -> None:
    """To SQLite the file is whole."""
    folder = fill_store(tmp_path / "data", jobs=2)
    with closing(sqlite3.connect(folder.database, isolation_level=None)) as plain:
        plain.execute("UPDATE jobs SET spec = '{gar' WHERE number = 2")
    for command in (("serve", "--port", 0, "--no-studio"), ("jobs",), ("resume",)):
        refused = longtake(*command, "--data", folder.root, cwd=tmp_path)
        assert refused.returncode == EXIT_ENGINE_FAILED, refused.stderr
        assert "longtake doctor --repair" in refused.stderr
        assert "Traceback" not in refused.stderr
    mended = longtake("doctor", "--repair", "--data", folder.root, cwd=tmp_path)
    assert mended.returncode == 0, mended.stdout
    assert "1 lost but for the files" in mended.stdout
    with Served(folder.root) as served:
        assert served.http.get("/readyz").json()["ready"]


def test_a_lost_table_is_told_and_so_is_what_it_costs(tmp_path: Path) -> None:
    folder = fill_store(tmp_path / "data", jobs=2)
    with closing(sqlite3.connect(folder.database, isolation_level=None)) as plain:
        [done_id] = plain.execute("SELECT id FROM jobs WHERE number = 1").fetchone()
        plain.execute("DROP TABLE stretches")
    (tmp_path / "script.txt").write_text("Speaker 1: Good evening.")
    for command in (("say", "script.txt"), ("resume", done_id, "--from", "0:10")):
        refused = longtake(*command, "--data", folder.root, cwd=tmp_path)
        assert refused.returncode == EXIT_ENGINE_FAILED, refused.stderr
        assert "it has no table stretches" in refused.stderr
        assert "Traceback" not in refused.stderr
    mended = longtake("doctor", "--repair", "--data", folder.root, cwd=tmp_path)
    assert mended.returncode == 0, mended.stdout
    assert "2 done with their audio, but subtitles" in mended.stdout


def test_a_repair_needs_the_folder_for_itself(folder: DataFolder, tmp_path: Path) -> None:
    assert folder.lock()
    refused = longtake("doctor", "--repair", "--data", folder.root, cwd=tmp_path)
    folder.unlock()
    assert refused.returncode == EXIT_ENGINE_FAILED
    assert f"process {os.getpid()}) already serves" in refused.stdout
    assert set_aside(folder.database) == []


def test_a_host_checks_once_and_an_onlooker_never(folder: DataFolder) -> None:
    settings = load_settings(data=folder.root, disk_floor_mib=16)
    with open_host(settings, workers=False) as host:
        assert len(host.store.jobs()) == 8
        with pytest.raises(WorkerError, match="doctor --repair"):
            host.start_workers()
        assert not host.is_hosting
    other = DataFolder(folder.root)
    assert other.lock(), "whoever repairs it can have the folder"
    other.unlock()


def test_nobody_opens_a_store_that_is_being_repaired(folder: DataFolder, tmp_path: Path) -> None:
    repairing(folder.database).touch()
    assert "did not come to its end" in longtake("jobs", "--data", folder.root, cwd=tmp_path).stderr
    assert longtake("doctor", "--repair", "--data", folder.root, cwd=tmp_path).returncode == 0
    assert longtake("jobs", "--data", folder.root, cwd=tmp_path).returncode == 0


def test_a_second_server_on_a_data_folder_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Served(data) as first:
        second = longtake("serve", "--port", 0, "--no-studio", "--data", data, cwd=tmp_path)
        assert second.returncode == EXIT_BAD_INPUT
        assert f"Another longtake (process {first.process.pid}) already serves {data}" in second.stderr
        assert first.http.get("/readyz").json()["ready"], "the first does not notice"
        first.kill()
        with Served(data) as third:  # the lock dies with its process
            assert third.http.get("/readyz").json()["ready"]

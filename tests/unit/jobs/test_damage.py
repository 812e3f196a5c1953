"""What is said of a store that is damaged or gone; nothing is changed by looking."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from longtake.core.errors import WorkerError
from longtake.jobs.backups import backups
from longtake.jobs.damage import is_damage, repairing, require_new
from longtake.jobs.database import Database
from longtake.jobs.folder import DataFolder
from tests.support.stores import audio_of, fill_store, overwrite_pages, pages_of

MIDDLE = 20_000  # bytes


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return fill_store(tmp_path / "a data folder", jobs=4)


def zero_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(MIDDLE)


def overwrite_middle(path: Path) -> None:
    overwrite_pages(path, pages_of(path, "passages")[2:5] or [12, 13])


def rubbish(path: Path) -> None:
    path.write_bytes(b"this is not a database, whatever its name says" * 100)


@pytest.mark.parametrize("damage", [zero_header, cut, overwrite_middle, rubbish])
def test_a_damaged_store_is_told_with_file_finding_and_remedy(
    folder: DataFolder, damage: Callable[[Path], None]
) -> None:
    damage(folder.database)
    before = folder.database.read_bytes()

    def open_and_check() -> None:
        db = Database(folder.database)
        try:
            db.check()
        finally:
            db.close()

    with pytest.raises(WorkerError, match="is damaged") as caught:
        open_and_check()
    message = caught.value.message
    assert caught.value.code == "store_damaged"
    assert str(folder.database) in message
    assert f"longtake doctor --repair --data '{folder.root}'" in message
    assert "There is no backup" in message
    assert folder.database.read_bytes() == before


def test_the_newest_backup_is_named(folder: DataFolder) -> None:
    for version in (1, 2):
        folder.database.with_name(f"jobs.db.schema-{version}.bak").touch()
    newest = backups(folder.database)[0].name
    rubbish(folder.database)
    with pytest.raises(WorkerError, match=f"newest backup is {newest}"):
        Database(folder.database)


def test_a_whole_store_passes_both_checks(folder: DataFolder) -> None:
    db = Database(folder.database)
    db.check()
    db.check(is_thorough=True)
    db.close()


def test_only_the_thorough_check_compares_indexes(folder: DataFolder) -> None:
    overwriting = sqlite3.connect(folder.database, isolation_level=None)
    overwriting.execute("PRAGMA writable_schema = ON")
    # The index is now thought to be over another column, so its entries are not those of its table.
    overwriting.execute(
        "UPDATE sqlite_schema SET sql = 'CREATE INDEX jobs_state ON jobs (kind)' WHERE name = 'jobs_state'"
    )
    overwriting.close()
    db = Database(folder.database)
    db.check()
    with pytest.raises(WorkerError, match="jobs_state"):
        db.check(is_thorough=True)
    db.close()


def test_other_errors_are_not_called_damage() -> None:
    with sqlite3.connect(":memory:") as plain:
        with pytest.raises(sqlite3.OperationalError) as caught:
            plain.execute("SELECT * FROM nowhere")
        assert not is_damage(caught.value)
        with pytest.raises(sqlite3.ProgrammingError) as wrong:
            plain.execute("SELECT ?", ())
        assert not is_damage(wrong.value)
    plain.close()


@pytest.mark.parametrize("is_there", [True, False], ids=["emptied", "deleted"])
def test_a_store_that_is_gone_while_jobs_have_files_is_not_replaced(folder: DataFolder, is_there: bool) -> None:
    folder.database.unlink()
    if is_there:
        folder.database.touch()
    audio = audio_of(folder)
    with pytest.raises(WorkerError, match=r"gone or empty.*files of 5 jobs.*doctor --repair") as caught:
        Database(folder.database, when_new=partial(require_new, folder))
    assert caught.value.code == "store_lost"
    assert audio_of(folder) == audio


def test_a_new_folder_and_one_whose_jobs_were_deleted_get_a_store(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.job("job_1").mkdir()
    folder.mark_forgotten("job_1")
    Database(folder.database, when_new=partial(require_new, folder)).close()
    folder.unmark_forgotten("job_1")
    Database(folder.database, when_new=partial(require_new, folder)).close()  # it is there now


def test_a_store_whose_repair_was_cut_off_is_not_opened(folder: DataFolder) -> None:
    repairing(folder.database).touch()
    with pytest.raises(WorkerError, match=r"repair .* did not come to its end.*doctor --repair"):
        Database(folder.database)
    assert repairing(folder.database).exists()

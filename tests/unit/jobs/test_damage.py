"""What is said of a store that is damaged or gone; nothing is changed by looking."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from longtake.core.errors import WorkerError
from longtake.jobs import database as database_module
from longtake.jobs.backups import backups
from longtake.jobs.damage import StoreDamagedError, is_damage, repairing, require_new
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.store import JobStore
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
        "UPDATE sqlite_schema SET sql = 'CREATE INDEX jobs_load ON jobs (kind)' WHERE name = 'jobs_load'"
    )
    overwriting.close()
    db = Database(folder.database)
    db.check()
    with pytest.raises(WorkerError, match="jobs_load"):
        db.check(is_thorough=True)
    db.close()


BAD_ROWS = {
    "spec": "UPDATE jobs SET spec = '{gar' WHERE number = 2",
    "state": "UPDATE jobs SET state = 'runnixg' WHERE number = 2",
    "subtitles": "UPDATE jobs SET out_subtitles = 'srt' WHERE number = 2",
    "no text": "UPDATE jobs SET spec = CAST(x'FF00FE' AS TEXT) WHERE number = 2",
    "table": "DROP TABLE stretches",
    "column": "ALTER TABLE jobs DROP COLUMN spoken_on",
}
BAD_DETAILS = {
    "lines": "UPDATE passages SET lines = '[[1' WHERE position = 3",
    "marks": "UPDATE passages SET marks = '[[1]]' WHERE position = 3",
    "event": "UPDATE events SET data = '{' WHERE number = 2",
}


def change(folder: DataFolder, statement: str) -> None:
    with closing(sqlite3.connect(folder.database, isolation_level=None)) as plain:
        plain.execute(statement)


@pytest.mark.parametrize("bad", BAD_ROWS)
def test_what_sqlite_calls_whole_may_be_no_store_of_ours(folder: DataFolder, bad: str) -> None:
    change(folder, BAD_ROWS[bad])
    db = Database(folder.database)
    for is_thorough in (False, True):
        with pytest.raises(StoreDamagedError, match=r"makes no sense|it has no|Could not decode") as caught:
            db.check(is_thorough=is_thorough)
        assert "longtake doctor --repair" in caught.value.message
    db.close()


@pytest.mark.parametrize("bad", BAD_DETAILS)
def test_the_thorough_check_reads_passages_and_events(folder: DataFolder, bad: str) -> None:
    change(folder, BAD_DETAILS[bad])
    db = Database(folder.database)
    db.check()
    with pytest.raises(StoreDamagedError, match=r"a row of (passages|events), of job job_\w+, makes no sense"):
        db.check(is_thorough=True)
    db.close()


@pytest.mark.parametrize("bad", sorted(BAD_ROWS.keys() - {"column"}) + sorted(BAD_DETAILS))
def test_who_steps_on_it_is_told_the_remedy(folder: DataFolder, bad: str) -> None:
    change(folder, (BAD_ROWS | BAD_DETAILS)[bad])
    db = Database(folder.database)
    store = JobStore(db)

    def look() -> None:
        for job in store.jobs(limit=100):
            store.passages(job.id)
            store.events(job.id)

    with pytest.raises(StoreDamagedError, match="longtake doctor --repair"):
        look()
    db.close()


def test_a_column_that_is_gone_is_told_where_it_is_written(folder: DataFolder) -> None:
    change(folder, BAD_ROWS["column"])
    db = Database(folder.database)
    with pytest.raises(StoreDamagedError, match="spoken_on"):
        WorkerDesk(db, "w1", "espeak", 1).claim()
    db.close()


def test_our_own_wrong_sql_is_not_called_damage(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    db = Database(folder.database)
    monkeypatch.setattr(database_module, "queries", lambda: {"job": "SELECT elsewhere FROM jobs"})
    with pytest.raises(sqlite3.OperationalError, match="elsewhere"):
        db.rows("job")
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

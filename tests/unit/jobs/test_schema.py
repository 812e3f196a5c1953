"""From one schema to the next: checked, copied, changed; or as it was."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from longtake.core.disk import commit_file
from longtake.core.errors import ConflictError, DiskFullError, WorkerError
from longtake.jobs import backups as backups_module
from longtake.jobs import schema
from longtake.jobs.backups import BACKUPS_KEPT, back_up, backups
from longtake.jobs.database import Database
from longtake.jobs.schema import migrations
from longtake.jobs.store import JobStore
from tests.support.stores import fill_store, make_schema_1, overwrite_pages, pages_of


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store that only the first migration has made, with `job_old` in it."""
    path = tmp_path / "jobs.db"
    make_schema_1(path)
    return path


def version_of(path: Path) -> tuple[int, list[str]]:
    """Schema and jobs, read as anybody could."""
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return plain.execute("PRAGMA user_version").fetchone()[0], [
            row[0] for row in plain.execute("SELECT id FROM jobs")
        ]


def test_an_older_store_is_copied_and_then_changed(old: Path) -> None:
    db = Database(old)
    store = JobStore(db)
    assert store.job("job_old").spec.title == "Old"
    assert [passage.lines[0].text for passage, _ in store.passages("job_old")] == ["Good evening."]
    db.close()
    assert version_of(old) == (len(migrations()), ["job_old"])
    [backup] = backups(old)
    assert backup.name == "jobs.db.schema-1.bak"
    assert backup.read_bytes()[18:20] == b"\x01\x01", (
        "it needs no log beside it: it can lie on a disk that is read-only"
    )
    assert version_of(backup) == (1, ["job_old"])
    names = {path.name for path in old.parent.iterdir()}
    assert names == {"jobs.db", "jobs.db.schema-1.bak"}, "nothing half-made is left"


def test_the_backup_is_durable_before_anything_changes(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real_fsync, real_commit = os.fsync, commit_file

    def sync(descriptor: int) -> None:
        seen.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real_fsync(descriptor)

    def commit(tmp: Path, final: Path) -> None:
        with closing(sqlite3.connect(old)) as plain:
            seen.append(f"{final.name} of schema {plain.execute('PRAGMA user_version').fetchone()[0]}")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", sync)
            real_commit(tmp, final)

    monkeypatch.setattr(backups_module, "commit_file", commit)
    Database(old).close()
    assert seen == ["jobs.db.schema-1.bak of schema 1", "file", "folder"]


def test_what_only_the_log_holds_is_in_the_backup(old: Path) -> None:
    with closing(sqlite3.connect(old)) as plain:
        plain.execute("UPDATE jobs SET script = 'Only in the log.'")
        plain.commit()
        Database(old).close()  # while the other still has it open, so the log was not brought in
    with closing(sqlite3.connect(backups(old)[0])) as copy:
        assert copy.execute("SELECT script FROM jobs").fetchone()[0] == "Only in the log."


def test_a_change_that_fails_leaves_the_old_store(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (migrations()[0], "ALTER TABLE jobs ADD COLUMN half TEXT;\nINSERT INTO nowhere VALUES (1);")
    monkeypatch.setattr(schema, "migrations", lambda: broken)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        Database(old)
    assert version_of(old) == (1, ["job_old"])
    with closing(sqlite3.connect(old)) as plain:
        assert "half" not in [row[1] for row in plain.execute("PRAGMA table_info(jobs)")]
    monkeypatch.undo()
    Database(old).close()  # and the next try succeeds
    assert version_of(old) == (len(migrations()), ["job_old"])


def test_without_room_for_the_backup_nothing_changes(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(tmp: Path, final: Path) -> None:
        raise DiskFullError(f"The folder {final.parent} has no room")

    monkeypatch.setattr(backups_module, "commit_file", no_room)
    with pytest.raises(DiskFullError):
        Database(old)
    monkeypatch.undo()
    assert version_of(old) == (1, ["job_old"])
    assert backups(old) == []
    assert sorted(path.name for path in old.parent.iterdir()) == ["jobs.db"], "no half copy takes up the room"


def test_a_copy_that_was_killed_is_no_hindrance(old: Path) -> None:
    for name in (".bak.tmp", ".bak.tmp-journal", ".bak.tmp-wal"):
        old.with_name(f"jobs.db.schema-1{name}").write_bytes(b"half")
    Database(old).close()
    assert version_of(backups(old)[0]) == (1, ["job_old"])
    assert len(list(old.parent.iterdir())) == 2


def test_a_damaged_store_is_neither_copied_nor_changed(tmp_path: Path) -> None:
    path = fill_store(tmp_path).database
    with closing(sqlite3.connect(path)) as plain:
        plain.execute("PRAGMA user_version = 1")
        plain.execute("PRAGMA journal_mode = DELETE")
    overwrite_pages(path, pages_of(path, "events")[1:3] or [9])
    with pytest.raises(WorkerError, match=r"damaged .*There is no backup.*doctor --repair") as refused:
        Database(path)
    assert refused.value.code == "store_damaged"
    assert backups(path) == []


def test_a_new_store_needs_no_backup_and_a_newer_one_gets_none(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    Database(path).close()
    with closing(sqlite3.connect(path)) as plain:
        plain.execute(f"PRAGMA user_version = {len(migrations()) + 1}")
    with pytest.raises(ConflictError, match="newer longtake"):
        Database(path)
    assert backups(path) == []


def test_the_newest_backups_are_kept(old: Path, tmp_path: Path) -> None:
    for version in range(1, BACKUPS_KEPT + 3):
        back_up(old, version)
        made = tmp_path / f"jobs.db.schema-{version}.bak"
        os.utime(made, (version, version))
    assert [path.name for path in backups(old)] == [
        f"jobs.db.schema-{version}.bak" for version in range(BACKUPS_KEPT + 2, 2, -1)
    ]

"""Copies of the job store, taken before its schema changes. Knows neither the schema nor a job."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from longtake.core.disk import commit_file, disk_error

BACKUPS_KEPT = 3
COMPANIONS = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database, under its name: whoever moves or deletes it means these, too."""


def back_up(path: Path, version: int) -> None:
    """Copy the store to ``jobs.db.schema-<version>.bak``, durably and whole; of older backups the newest ones stay.

    Through a connection of its own: SQLite copies nothing from one that has a write transaction open.

    Raises:
        sqlite3.Error: It cannot be read, or there is no room.
        DiskFullError: There is no room.
        WorkerError: Any other I/O error.
    """
    final = path.with_name(f"{path.name}.schema-{version}.bak")
    tmp = final.with_name(f"{final.name}.tmp")
    try:
        delete_store(tmp)  # what a copy that was killed has left
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(tmp)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # one file, complete in itself
        commit_file(tmp, final)
    except OSError as error:
        raise disk_error(error, final) from error
    finally:
        delete_store(tmp)
    for old in backups(path)[BACKUPS_KEPT:]:
        old.unlink(missing_ok=True)


def backups(path: Path) -> list[Path]:
    """The backups of a store, the newest first."""
    found = path.parent.glob(f"{path.name}.schema-*.bak")
    return sorted(found, key=lambda file: file.stat().st_mtime_ns, reverse=True)


def delete_store(path: Path) -> None:
    """Delete a database with its companions; missing ones are fine."""
    for name in (path.name, *(path.name + suffix for suffix in COMPANIONS)):
        path.with_name(name).unlink(missing_ok=True)

"""The versions of the store's schema, and the way from one to the next. Knows no job."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from importlib import resources
from pathlib import Path

from longtake.core.errors import ConflictError
from longtake.jobs.backups import back_up
from longtake.jobs.damage import damage_error, find_damage


@cache
def migrations() -> tuple[str, ...]:
    """The SQL of each schema version, in order; version N is made by the first N."""
    files = sorted(resources.files(__package__).joinpath("migrations").iterdir(), key=lambda f: f.name)
    return tuple(file.read_text(encoding="utf-8") for file in files)


@cache
def shape(version: int) -> dict[str, frozenset[str]]:
    """Table → columns, of that schema version."""
    with closing(sqlite3.connect(":memory:")) as plain:
        for script in migrations()[:version]:
            plain.executescript(script)
        tables = [row[0] for row in plain.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {table: frozenset(row[1] for row in plain.execute(f"PRAGMA table_info({table})")) for table in tables}


def is_of_schema(name: str) -> bool:
    """Whether a table or a column is called so in the newest schema."""
    tables = shape(len(migrations()))
    return name in tables or any(name in columns for columns in tables.values())


def migrate(connection: sqlite3.Connection, path: Path, *, when_new: Callable[[], None]) -> None:
    """Bring the store to the newest schema: checked, copied to a backup, then changed in one transaction.

    Whatever fails leaves the old store as it was.

    Args:
        connection: In autocommit, on ``path``.
        when_new: Called before an empty file becomes a store; may refuse.

    Raises:
        ConflictError: A newer longtake wrote it.
        WorkerError: It is damaged, so it is left alone; or the backup cannot be written.
        DiskFullError: There is no room for the backup.
        sqlite3.Error: Anything else.
    """
    connection.execute("BEGIN IMMEDIATE")  # from here on nobody else writes, and so the backup misses nothing
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(migrations()):
            raise ConflictError(
                f"The job store {path} has schema {version}, this longtake knows {len(migrations())}: "
                "it was written by a newer longtake. Use that one, or another --data folder.",
                code="newer_schema",
            )
        if version == 0:
            when_new()
        elif version < len(migrations()):
            found = find_damage(connection)
            if found is not None:
                raise damage_error(path, found)
            back_up(path, version)
        for number, script in enumerate(migrations()[version:], start=version + 1):
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """The statements of a migration, one by one: `executescript` would commit in between."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending

"""Whether a store that SQLite calls whole is also ours: its tables and columns, and rows that mean something."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

from longtake.jobs.damage import ROW_ERRORS, find_damage, is_damage
from longtake.jobs.rows import check_job_row, check_passage_row, event_from_row
from longtake.jobs.schema import migrations, shape

_JOBS = ("jobs", "SELECT id, kind, state, error, spec, out_subtitles FROM jobs", check_job_row)
_REST: tuple[tuple[str, str, Callable[[sqlite3.Row], object]], ...] = (
    ("passages", "SELECT job_id AS id, position, lines, silence_before_s, marks FROM passages", check_passage_row),
    ("events", "SELECT job_id AS id, job_id, number, at, kind, data FROM events", event_from_row),
)


def find_fault(connection: sqlite3.Connection, *, is_thorough: bool = False) -> str | None:
    """What is wrong with the store; None when it is whole, when it is empty, and when a newer longtake wrote it.

    Args:
        is_thorough: Also read every passage and event, not only the jobs; and what `find_damage` does then.
    """
    found = find_damage(connection, is_thorough=is_thorough)
    if found is not None:
        return found
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if not 0 < version <= len(migrations()):
        return None
    missing = list(_missing(connection, version))
    if missing:
        return f"it has no {', '.join(missing)}"
    for table, sql, parse in (_JOBS, *_REST) if is_thorough else (_JOBS,):
        found = _find_bad_row(connection, table, sql, parse)
        if found is not None:
            return found
    return None


def _missing(connection: sqlite3.Connection, version: int) -> Iterator[str]:
    for table, columns in sorted(shape(version).items()):
        there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        if not there:
            yield f"table {table}"
        else:
            yield from (f"column {table}.{column}" for column in sorted(columns - there))


def _find_bad_row(
    connection: sqlite3.Connection, table: str, sql: str, parse: Callable[[sqlite3.Row], object]
) -> str | None:
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    last = None
    try:
        for row in cursor.execute(sql):
            last = row["id"]
            parse(row)
    except ROW_ERRORS as error:
        return f"a row of {table}, of job {last}, makes no sense: {error}"
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return str(error)
    return None

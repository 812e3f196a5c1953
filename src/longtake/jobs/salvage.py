"""Copies the rows that can still be read from a damaged store into a fresh one. Knows tables, and not what they mean.

`.recover` of SQLite's shell is not in Python. This is its poor relation, and the house's one place where SQL is put
together: names of tables and columns, all from our own schema. Every table is read from its start, then from its end,
and what lies between is asked for row by row; so a damaged page costs the rows on it, and no others.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from longtake.core.errors import InvariantError

_OF_A_JOB = {"passages": ("position",), "stretches": ("position", "number"), "events": ("number",)}
_OF_ALL_JOBS = {"idempotency": ("key",), "paces": ("engine", "language")}
TABLES = frozenset({"jobs", *_OF_A_JOB, *_OF_ALL_JOBS, "workers"})
_JSON = {"passages": ("lines", "marks"), "events": ("data",)}  # of the jobs, too; but they are judged by who reads them

# How many rows are tried one by one when the end of a table cannot be read: of all jobs, and of one job's rows.
_FURTHEST_JOB = 1 << 16
_FURTHEST_ROW = 1 << 12


def salvage(source: sqlite3.Connection, fresh: sqlite3.Connection) -> bool:
    """Copy what can be read: jobs with their rows, keys, learned paces; workers are gone anyway.

    Args:
        source: The damaged store, of this schema or an older one.
        fresh: An empty store of this schema, with foreign keys enforced.

    Returns:
        Whether the table of jobs was read to its end: then a job that is not there was not in it.
    """
    source.row_factory = sqlite3.Row
    # A text that is none any more is a damaged row; without this its error would end the whole reading.
    source.text_factory = _text
    columns = {table: [row[1] for row in fresh.execute(f"PRAGMA table_info({table})")] for table in TABLES}
    with fresh:
        jobs, is_whole = _readable(source, "jobs", ("rowid",))
        for job in jobs:
            if not _put(fresh, "jobs", columns["jobs"], job):
                continue
            for table, order in _OF_A_JOB.items():
                rows, _ = _readable(source, table, order, job_id=job["id"])
                number = 1
                for row in rows:
                    if not all(_is_json(row[column]) for column in _JSON.get(table, ()) if column in row):
                        continue
                    # Events are numbered without gaps: whoever replays them waits for the next number.
                    row |= {"number": number} if table == "events" else {}
                    number += _put(fresh, table, columns[table], row)
        for table, order in _OF_ALL_JOBS.items():
            for row in _readable(source, table, order)[0]:
                _put(fresh, table, columns[table], row)
    return is_whole


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _is_json(text: str | None) -> bool:
    try:
        return text is None or json.loads(text) is not None
    except (ValueError, TypeError):
        return False


def _readable(
    source: sqlite3.Connection, table: str, order: tuple[str, ...], *, job_id: str | None = None
) -> tuple[list[dict[str, Any]], bool]:
    """All rows that can be read, in order, and whether these are all there are.

    Args:
        order: The columns of the table's key; of the rows of one job when ``job_id`` is given.
    """
    if not any(_tried(source, "SELECT name FROM sqlite_schema WHERE name = :table", {"table": table})):
        return [], False
    what = f"SELECT {'rowid, ' if order == ('rowid',) else ''}* FROM {table}"  # noqa: S608  (see above)
    where = "" if job_id is None else " WHERE job_id = :job_id"
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    ends: list[tuple[Any, ...] | None] = []
    for direction in ("ASC", "DESC"):
        last = None
        by = ", ".join(f"{column} {direction}" for column in order)
        try:
            for row in source.execute(f"{what}{where} ORDER BY {by}", {"job_id": job_id}):
                last = tuple(row[column] for column in order)
                found[last] = dict(row)
        except sqlite3.Error:
            ends.append(last)
        else:
            return _in_order(found), True
    if order == ("rowid",) or (job_id is not None and len(order) == 1):
        low = ends[0][0] if ends[0] else -1
        high = ends[1][0] if ends[1] else low + (_FURTHEST_JOB if job_id is None else _FURTHEST_ROW)
        point = f"{what}{where or ' WHERE TRUE'} AND {order[0]} = :key"
        for key in range(low + 1, high):
            for row in _tried(source, point, {"job_id": job_id, "key": key}):
                found[(key,)] = row
    return _in_order(found), False


def _in_order(found: Mapping[tuple[Any, ...], dict[str, Any]]) -> list[dict[str, Any]]:
    return [found[key] for key in sorted(found)]


def _tried(source: sqlite3.Connection, sql: str, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        yield from map(dict, source.execute(sql, values).fetchall())
    except sqlite3.Error:
        return


def _put(fresh: sqlite3.Connection, table: str, columns: list[str], row: Mapping[str, Any]) -> bool:
    """Insert a row; False for one that its table refuses: of a wrong type, twice there, of a job that is not."""
    names = [name for name in columns if name in row]
    if not names:
        raise InvariantError(f"The table {table} has none of its columns.")
    places = ", ".join(f":{name}" for name in names)
    try:
        fresh.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", dict(row))  # noqa: S608
    except (sqlite3.IntegrityError, sqlite3.InterfaceError, OverflowError):
        return False
    return True

"""Whether the job store is whole, and what its user is told when it is not. Mends nothing: that is `repair`.

A store that is damaged or lost is never replaced by a fresh one in passing: an empty queue looks healthy (ADR 10).
"""

from __future__ import annotations

import shlex
import sqlite3
from pathlib import Path

from longtake.core.errors import WorkerError
from longtake.jobs.backups import backups
from longtake.jobs.folder import DataFolder

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_NO_TEXT = "Could not decode to UTF-8"  # the module's own error: SQLite takes any bytes for text

ROW_ERRORS = (ValueError, TypeError, LookupError, AttributeError)
"""What becomes of a row, made into a record, that holds what no longtake wrote."""


class StoreDamagedError(WorkerError):
    """The job store is damaged; the message has the remedy."""

    code = "store_damaged"


def find_damage(connection: sqlite3.Connection, *, is_thorough: bool = False) -> str | None:
    """What SQLite finds wrong; None when the store is whole.

    The quick check reads every page once. Measured, with the file in memory: 12 ms for ten hours of speech (5 MB of
    store), 73 ms for a hundred (49 MB). The thorough one also compares every index with its table: 107 ms.
    """
    pragma = "integrity_check" if is_thorough else "quick_check"
    try:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA {pragma}(3)")]
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return str(error)
    lines = [line.strip() for text in found for line in text.splitlines() if not line.startswith("***")]
    return None if found == ["ok"] else "; ".join(lines)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is damaged, or none of its own; or a text in it is none."""
    # The low byte, for whatever extended code.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED or str(error).startswith(_NO_TEXT)


def damage_error(path: Path, found: str) -> StoreDamagedError:
    """The error that names the store, what was found, the newest backup and the remedy."""
    newest = next(iter(backups(path)), None)
    backup = f"The newest backup is {newest.name}" if newest is not None else "There is no backup"
    return StoreDamagedError(
        f"The job store {path} is damaged ({found}). Nothing was changed. {backup}. `{remedy(path)}` sets the damaged "
        "file aside, takes over what can be read, and tells what was saved; audio in the jobs folder is not touched."
    )


def remedy(path: Path) -> str:
    """The command that mends the store."""
    return shlex.join(["longtake", "doctor", "--repair", "--data", str(path.parent)])


def repairing(path: Path) -> Path:
    """The new store while a repair makes it. As long as it is there, the old one is not to be opened."""
    return path.with_name(f"{path.name}.repairing")


def require_unrepaired(path: Path) -> None:
    """
    Raises:
        WorkerError: A repair of the store was cut off.
    """
    if repairing(path).exists():
        raise WorkerError(
            f"A repair of the job store {path} did not come to its end. Nothing is lost. Repeat it: `{remedy(path)}`.",
            code="store_damaged",
        )


def require_new(folder: DataFolder) -> None:
    """To be asked before an empty file becomes a store: was there none before?

    Raises:
        WorkerError: There are files of jobs, so the store has been lost.
    """
    known = folder.jobs_on_disk()
    if known:
        path = folder.database
        raise WorkerError(
            f"The job store {path} is gone or empty, but the jobs folder holds the files of {len(known)} jobs. Put the "
            f"file back if you have it; otherwise `{remedy(path)}` takes the newest backup, or begins a new store. "
            "Audio in the jobs folder is not touched.",
            code="store_lost",
        )

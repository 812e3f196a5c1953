"""The SQLite file: connections, named queries, write transactions, checks and checkpoints. Knows no job.

One file, WAL, ``synchronous=FULL``: what was committed survives a power cut. Every write is one ``BEGIN IMMEDIATE``
transaction, because a read that turns into a write fails with SQLITE_BUSY_SNAPSHOT, which no busy timeout cures.
"""

from __future__ import annotations

import errno
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from longtake.core.errors import DiskFullError, InvariantError, TransientError, WorkerError
from longtake.core.failpoints import reach
from longtake.jobs.contents import find_fault
from longtake.jobs.damage import ROW_ERRORS, damage_error, is_damage, require_unrepaired
from longtake.jobs.schema import is_of_schema, migrate

BUSY_TIMEOUT_S = 10.0
CHECKPOINT_TIMEOUT_S = 1.0
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_MISSING = re.compile(r"(?:no such (?:table|column): |has no column named )(?:\w+\.)?(\w+)$")


@cache
def queries() -> dict[str, str]:
    """Name → SQL, from every file in ``sql/``."""
    found: dict[str, str] = {}
    for file in sorted(resources.files(__package__).joinpath("sql").iterdir(), key=lambda f: f.name):
        _, *parts = _NAME.split(file.read_text(encoding="utf-8"))
        for name, sql in zip(parts[::2], parts[1::2], strict=True):
            if name in found:
                raise InvariantError(f"The query {name} is defined twice.")
            found[name] = sql.strip().rstrip(";")
    return found


class _Connection(sqlite3.Connection):
    """A connection that says when it is in use; `busy` is its own thread's but for the moment of closing."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.busy = threading.RLock()


class Database:
    """One data file, one connection a thread.

    Safe to use from many threads and many processes; a transaction belongs to the thread that began it.
    """

    def __init__(
        self,
        path: Path,
        *,
        when_full: Callable[[], None] = lambda: None,
        when_new: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            when_full: Called when the disk is full, to make room for the next try. This one fails all the same.
            when_new: Called when there is no store yet, before one is made; may refuse with an error.

        Raises:
            ConflictError: A newer longtake wrote it.
            WorkerError: It cannot be read, or is damaged.
            DiskFullError: It is of an older schema, and there is no room for the backup before it changes.
        """
        self._path = path
        self._when_full = when_full
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[_Connection] = []
        self._is_closed = False
        require_unrepaired(path)
        try:
            with self._errors():
                migrate(self._connection(), path, when_new=when_new)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections of all threads, each when its running query has ended; later queries are refused."""
        self._is_closed = True
        with self._lock:
            for connection in self._connections:
                with connection.busy:  # a connection that is closed in the middle of a query takes the process along
                    connection.close()
            self._connections.clear()

    def rows(self, name: str, **values: Any) -> list[sqlite3.Row]:
        """All rows of the named query."""
        with self._using() as connection:
            return connection.execute(queries()[name], values).fetchall()

    def row(self, name: str, **values: Any) -> sqlite3.Row | None:
        """The first row of the named query, or None."""
        found = self.rows(name, **values)
        return found[0] if found else None

    def execute(self, name: str, **values: Any) -> int:
        """Run the named statement; gives the number of rows it changed."""
        with self._using() as connection:
            return connection.execute(queries()[name], values).rowcount

    def execute_many(self, name: str, values: list[dict[str, Any]]) -> None:
        with self._using() as connection:
            connection.executemany(queries()[name], values)

    @contextmanager
    def read(self) -> Iterator[None]:
        """One read transaction: every query in the block sees the same state."""
        with self._using() as connection:
            connection.execute("BEGIN")
        try:
            yield
        finally:
            self._roll_back()

    @contextmanager
    def write(self, what: str = "other") -> Iterator[None]:
        """One write transaction: all of it is durable when the block ends, or none of it ever was.

        Args:
            what: Names its fail-points.
        """
        with self._using() as connection:
            connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._reach(f"{what}-written")
            with self._using() as connection:
                connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        self._reach(f"{what}-committed")

    def _reach(self, point: str) -> None:
        """As SQLite itself would tell what happens there."""
        with self._errors():
            try:
                reach(point)
            except OSError as error:
                text = "database or disk is full" if error.errno == errno.ENOSPC else "disk I/O error"
                raise sqlite3.OperationalError(text) from error

    def data_version(self) -> int:
        """A number that changes when another connection has committed: the cheap way to see news."""
        with self._using() as connection:
            version: int = connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    def wal_bytes(self) -> int:
        """Size of the write-ahead log."""
        wal = self._path.with_name(self._path.name + "-wal")
        return wal.stat().st_size if wal.exists() else 0

    def check(self, *, is_thorough: bool = False) -> None:
        """Read the whole store: some milliseconds for a small one (`find_damage` has figures).

        Raises:
            WorkerError: It is damaged; the message has the remedy.
        """
        with self._using() as connection:
            found = find_fault(connection, is_thorough=is_thorough)
        if found is not None:
            raise damage_error(self._path, found)

    def checkpoint(self, *, truncate: bool) -> bool:
        """Bring the write-ahead log into the database; gives whether all of it is there now.

        Args:
            truncate: Also begin the log anew, in an empty file. Otherwise a log that some reader always looks at is
                appended to for ever: SQLite begins anew only at a moment without readers. This one makes the moment:
                writers wait, so that readers who come find all in the database and leave the log alone, and those that
                use it are waited for, a second at most. One that stays longer is met again at the next try.
        """
        with self._errors(), closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            # A connection of its own, for it must not wait as long as a transaction may.
            connection.execute(f"PRAGMA busy_timeout = {round(CHECKPOINT_TIMEOUT_S * 1000)}")
            mode = "TRUNCATE" if truncate else "PASSIVE"
            is_busy, frames, copied = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        return not is_busy and frames == copied

    @contextmanager
    def _using(self) -> Iterator[_Connection]:
        """This thread's connection, kept open for the length of the block."""
        with self._errors():
            connection = self._connection()
            with connection.busy:
                yield connection

    def _roll_back(self) -> None:
        if not self._is_closed:  # closing has done it
            with self._using() as connection:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _connection(self) -> _Connection:
        if self._is_closed:
            raise InvariantError(f"The job store {self._path} is closed.")
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            # Autocommit: transactions are begun by `write` alone. close() may run in another thread than use did.
            connection = sqlite3.connect(
                self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, factory=_Connection
            )
            connection.row_factory = sqlite3.Row
            try:
                for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                    connection.execute(f"PRAGMA {pragma}")
            except BaseException:
                connection.close()
                raise
            self._local.connection = connection
            with self._lock:
                self._connections.append(connection)
        return connection

    @contextmanager
    def parsing(self) -> Iterator[None]:
        """For making records of rows, and nothing else.

        Raises:
            StoreDamagedError: A row holds what no longtake wrote.
        """
        try:
            yield
        except ROW_ERRORS as error:
            raise damage_error(self._path, f"a row makes no sense: {error}") from error

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            text = str(error)
            missing = _MISSING.search(text)
            if is_damage(error) or (missing and is_of_schema(missing[1])):  # else it is our SQL that is wrong
                raise damage_error(self._path, text) from error
            if "full" in text:
                self._when_full()
                raise DiskFullError(
                    f"No room for the job store {self._path}: {text}. Free some space; nothing was lost."
                ) from error
            if "locked" in text or "busy" in text:
                raise TransientError(
                    f"The job store {self._path} was busy for {BUSY_TIMEOUT_S:.0f} s. Try again.", retry_after_s=1.0
                ) from error
            if "disk I/O" in text or "readonly" in text or "unable to open" in text:
                raise WorkerError(
                    f"The job store {self._path} cannot be read or written: {text}. See to it that "
                    f"{self._path.parent} and what lies in it are yours to write, or name another folder with --data."
                ) from error
            raise
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            raise damage_error(self._path, str(error)) from error

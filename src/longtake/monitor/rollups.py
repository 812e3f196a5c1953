"""Thirty days of running, minute by minute, in a SQLite file of their own. Losing it loses curves, and nothing else.

One row a minute, with lowest, mean and highest of every series packed into it: a row of each series would write sixty
pages a minute where this writes one or two (ADR 23). A file that is damaged is set aside, and a full disk costs the
minutes that it lasts.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from longtake.monitor.series import Band, mean_of

log = logging.getLogger(__name__)

KEEP_MINUTES = 30 * 24 * 60
MINUTE_S = 60
VERSION = 1  # of the file: its tables, and how a minute is packed
_PRUNE_EVERY = 60  # minutes written
_PACKED = np.dtype([("id", "<u2"), ("low", "<f4"), ("mean", "<f4"), ("high", "<f4")])

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS minutes (minute INTEGER PRIMARY KEY, packed BLOB NOT NULL);
"""


class Rollups:
    """Safe from any thread. No method raises for what the disk does: it is told in the log, once."""

    def __init__(self, path: Path, *, only_reads: bool = False) -> None:
        """
        Args:
            only_reads: Nothing is made, and a damaged file stays where it is: it is somebody else's to mend.
        """
        self._path = path
        self._only_reads = only_reads
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._ids: dict[str, int] = {}
        self._written = 0
        self._is_told = False

    def add(self, minute: int, bands: Mapping[str, tuple[float, float, float]]) -> bool:
        """Keep one minute; whether it is kept.

        Args:
            minute: Minutes since the epoch.
            bands: Name → lowest, mean and highest.
        """
        with self._lock:
            try:
                self._add(minute, bands)
            except sqlite3.Error as error:
                self._fail(error)
                return False
            self._is_told = False
            return True

    def names(self) -> list[str]:
        """All that were ever seen within the time that is kept."""
        with self._lock:
            try:
                self._open()
                return sorted(self._ids)
            except sqlite3.Error as error:
                self._fail(error)
                return []

    def bands(self, names: Iterable[str], *, until: int, steps: int, step_minutes: int) -> dict[str, Band]:
        """The last ``steps`` steps of so many minutes each; the last one ends with the minute ``until``."""
        since = until - steps * step_minutes + 1
        wanted = list(names)
        with self._lock:
            try:
                db = self._open()
                rows = db.execute(
                    "SELECT minute, packed FROM minutes WHERE minute BETWEEN ? AND ?", (since, until)
                ).fetchall()
            except sqlite3.Error as error:
                self._fail(error)
                return {}
            ids = {self._ids[name]: name for name in wanted if name in self._ids}
        return _gather(rows, ids, since, steps, step_minutes)

    def close(self) -> None:
        with self._lock:
            self._close()

    # With the lock

    def _add(self, minute: int, bands: Mapping[str, tuple[float, float, float]]) -> None:
        db = self._open()
        with db:
            for name in bands.keys() - self._ids.keys():
                cursor = db.execute("INSERT INTO series (name) VALUES (?)", (name,))
                self._ids[name] = int(cursor.lastrowid or 0)
            packed = np.array([(self._ids[name], *band) for name, band in bands.items()], _PACKED)
            db.execute("INSERT OR REPLACE INTO minutes VALUES (?, ?)", (minute, zlib.compress(packed.tobytes(), 1)))
            if self._written % _PRUNE_EVERY == 0:
                # By their number: a clock that is far ahead for a moment takes nothing away. The farthest from now go
                # first: what was kept under a clock that has been put right does not stand before what is new.
                db.execute(
                    "DELETE FROM minutes WHERE minute IN "
                    "(SELECT minute FROM minutes ORDER BY abs(minute - ?) LIMIT -1 OFFSET ?)",
                    (minute, KEEP_MINUTES),
                )
            self._written += 1

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            # SQLite is told to only read by an address.
            place = f"{self._path.absolute().as_uri()}?mode=ro" if self._only_reads else self._path
            db = sqlite3.connect(place, timeout=1.0, check_same_thread=False, uri=self._only_reads)
            self._db = db
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise sqlite3.OperationalError(f"a newer longtake wrote them (version {version}, known here {VERSION})")
            if not self._only_reads:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")
                db.execute("PRAGMA journal_size_limit = 1048576")
                db.executescript(f"{_SCHEMA} PRAGMA user_version = {VERSION};")
            self._ids = {name: number for number, name in db.execute("SELECT id, name FROM series")}
        return self._db

    def _close(self) -> None:
        db, self._db = self._db, None
        self._ids = {}
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()

    def _fail(self, error: sqlite3.Error) -> None:
        """What a full disk or a lock hinders goes on later; what is damaged is set aside, and begun anew."""
        self._tell(error)
        self._close()
        if not self._only_reads and not isinstance(error, sqlite3.OperationalError):
            aside = self._path.with_name(f"{self._path.name}.damaged")
            with suppress(OSError):
                self._path.replace(aside)
                for rest in ("-wal", "-shm"):
                    self._path.with_name(self._path.name + rest).unlink(missing_ok=True)
                log.warning("the curves of the last days are set aside as %s, new ones are begun", aside.name)

    def _tell(self, error: Exception) -> None:
        if not self._is_told:
            self._is_told = True
            log.warning("the curves of the last days cannot be kept or read now: %s", error)


def _gather(
    rows: list[tuple[int, bytes]], ids: Mapping[int, str], since: int, steps: int, step_minutes: int
) -> dict[str, Band]:
    """Steps out of minutes: the lowest of the lows, the mean of the means, the highest of the highs."""
    place = {number: row for row, number in enumerate(ids)}
    table = np.full((3, len(ids), steps * step_minutes), np.nan, np.float32)
    for minute, blob in rows:
        try:
            packed = np.frombuffer(zlib.decompress(blob), _PACKED)
        except (zlib.error, ValueError):  # SQLite checks its own pages, and not what is in a row
            continue
        packed = packed[np.isin(packed["id"], list(place))]
        found = [place[int(number)] for number in packed["id"]]
        for part, name in enumerate(("low", "mean", "high")):
            table[part, found, minute - since] = packed[name]
    bands = {}
    for number, name in ids.items():
        low, mean, high = table[:, place[number]].reshape(3, steps, step_minutes)
        if not np.isnan(mean).all():
            bands[name] = Band(np.fmin.reduce(low, axis=1), mean_of(mean), np.fmax.reduce(high, axis=1))
    return bands

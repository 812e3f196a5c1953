"""Frees what nobody needs in the data folder: half-written files of killed processes, the store's log, the cache.

No job loses anything by it: what a job needs bears another name, and what is written just now is younger.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from longtake.cache import PassageCache
from longtake.core.disk import Cleaned
from longtake.jobs.database import Database
from longtake.jobs.folder import DataFolder

STALE_S = 600.0  # nothing that is written under a passing name takes nearly as long
PASSING = (".tmp", ".new")


def clean(folder: DataFolder, db: Database, cache: PassageCache, *, with_cache: bool) -> Cleaned:
    """
    Args:
        with_cache: Also forget the passages that were spoken before.
    """
    free_before = folder.free_bytes()
    files, temporary_bytes = _remove(_stale(folder))
    log_before = db.wal_bytes()
    db.checkpoint(truncate=True)
    log_bytes = max(0, log_before - db.wal_bytes())
    cache_bytes = cache.clear().used_bytes if with_cache else 0
    return Cleaned(files, temporary_bytes, log_bytes, cache_bytes, free_before, folder.free_bytes())


def _stale(folder: DataFolder) -> Iterator[Path]:
    before_s = time.time() - STALE_S
    for place, _, names in os.walk(folder.root):
        for name in names:
            path = Path(place, name)
            with suppress(OSError):  # it has just got its name
                if path.suffix in PASSING and path.lstat().st_mtime < before_s:
                    yield path


def _remove(paths: Iterator[Path]) -> tuple[int, int]:
    files = total_bytes = 0
    for path in paths:
        with suppress(OSError):
            size_bytes = path.lstat().st_size
            path.unlink()
            files, total_bytes = files + 1, total_bytes + size_bytes
    return files, total_bytes

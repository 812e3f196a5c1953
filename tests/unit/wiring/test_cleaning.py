from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from longtake.cache import Entry, PassageCache
from longtake.jobs.database import Database
from longtake.jobs.folder import DataFolder
from longtake.jobs.store import JobStore
from longtake.wiring.cleaning import STALE_S, clean
from tests.support.jobs import planned, spec


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data", floor_bytes=0)


@pytest.fixture
def db(folder: DataFolder) -> Iterator[Database]:
    db = Database(folder.database)
    yield db
    db.close()


@pytest.fixture
def cache(folder: DataFolder) -> PassageCache:
    return PassageCache(folder.cache, bound_bytes=1 << 20)


def put(path: Path, size: int, age_s: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_only_what_is_half_written_and_old_goes(folder: DataFolder, db: Database, cache: PassageCache) -> None:
    old = STALE_S + 60
    gone = [
        put(folder.passages("j") / "000001.0000-1.pcm.tmp", 1000, old),
        put(folder.run / "espeak-1.new", 20, old),
        put(folder.cache / "ab" / "x.tmp", 300, old),
    ]
    kept = [
        put(folder.passages("j") / "000001.0001-1.pcm.tmp", 1000, STALE_S / 2),
        put(folder.passages("j") / "000001.0000-1.pcm", 1000, old),
        put(folder.job("j") / "part-1.mp3", 1000, old),
    ]
    cleaned = clean(folder, db, cache, with_cache=False)
    assert (cleaned.files, cleaned.temporary_bytes) == (3, 1320)
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in kept)


def test_the_log_of_the_store_is_given_back(folder: DataFolder, db: Database, cache: PassageCache) -> None:
    store = JobStore(db)
    for _ in range(20):
        store.submit(spec(), "x" * 10_000, planned(3))
    log_bytes = db.wal_bytes()
    assert log_bytes > 0
    cleaned = clean(folder, db, cache, with_cache=False)
    assert (cleaned.log_bytes, db.wal_bytes()) == (log_bytes, 0)
    assert cleaned.given_back_bytes == log_bytes
    assert len(store.jobs()) == 20


def test_the_cache_only_when_it_is_asked_for(folder: DataFolder, db: Database, cache: PassageCache) -> None:
    cache.put("ab" * 32, Entry(np.zeros(1000, np.int16), ()))
    used = cache.usage().used_bytes
    assert clean(folder, db, cache, with_cache=False).cache_bytes == 0
    assert cache.usage().used_bytes == used
    assert clean(folder, db, cache, with_cache=True).cache_bytes == used
    assert cache.usage().entries == 0

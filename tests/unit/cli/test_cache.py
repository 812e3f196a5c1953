"""``cache``: what it tells, and that it forgets all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from longtake.cache import Entry, PassageCache, passage_key
from longtake.core.records import Line, Passage
from longtake.doctor import disk, service
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from tests.unit.cli.conftest import Run


@pytest.fixture
def cache(home: Path) -> PassageCache:
    return PassageCache(home.parent / "data" / "cache", bound_bytes=1 << 20)


@pytest.fixture
def desk(home: Path) -> Iterator[WorkerDesk]:
    (home.parent / "data").mkdir()
    db = Database(home.parent / "data" / "jobs.db")
    yield WorkerDesk(db, "w1", "espeak", 1)
    db.close()


def put(cache: PassageCache, *texts: str) -> None:
    for text in texts:
        passage = Passage(0, (Line(1, text, "en"),), 0.0)
        key = passage_key(passage, engine="espeak", revision="1", voices={}, speed=1.0, settings={}, seed=None)
        cache.put(key, Entry(np.zeros(1000, np.int16), ()))


def test_an_empty_cache_is_shown_and_cleared(run: Run, cache: PassageCache) -> None:
    told = json.loads(run("cache", "show", "--json").stdout)
    assert told == {
        "folder": str(cache.folder),
        "entries": 0,
        "used_bytes": 0,
        "bound_bytes": 1 << 30,
        "engines": {},
    }
    assert json.loads(run("cache", "clear", "--json").stdout) == {"entries": 0, "freed_bytes": 0}


def test_show_tells_sizes_and_how_often_it_was_of_use(run: Run, cache: PassageCache, desk: WorkerDesk) -> None:
    put(cache, "one", "two")
    desk.heartbeat(state="ready", steps=1, active=0, cache_hits=3, cache_misses=1)
    used = cache.usage().used_bytes
    told = json.loads(run("cache", "show", "--json").stdout)
    assert (told["entries"], told["used_bytes"]) == (2, used)
    assert told["engines"] == {"espeak": {"hits": 3, "misses": 1, "hit_ratio": 0.75}}
    lines = run("cache", "show").stdout.splitlines()
    assert lines[0].endswith(": 2 passages, 4.0 KiB of at most 1.0 GiB")
    assert lines[1] == "espeak: 3 of 4 passages were found in it (75%)"


def test_show_tells_that_it_is_switched_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAKE_WORKER__CACHE_MIB", "0")
    assert "nothing: worker.cache_mib is 0" in run("cache", "show").stdout
    assert json.loads(run("cache", "show", "--json").stdout)["bound_bytes"] == 0


def test_clear_forgets_every_passage_and_no_count(run: Run, cache: PassageCache, desk: WorkerDesk) -> None:
    put(cache, "one", "two", "three")
    desk.heartbeat(state="ready", steps=1, active=0, cache_hits=3, cache_misses=1)
    assert run("cache", "clear").stdout.startswith("3 passages are forgotten, 6.")
    assert not list(cache.folder.rglob("*.pcm"))
    told = json.loads(run("cache", "show", "--json").stdout)
    assert (told["entries"], told["engines"]["espeak"]["hits"]) == (0, 3)


def test_doctor_counts_its_room_as_free_and_leaves_it_alone(
    run: Run, cache: PassageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cache, "one", "two")
    used = cache.usage().used_bytes
    floor = 16 << 20
    monkeypatch.setattr(service, "speak", lambda engine, settings: f"{engine} spoke")
    for missing, is_ok in ((used, True), (used + 1, False)):
        free = disk.ROOMY_BYTES + floor - missing
        monkeypatch.setattr(DataFolder, "free_bytes", lambda self, free=free: free)
        checks = json.loads(run("doctor", "--json", code=0 if is_ok else 4).stdout)
        assert [check["is_ok"] for check in checks if check["name"] == "data folder"] == [is_ok]
        if is_ok:
            assert cache.usage().used_bytes == used


def test_another_data_folder_has_another_cache(run: Run, cache: PassageCache, home: Path) -> None:
    put(cache, "one")
    (home / "other").mkdir()
    assert json.loads(run("cache", "clear", "--data", home / "other", "--json").stdout)["entries"] == 0
    assert cache.usage().entries == 1

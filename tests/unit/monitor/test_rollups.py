from __future__ import annotations

import math
import random
import sqlite3
import time
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from longtake.monitor import rollups as module
from longtake.monitor.rollups import KEEP_MINUTES, VERSION, Rollups

DAY = 24 * 60


def known(values: np.ndarray) -> list[float | None]:
    return [None if math.isnan(value) else float(value) for value in values]


def test_minutes_come_back_after_a_restart(tmp_path: Path) -> None:
    first = Rollups(tmp_path / "monitor.db")
    assert first.add(1000, {"a": (1, 2, 3), "b:0": (4, 5, 6)})
    assert first.add(1002, {"a": (2, 3, 4), "c": (7, 7, 7)})
    first.close()
    rollups = Rollups(tmp_path / "monitor.db")
    assert rollups.names() == ["a", "b:0", "c"]
    found = rollups.bands(["a", "c", "nobody"], until=1002, steps=4, step_minutes=1)
    assert known(found["a"].low) == [None, 1, None, 2]
    assert known(found["a"].mean) == [None, 2, None, 3]
    assert known(found["a"].high) == [None, 3, None, 4]
    assert known(found["c"].mean) == [None, None, None, 7]
    assert list(found) == ["a", "c"]
    rollups.close()


def test_longer_steps_have_the_lowest_low_and_the_highest_high(tmp_path: Path) -> None:
    rollups = Rollups(tmp_path / "monitor.db")
    for minute in range(10):
        rollups.add(minute, {"a": (minute - 1, minute, minute + 1)})
    band = rollups.bands(["a"], until=9, steps=2, step_minutes=5)["a"]
    assert (known(band.low), known(band.mean), known(band.high)) == ([-1, 4], [2, 7], [5, 10])
    rollups.close()


def kept(path: Path) -> tuple[int, int, int]:
    """The first minute, the last one, and how many."""
    with closing(sqlite3.connect(path)) as db:
        found: tuple[int, int, int] = db.execute("SELECT min(minute), max(minute), count(*) FROM minutes").fetchone()
        return found


def test_what_is_more_than_thirty_days_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_MINUTES", 144)
    rollups = Rollups(tmp_path / "monitor.db")
    for minute in (*range(100), *range(1000, 1141)):
        rollups.add(minute, {"a": (2, 2, 2)})
    rollups.close()
    assert kept(tmp_path / "monitor.db") == (97, 1140, 144), "looked at with the 241st"


def test_a_clock_that_is_far_ahead_takes_nothing_away(tmp_path: Path) -> None:
    rollups = Rollups(tmp_path / "monitor.db")
    for minute in range(60):
        rollups.add(minute, {"a": (2, 2, 2)})
    rollups.add(100 * 365 * DAY, {"a": (2, 2, 2)})
    rollups.close()
    assert kept(tmp_path / "monitor.db") == (0, 100 * 365 * DAY, 61)


def test_under_a_clock_that_was_put_right_curves_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written in a year that is to come goes first, or nothing new would stay until then."""
    monkeypatch.setattr(module, "KEEP_MINUTES", 144)
    rollups = Rollups(tmp_path / "monitor.db")
    for minute in (*range(365 * DAY, 365 * DAY + 200), *range(1000, 1041)):
        rollups.add(minute, {"a": (2, 2, 2)})
    rollups.close()
    assert kept(tmp_path / "monitor.db") == (1000, 365 * DAY + 139, 144), "the nearest"


def random_values() -> dict[str, tuple[float, float, float]]:
    """What cannot be packed any smaller."""
    return {f"series_{number}": (random.random(), random.random(), random.random()) for number in range(60)}


def test_a_minute_writes_little(tmp_path: Path) -> None:
    rollups = Rollups(tmp_path / "monitor.db")
    rollups.add(0, random_values())
    wal = tmp_path / "monitor.db-wal"
    before = wal.stat().st_size
    for minute in range(1, 61):
        rollups.add(minute, random_values())
    assert (wal.stat().st_size - before) / 60 < 9000, "two pages a minute: 12 MiB a day"
    rollups.close()
    assert (tmp_path / "monitor.db").stat().st_size / 61 * KEEP_MINUTES < 60 << 20, "what thirty days take"


def test_a_day_is_read_quickly(tmp_path: Path) -> None:
    rollups = Rollups(tmp_path / "monitor.db")
    values = {f"series_{number}": (1.0, 2.0, 3.0) for number in range(60)}
    for minute in range(DAY):
        rollups.add(minute, values)
    began_s = time.perf_counter()
    found = rollups.bands(list(values), until=DAY - 1, steps=288, step_minutes=5)
    assert time.perf_counter() - began_s < 2
    assert len(found) == 60
    rollups.close()


@pytest.mark.parametrize("damage", [b"this is no database, it is a letter" * 100, b""])
def test_a_damaged_file_is_set_aside_and_new_ones_are_kept(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "monitor.db"
    path.write_bytes(damage)
    rollups = Rollups(path)
    kept = [rollups.add(minute, {"a": (1, 1, 1)}) for minute in range(3)]
    assert kept[1:] == [True, True]
    assert rollups.names() == ["a"]
    if damage:
        assert (tmp_path / "monitor.db.damaged").read_bytes() == damage
        assert "set aside as monitor.db.damaged" in caplog.text
    rollups.close()


def test_a_file_that_is_cut_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    rollups = Rollups(path)
    for minute in range(500):
        rollups.add(minute, {f"series_{number}": (1, 2, 3) for number in range(50)})
    rollups.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    rollups = Rollups(path)
    rollups.bands(["series_0"], until=499, steps=500, step_minutes=1)
    kept = [rollups.add(minute, {"a": (1, 1, 1)}) for minute in range(500, 503)]
    assert kept[-1]
    rollups.close()


def test_a_minute_that_cannot_be_unpacked_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    rollups = Rollups(path)
    for minute in range(4):
        rollups.add(minute, {"a": (minute, minute, minute)})
    with sqlite3.connect(path) as db:
        db.execute("UPDATE minutes SET packed = x'deadbeef' WHERE minute = 1")
        db.execute("UPDATE minutes SET packed = ? WHERE minute = 2", (zlib.compress(b"seven"),))
    db.close()
    assert known(rollups.bands(["a"], until=3, steps=4, step_minutes=1)["a"].mean) == [0, None, None, 3]
    rollups.close()


def test_what_a_newer_version_wrote_is_neither_read_nor_touched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "monitor.db"
    first = Rollups(path)
    first.add(0, {"a": (1, 1, 1)})
    first.close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    before = path.read_bytes()
    rollups = Rollups(path)
    assert not rollups.add(1, {"a": (1, 1, 1)})
    assert rollups.bands(["a"], until=1, steps=2, step_minutes=1) == {}
    rollups.close()
    assert "a newer longtake wrote them" in caplog.text
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["monitor.db"]


def test_who_only_reads_sees_what_another_writes_and_mends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a folder?mode=rw" / "monitor.db"
    path.parent.mkdir()
    reader = Rollups(path, only_reads=True)
    assert reader.names() == []
    assert not path.exists()
    writer = Rollups(path)
    writer.add(0, {"a": (1, 1, 1)})
    assert reader.names() == ["a"]
    writer.close()
    reader.close()
    reader = Rollups(path, only_reads=True)
    assert list(reader.bands(["a"], until=0, steps=1, step_minutes=1)) == ["a"], "nobody has it open"
    reader.close()
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"this is no database, it is a letter" * 100)
    reader = Rollups(damaged, only_reads=True)
    assert reader.names() == []
    reader.close()
    assert {file.name for file in tmp_path.iterdir()} == {path.parent.name, damaged.name}


def test_a_disk_that_refuses_costs_the_minutes_that_it_lasts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "not there yet"
    rollups = Rollups(folder / "monitor.db")
    assert [rollups.add(minute, {"a": (1, 1, 1)}) for minute in range(3)] == [False] * 3
    assert rollups.bands(["a"], until=3, steps=3, step_minutes=1) == {}
    assert caplog.text.count("cannot be kept or read now") == 1, "told once"
    folder.mkdir()
    assert rollups.add(3, {"a": (1, 1, 1)})
    assert rollups.names() == ["a"]
    rollups.close()


def test_a_full_disk_damages_nothing(tmp_path: Path) -> None:
    rollups = Rollups(tmp_path / "monitor.db")
    values = {f"series_{number}": (1.0, 2.0, 3.0) for number in range(60)}
    rollups.add(0, values)
    assert rollups._db is not None
    pages = rollups._db.execute("PRAGMA page_count").fetchone()[0]
    rollups._db.execute(f"PRAGMA max_page_count = {pages + 3}")
    kept = [rollups.add(minute, random_values()) for minute in range(1, 40)]
    assert False in kept, "database or disk is full"
    assert kept[-1], "a new connection has room again"
    assert not (tmp_path / "monitor.db.damaged").exists()
    rollups.close()

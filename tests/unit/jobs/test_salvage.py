"""A damaged page costs the rows on it, and no others."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from longtake.jobs import salvage as salvage_module
from longtake.jobs.database import Database
from longtake.jobs.salvage import salvage
from tests.support.stores import overwrite_pages, pages_of

ROWS = 300
INSERT = """INSERT INTO jobs (id, number, kind, priority, engine, state, spec, script, out_subtitles, created_at,
    passages_total, remaining_s)
    VALUES (:id, :number, 'job', 0, 'espeak', 'queued', '{}', :script, '[]', 1.0, 1, 2.0)"""


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """300 jobs, some four to a page; pages 20 and 50 of their 75 or so are rubbish."""
    path = tmp_path / "damaged.db"
    Database(path).close()
    with closing(sqlite3.connect(path)) as plain:
        plain.executemany(INSERT, [{"id": f"job_{n:03}", "number": n, "script": "x" * 900} for n in range(ROWS)])
        plain.commit()
    pages = pages_of(path, "jobs")
    if len(pages) < 60:
        pytest.skip("this SQLite cannot say where its pages are")
    overwrite_pages(path, [pages[20], pages[50]])
    return path


def saved(damaged: Path) -> tuple[list[int], bool]:
    fresh = damaged.with_name("fresh.db")
    Database(fresh).close()
    with closing(sqlite3.connect(damaged)) as source, closing(sqlite3.connect(fresh)) as target:
        is_whole = salvage(source, target)
        return [row[0] for row in target.execute("SELECT number FROM jobs ORDER BY rowid")], is_whole


def test_rows_before_between_and_behind_the_damage_are_saved(damaged: Path) -> None:
    numbers, is_whole = saved(damaged)
    assert not is_whole
    lost = sorted(set(range(ROWS)) - set(numbers))
    assert len(lost) <= 10
    assert len([number for number, after in pairwise(lost) if after > number + 1]) == 1, "two gaps"
    assert numbers == sorted(numbers), "in their order"


def test_the_end_is_found_from_the_end(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows are lost in between: they are not counted through."""
    monkeypatch.setattr(salvage_module, "_FURTHEST_JOB", 3)
    numbers, _ = saved(damaged)
    assert numbers[-1] == ROWS - 1


def test_a_whole_table_is_known_to_be_whole(tmp_path: Path) -> None:
    Database(tmp_path / "empty.db").close()
    assert saved(tmp_path / "empty.db") == ([], True)


def test_what_the_new_tables_refuse_is_left_out(damaged: Path, tmp_path: Path) -> None:
    path = tmp_path / "loose.db"
    Database(path).close()
    with closing(sqlite3.connect(path)) as plain:
        sql = plain.execute("SELECT sql FROM sqlite_schema WHERE name = 'jobs'").fetchone()[0]
        plain.execute("DROP TABLE jobs")
        plain.execute(sql.replace("STRICT", "").replace("UNIQUE", "").replace("INTEGER", "ANY"))
        values = [("job_1", 1), ("job_2", "many"), ("job_3", 1), ("job_4", 4)]
        plain.executemany(INSERT, [{"id": job_id, "number": number, "script": "x"} for job_id, number in values])
        plain.commit()
    assert saved(path) == ([1, 4], True)

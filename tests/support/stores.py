"""Job stores with something in them, and stores that are really damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.schema import migrations
from longtake.jobs.store import JobStore
from tests.support.jobs import planned, spec, spoken

PASSAGES = 40


def fill_store(root: Path, jobs: int = 12) -> DataFolder:
    """A data folder with `jobs` done, one that is half spoken and released, and one that waits; all in one file.

    Scripts are long enough that every job has pages of its own. Done jobs have their audio.
    """
    folder = DataFolder(root, floor_bytes=0)
    db = Database(folder.database)
    store, desk = JobStore(db), WorkerDesk(db, "w1", "espeak", 1)
    for number in range(jobs + 2):
        job, _ = store.submit(
            spec(title=f"Job {number}"),
            f"Script {number}. " * 800,
            planned(PASSAGES),
            idempotency=(f"key-{number}", "x"),
        )
        if number > jobs:
            break
        claim = desk.claim()
        assert claim is not None
        half = number == jobs
        desk.commit(claim, [spoken(index) for index in range(PASSAGES // 2 if half else PASSAGES)])
        audio = folder.part(job.id, 1, ".pcm") if half else folder.finished(job.id, 1, ".pcm")
        audio.parent.mkdir()
        audio.write_bytes(f"the audio of job {number}".encode())
        if half:
            desk.release(claim)
        else:
            desk.finish(claim, audio.name, audio.stat().st_size)
    db.close()
    assert not folder.database.with_name("jobs.db-wal").exists(), "all is in the one file"
    return folder


def audio_of(folder: DataFolder) -> dict[str, bytes]:
    """All files of jobs: no repair touches them."""
    return {
        path.relative_to(folder.root).as_posix(): path.read_bytes()
        for path in (folder.root / "jobs").rglob("*")
        if path.is_file()
    }


def pages_of(path: Path, table: str) -> list[int]:
    """Numbers of the leaf pages of a table, from 1."""
    with closing(sqlite3.connect(path)) as plain:
        try:
            rows = plain.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,)).fetchall()
        except sqlite3.OperationalError:  # a SQLite that was made without it
            return []
    return [row[0] for row in rows]


def overwrite_pages(path: Path, pages: list[int]) -> None:
    """As a disk does that dies: whole pages of rubbish in the middle of the file."""
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * 4096)
            file.write(bytes([0xA5]) * 4096)


def make_schema_1(path: Path) -> str:
    """A store as the first longtake made it, with a job that waits; gives the job's id."""
    with closing(sqlite3.connect(path, isolation_level=None)) as plain:
        plain.executescript(migrations()[0])
        plain.execute("PRAGMA user_version = 1")
        plain.execute("PRAGMA journal_mode = WAL")
        plain.execute(
            """INSERT INTO jobs (id, number, kind, priority, engine, state, spec, script, out_subtitles, created_at,
                   passages_total, remaining_s)
               VALUES ('job_old', 1, 'job', 0, 'espeak', 'queued', ?, 'Good evening.', '[]', 1.0, 1, 2.0)""",
            (
                '{"engine":"espeak","model":"espeak","title":"Old","voices":{"1":"en-us"},"labels":{"1":"Speaker 1"},'
                '"response_format":"pcm","loudness":"off","speed":1.0,"seed":0,"settings":{},"trailing_silence_s":0.0}',
            ),
        )
        plain.execute(
            "INSERT INTO passages (job_id, position, lines, silence_before_s, language, units, estimated_s) "
            """VALUES ('job_old', 0, '[[1,"Good evening.","en"]]', 0.0, 'en', 2, 2.0)"""
        )
    return "job_old"

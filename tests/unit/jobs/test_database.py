from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from longtake.core.errors import ConflictError, DiskFullError, WorkerError
from longtake.jobs import database
from longtake.jobs.database import Database, queries
from longtake.jobs.schema import migrations
from tests.support.jobs import planned, spec

SOURCES = Path(__file__).parents[3] / "src" / "longtake" / "jobs"
# These read whole small tables on purpose; `outlive` reads the heads of all jobs, when one is deleted.
SCANS = {
    "workers",
    "forget_workers",
    "keep_counts",
    "cache_counts",
    "count_by_state",
    "insert_job",
    "copy_job",
    "outlive",
}


def test_every_query_is_used() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in SOURCES.glob("*.py"))
    assert [name for name in queries() if f'"{name}"' not in code] == []


def test_every_query_has_an_index(db: Database, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "jobs.db") as plain:
        for name, sql in queries().items():
            values = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
            plan = " | ".join(row[3] for row in plain.execute(f"EXPLAIN QUERY PLAN {sql}", values))
            scanned = re.findall(r"SCAN (?!CONSTANT|sqlite_)\w+\b(?! USING (?:COVERING )?INDEX)", plan)
            assert not scanned or name in SCANS, f"{name}: {plan}"
    plain.close()


def test_what_is_committed_is_durable_and_foreign_keys_hold(db: Database, tmp_path: Path) -> None:
    connection = db._connection()
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_a_failed_transaction_leaves_nothing(db: Database) -> None:
    def write_and_stumble() -> None:
        with db.write():
            db.execute("learn_pace", engine="e", language="en", units=1.0, seconds=1.0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_stumble()
    assert db.rows("paces", engine="e") == []
    with db.write():  # and the connection is free for the next
        db.execute("learn_pace", engine="e", language="en", units=1.0, seconds=1.0)
    assert len(db.rows("paces", engine="e")) == 1


def test_opening_again_migrates_nothing(tmp_path: Path) -> None:
    Database(tmp_path / "a.db").close()
    with sqlite3.connect(tmp_path / "a.db") as plain:
        plain.execute("INSERT INTO paces VALUES ('e', 'en', 1, 1)")
    plain.close()
    again = Database(tmp_path / "a.db")
    assert len(again.rows("paces", engine="e")) == 1
    assert again.row("paces", engine="e") is not None
    again.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    Database(tmp_path / "a.db").close()
    with sqlite3.connect(tmp_path / "a.db") as plain:
        plain.execute(f"PRAGMA user_version = {len(migrations()) + 1}")
    plain.close()
    with pytest.raises(ConflictError, match="newer longtake"):
        Database(tmp_path / "a.db")


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(WorkerError, match="damaged") as caught:
        Database(tmp_path / "a.db")
    assert caught.value.code == "store_damaged"
    assert (tmp_path / "a.db").read_bytes().startswith(b"this is not")


def test_a_full_disk_is_told_as_such(db: Database) -> None:
    db._connection().execute("PRAGMA max_page_count = 40")

    def fill() -> None:
        for number in range(10_000):
            db.execute("learn_pace", engine="e" * 50, language=str(number), units=1.0, seconds=1.0)

    with pytest.raises(DiskFullError, match="nothing was lost"):
        fill()


def test_another_process_sees_a_commit(db: Database, tmp_path: Path) -> None:
    before = db.data_version()
    code = f"import sqlite3; c = sqlite3.connect({str(tmp_path / 'jobs.db')!r}); " + (
        "c.execute(\"INSERT INTO paces VALUES ('e', 'en', 1, 1)\"); c.commit()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert db.data_version() != before
    assert db.wal_bytes() > 0


def test_rows_of_a_deleted_job_go_with_it(db: Database) -> None:
    from longtake.jobs.store import JobStore

    store = JobStore(db)
    job, _ = store.submit(spec(), "text", planned(2), idempotency=("key", "print"))
    store.cancel(job.id)
    store.forget(job.id)
    for table in ("passages", "events", "idempotency", "jobs"):
        assert db._connection().execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0


# The write-ahead log


def write_much(db: Database, rounds: int) -> int:
    """Transactions of some 12 KB each; gives how large the log was at most, in bytes."""
    most = 0
    for number in range(rounds):
        with db.write():
            db.execute("learn_pace", engine="e" * 12_000, language=str(number % 50), units=1.0, seconds=1.0)
        most = max(most, db.wal_bytes())
    return most


@pytest.fixture
def always_read(db: Database, tmp_path: Path) -> Iterator[None]:
    """Two readers, of whom one is always reading: there is no moment at which SQLite would begin the log anew."""
    is_over = threading.Event()
    reading = [threading.Event(), threading.Event()]

    def read(me: int) -> None:
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as plain:
            while not is_over.is_set():
                plain.execute("BEGIN")
                plain.execute("SELECT count(*) FROM paces").fetchone()
                reading[me].set()
                # until the other one has begun, so that the two overlap
                reading[1 - me].wait(1.0)
                reading[1 - me].clear()
                plain.execute("COMMIT")

    threads = [threading.Thread(target=read, args=(me,)) for me in (0, 1)]
    for thread in threads:
        thread.start()
    yield
    is_over.set()
    for event in reading:
        event.set()
    for thread in threads:
        thread.join()


def test_readers_that_follow_each_other_do_not_let_the_log_grow(db: Database, always_read: None) -> None:
    limit = 2 << 20
    most = 0
    for _ in range(20):
        most = max(most, write_much(db, 40))
        if db.wal_bytes() > limit:
            assert db.checkpoint(truncate=True), "readers are waited for"
            assert db.wal_bytes() < limit
    assert limit < most < 4 * limit


def test_a_reader_that_stays_is_waited_for_a_moment_and_met_again(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CHECKPOINT_TIMEOUT_S", 0.05)
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as plain:
        plain.execute("BEGIN")
        plain.execute("SELECT count(*) FROM paces").fetchone()
        write_much(db, 10)
        before = db.wal_bytes()
        assert not db.checkpoint(truncate=True)
        assert db.wal_bytes() >= before > 0
        write_much(db, 1)  # nobody else is kept from writing
        plain.execute("COMMIT")
        assert db.checkpoint(truncate=True)
        assert db.wal_bytes() == 0


def test_a_passive_checkpoint_brings_all_in_and_waits_for_nobody(db: Database, tmp_path: Path) -> None:
    write_much(db, 10)
    assert db.checkpoint(truncate=False)
    assert db.wal_bytes() > 0

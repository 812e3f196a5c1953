"""Stores that are really damaged, and what is saved of them."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from longtake.core.errors import ConflictError, InvariantError, WorkerError
from longtake.delivery import is_bare
from longtake.delivery.border import find_border
from longtake.jobs import repair as repair_module
from longtake.jobs.backups import back_up, delete_store
from longtake.jobs.damage import find_damage, repairing
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job
from longtake.jobs.repair import REASON, Repair, repair_store, set_aside
from longtake.jobs.schema import migrations
from longtake.jobs.states import ENDED, State
from longtake.jobs.store import JobStore
from tests.support.clock import HandClock
from tests.support.jobs import spoken
from tests.support.stores import PASSAGES, audio_of, fill_store, make_schema_1, overwrite_pages, pages_of

JOBS = 14  # 12 done, one half spoken, one waiting


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_store(tmp_path_factory.mktemp("filled")).root


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> DataFolder:
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return DataFolder(tmp_path, floor_bytes=0)


@contextmanager
def opened(folder: DataFolder) -> Iterator[JobStore]:
    db = Database(folder.database)
    try:
        db.check(is_thorough=True)
        yield JobStore(db)
    finally:
        db.close()


def all_of(folder: DataFolder) -> dict[str, tuple[Any, ...]]:
    """Everything that a user can see of every job."""
    with opened(folder) as store:
        return {
            job.id: (job, store.script(job.id), store.passages(job.id), store.events(job.id))
            for job in store.jobs(limit=1000)
        }


def requires_pages(pages: list[int], count: int) -> list[int]:
    if len(pages) < count:
        pytest.skip("this SQLite cannot say where its pages are")
    return pages


def speak_all(folder: DataFolder) -> list[Job]:
    """Let a worker finish whatever waits; the store itself refuses what would have a hole."""
    db = Database(folder.database)
    desk, store, done = WorkerDesk(db, "w2", "espeak", 2), JobStore(db), []
    store.release_all()
    while (claim := desk.claim()) is not None:
        desk.commit(claim, [spoken(p.index, token=9) for p in claim.passages if p.index not in claim.spoken])
        desk.finish(claim, "audio-9.pcm", 1)
        done.append(store.job(claim.job.id))
    db.close()
    return done


def test_a_whole_store_is_left_alone(folder: DataFolder, clock: HandClock) -> None:
    before = folder.database.read_bytes()
    assert repair_store(folder, clock) == Repair(None)
    assert folder.database.read_bytes() == before
    assert set_aside(folder.database) == []


def test_nothing_is_made_where_nothing_was(tmp_path: Path, clock: HandClock) -> None:
    folder = DataFolder(tmp_path)
    assert repair_store(folder, clock) == Repair(None)
    assert not folder.database.exists()


def test_damaged_indexes_cost_nothing(folder: DataFolder, clock: HandClock) -> None:
    before = all_of(folder)
    overwrite_pages(folder.database, requires_pages(pages_of(folder.database, "jobs_queue"), 1))
    done = repair_store(folder, clock)
    assert done.found
    assert (done.jobs, done.paused, done.failed, done.lost) == (JOBS, (), (), ())
    assert all_of(folder) == before


def test_pages_of_passages_cost_the_jobs_they_belong_to(folder: DataFolder, clock: HandClock) -> None:
    before, audio = all_of(folder), audio_of(folder)
    pages = requires_pages(pages_of(folder.database, "passages"), 8)
    overwrite_pages(folder.database, pages[2:4])
    done = repair_store(folder, clock)
    after = all_of(folder)
    assert done.jobs == JOBS, "their rows lie elsewhere"
    same = [job_id for job_id in before if after[job_id] == before[job_id]]
    assert JOBS - 6 <= len(same) < JOBS
    assert audio_of(folder) == audio
    assert done.set_aside is not None
    assert done.set_aside.name == "jobs.db.damaged-20231114T223000Z"
    assert set_aside(folder.database) == [done.set_aside]
    for job in speak_all(folder):
        assert job.passages_done == PASSAGES


def test_pages_of_jobs_cost_these_jobs_and_their_files_are_named(folder: DataFolder, clock: HandClock) -> None:
    before, audio = all_of(folder), audio_of(folder)
    overwrite_pages(folder.database, requires_pages(pages_of(folder.database, "jobs"), 3)[1:2])
    done = repair_store(folder, clock)
    after = all_of(folder)
    assert 0 < len(after) < JOBS, "those before, between and behind the damage are there"
    assert all(after[job_id] == before[job_id] for job_id in after)
    assert done.jobs == len(after)
    assert set(done.lost) == {path.split("/")[1] for path in audio} - after.keys()
    assert audio_of(folder) == audio


def test_a_file_that_was_cut_off_gives_what_is_left(folder: DataFolder, clock: HandClock) -> None:
    audio = audio_of(folder)
    with folder.database.open("r+b") as file:
        file.truncate(folder.database.stat().st_size // 4096 * 4096 * 6 // 10)
    done = repair_store(folder, clock)
    assert done.jobs + len(done.lost) >= JOBS - 1, "the one that waited has no files"
    assert audio_of(folder) == audio
    assert all(job.passages_done == PASSAGES for job in speak_all(folder))


@pytest.mark.parametrize("has_backup", [True, False])
def test_nothing_can_be_read_then_the_newest_backup_is_taken(
    folder: DataFolder, clock: HandClock, has_backup: bool
) -> None:
    before, audio = all_of(folder), audio_of(folder)
    if has_backup:
        back_up(folder.database, 1)
    damaged = bytes(4096) + folder.database.read_bytes()[4096:]
    folder.database.write_bytes(damaged)
    done = repair_store(folder, clock)
    assert done.set_aside is not None
    assert done.set_aside.read_bytes() == damaged
    assert audio_of(folder) == audio
    if not has_backup:
        assert (done.backup, done.jobs, len(done.lost)) == (None, 0, JOBS - 1)
        return
    after = all_of(folder)
    assert done.backup == folder.database.with_name("jobs.db.schema-1.bak")
    assert after.keys() == before.keys()
    unended = [job_id for job_id, (job, *_) in before.items() if job.state not in ENDED]
    assert set(done.paused) == set(unended), "what has become of them since is not known: nobody speaks them unasked"
    assert all(after[job_id] == before[job_id] for job_id in before if job_id not in unended)
    assert speak_all(folder) == []
    with opened(folder) as store:
        assert "backup" in str(store.resume(unended[0]).state) + str(store.events(unended[0], limit=900)[-2].data)
    assert speak_all(folder)[0].passages_done == PASSAGES


def test_ended_jobs_of_a_backup_that_have_no_files_were_deleted_since(folder: DataFolder, clock: HandClock) -> None:
    back_up(folder.database, 1)
    with opened(folder) as store:
        deleted = store.jobs(limit=100)[-1]
    folder.remove_job(deleted.id)
    folder.database.write_bytes(b"rubbish" * 1000)
    repair_store(folder, clock)
    assert deleted.id not in all_of(folder)


def test_a_backup_of_the_first_schema_serves(tmp_path: Path, clock: HandClock) -> None:
    folder = DataFolder(tmp_path, floor_bytes=0)
    make_schema_1(folder.database)
    Database(folder.database).close()
    folder.job("job_old").mkdir()
    folder.database.unlink()
    done = repair_store(folder, clock)
    assert (done.found, done.set_aside, done.jobs, done.paused) == ("it is gone", None, 1, ("job_old",))
    with opened(folder) as store:
        assert store.job("job_old").state is State.PAUSED
        assert [event.number for event in store.events("job_old")] == [1]


def alter(folder: DataFolder, *statements: str) -> None:
    """Rows that vanish or change, and a page of the index so that the store is damaged for everyone to see."""
    with closing(sqlite3.connect(folder.database)) as plain:
        for statement in statements:
            plain.execute(statement)
        plain.commit()
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    overwrite_pages(folder.database, requires_pages(pages_of(folder.database, "jobs_queue"), 1))


def half_spoken(folder: DataFolder) -> Job:
    with opened(folder) as store:
        return next(job for job in store.jobs() if 0 < job.passages_done < PASSAGES)


def test_a_lost_stretch_is_never_a_hole(folder: DataFolder, clock: HandClock) -> None:
    """The passage says that it is spoken; only the job's own count of samples tells that something is missing."""
    job = half_spoken(folder)
    alter(folder, f"DELETE FROM stretches WHERE job_id = '{job.id}' AND position = 7")
    done = repair_store(folder, clock)
    assert done.paused == (job.id,)
    with opened(folder) as store:
        now = store.job(job.id)
        assert (now.state, now.passages_done, now.audio_samples) == (State.PAUSED, 0, 0)
        assert now.remaining_s == pytest.approx(PASSAGES * 2.0)
        assert (now.reason or "").startswith(REASON)
        store.resume(job.id)
    finished = {job.id: job for job in speak_all(folder)}
    assert finished[job.id].passages_done == PASSAGES


def test_a_lost_passage_fails_the_job(folder: DataFolder, clock: HandClock) -> None:
    job = half_spoken(folder)
    alter(folder, f"DELETE FROM passages WHERE job_id = '{job.id}' AND position = 30")
    done = repair_store(folder, clock)
    assert done.failed == (job.id,)
    with opened(folder) as store:
        failed = store.job(job.id)
        assert failed.state is State.FAILED
        assert failed.error is not None
        assert failed.error["code"] == "store_damaged"
        assert failed.ended_at is not None
        store.resume(job.id)
    with pytest.raises(InvariantError, match="never committed"):
        speak_all(folder)


def test_events_are_numbered_without_gaps_again(folder: DataFolder, clock: HandClock) -> None:
    job = half_spoken(folder)
    alter(folder, f"DELETE FROM events WHERE job_id = '{job.id}' AND number = 2")
    with opened_damaged(folder) as plain:
        count = plain.execute(f"SELECT count(*) FROM events WHERE job_id = '{job.id}'").fetchone()[0]
    repair_store(folder, clock)
    with opened(folder) as store:
        assert [event.number for event in store.events(job.id)] == list(range(1, count + 1))
        store.cancel(job.id)
        assert store.events(job.id)[-1].number == count + 1


@contextmanager
def opened_damaged(folder: DataFolder) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder.database)) as plain:
        yield plain


def test_rows_of_rubbish_are_no_jobs(folder: DataFolder, clock: HandClock) -> None:
    with opened(folder) as store:
        first, second, third = store.jobs()[:3]
    alter(
        folder,
        f"UPDATE jobs SET spec = 'no json' WHERE id = '{first.id}'",
        f"UPDATE jobs SET state = 'dreaming' WHERE id = '{second.id}'",
        f"UPDATE events SET data = CAST(x'FF00FE' AS TEXT) WHERE job_id = '{third.id}'",
    )
    repair_store(folder, clock)
    after = all_of(folder)
    assert first.id not in after
    assert second.id not in after
    assert third.id in after
    assert len(after) == JOBS - 2


def test_keys_and_paces_are_kept(folder: DataFolder, clock: HandClock) -> None:
    with opened(folder) as store:
        paces, known = store.learned_paces("espeak"), store.known("key-3", "x")
    overwrite_pages(folder.database, requires_pages(pages_of(folder.database, "jobs_queue"), 1))
    repair_store(folder, clock)
    with opened(folder) as store:
        assert store.learned_paces("espeak") == paces
        assert store.known("key-3", "x") == known
        assert known is not None


def test_what_the_log_holds_is_read_and_set_aside_too(folder: DataFolder, clock: HandClock) -> None:
    holder = sqlite3.connect(folder.database)
    holder.execute("UPDATE jobs SET out_path = '/in/the/log' WHERE kind = 'job'")
    holder.commit()
    wal = folder.database.with_name("jobs.db-wal")
    log = wal.read_bytes()
    assert log
    overwrite_pages(folder.database, requires_pages(pages_of(folder.database, "jobs_queue"), 1))
    done = repair_store(folder, clock)
    holder.close()
    assert done.set_aside is not None
    assert done.set_aside.with_name(f"{done.set_aside.name}-wal").read_bytes() == log
    assert {job.out_path for job, *_ in all_of(folder).values()} == {"/in/the/log"}


def test_a_newer_store_is_not_repaired(folder: DataFolder, clock: HandClock) -> None:
    with closing(sqlite3.connect(folder.database)) as plain:
        plain.execute(f"PRAGMA user_version = {len(migrations()) + 1}")
    with pytest.raises(ConflictError, match="newer longtake"):
        repair_store(folder, clock)


def test_a_store_without_its_tables_is_damaged(folder: DataFolder, clock: HandClock) -> None:
    with closing(sqlite3.connect(folder.database)) as plain:
        plain.execute("DROP TABLE events")
    done = repair_store(folder, clock)
    assert done.found == "it has no table events"
    assert (done.paused, done.failed, done.bare, done.lost) == ((), (), (), ())
    with opened(folder) as store:
        assert all(store.events(job.id) == [] for job in store.jobs())


def test_done_jobs_that_lost_their_passages_are_told_and_keep_their_audio(folder: DataFolder, clock: HandClock) -> None:
    before, audio = all_of(folder), audio_of(folder)
    done_ids = {job_id for job_id, (job, *_) in before.items() if job.state is State.DONE}
    without_file = min(done_ids)
    folder.finished(without_file, 1, ".pcm").unlink()
    with closing(sqlite3.connect(folder.database)) as plain:
        plain.execute("DROP TABLE stretches")
    done = repair_store(folder, clock)
    assert done.found == "it has no table stretches"
    assert set(done.bare) == done_ids - {without_file}
    assert done.failed == (without_file,)
    with opened(folder) as store:
        for job_id in done.bare:
            job = store.job(job_id)
            assert job.state is State.DONE
            assert (job.audio_samples, job.passages_done) == (before[job_id][0].audio_samples, PASSAGES), "not 0:00"
            assert (job.reason or "").startswith(REASON)
            assert "subtitles" in (job.reason or "")
            assert is_bare(store, job)
            with pytest.raises(ConflictError, match="passages of the job"):
                find_border(store, job, 1.0, is_within=False)
        failed = store.job(without_file)
        assert failed.state is State.FAILED
        assert failed.error is not None
        assert "finished file" in failed.error["message"]
        assert "Say its script again" in failed.error["message"]
        again = store.reopen(done.bare[0])
        assert (again.passages_done, again.audio_samples) == (0, 0), "all of it is to be spoken"
    assert audio_of(folder).keys() == audio.keys() - {f"jobs/{without_file}/audio-1.pcm"}
    finished = {job.id: job for job in speak_all(folder)}
    assert finished[again.id].passages_done == PASSAGES
    assert finished[again.id].audio_samples == before[again.id][0].audio_samples


@pytest.mark.parametrize("lost", ["passages", "stretches"])
def test_a_done_job_that_lost_some_rows_keeps_none_of_them(folder: DataFolder, clock: HandClock, lost: str) -> None:
    """Subtitles that end in the middle would look whole."""
    before = all_of(folder)
    done_id = next(job_id for job_id, (job, *_) in before.items() if job.state is State.DONE)
    alter(folder, f"DELETE FROM {lost} WHERE job_id = '{done_id}' AND position = 30")
    done = repair_store(folder, clock)
    assert done.bare == (done_id,)
    with opened(folder) as store:
        assert is_bare(store, store.job(done_id))
        assert not any(is_bare(store, job) for job in store.jobs(limit=100) if job.id != done_id)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE jobs SET spec = '{gar' WHERE number = 2", "UPDATE jobs SET state = 'runnixg' WHERE number = 2"],
)
def test_one_bad_value_in_a_whole_file_is_found_and_mended(
    folder: DataFolder, clock: HandClock, statement: str
) -> None:
    before = all_of(folder)
    [bad] = [job_id for job_id, (job, *_) in before.items() if job.number == 2]
    with closing(sqlite3.connect(folder.database)) as plain:
        plain.execute(statement)
        plain.commit()
    done = repair_store(folder, clock)
    assert done.found is not None
    assert bad in done.found
    assert done.lost == (bad,)
    after = all_of(folder)
    assert after == {job_id: all_of_it for job_id, all_of_it in before.items() if job_id != bad}
    assert repair_store(folder, clock).found is None


def test_an_event_that_is_no_json_costs_itself_alone(folder: DataFolder, clock: HandClock) -> None:
    before = all_of(folder)
    job = half_spoken(folder)
    with closing(sqlite3.connect(folder.database)) as plain:
        plain.execute(f"UPDATE events SET data = '{{' WHERE job_id = '{job.id}' AND number = 2")
        plain.commit()
    done = repair_store(folder, clock)
    assert done.found is not None
    assert (done.jobs, done.paused, done.failed, done.lost) == (JOBS, (), (), ())
    events = all_of(folder)[job.id][3]
    assert [event.number for event in events] == list(range(1, len(before[job.id][3])))


class Cut(BaseException):
    """The process is killed here."""


@pytest.mark.parametrize("at", range(6))
def test_a_repair_that_is_killed_anywhere_is_repeated(
    folder: DataFolder, clock: HandClock, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Killed before each of its steps on files, in turn; nothing is ever replaced in silence."""
    before, audio = all_of(folder), audio_of(folder)
    overwrite_pages(folder.database, requires_pages(pages_of(folder.database, "jobs_queue"), 1))
    folder.database.with_name("jobs.db-wal").write_bytes(b"")
    steps = 0
    real_rename, real_replace, real_delete = Path.rename, os.replace, delete_store

    def killed() -> bool:
        nonlocal steps
        steps += 1
        return steps - 1 >= at  # and nothing that is tried afterwards happens either

    def rename(self: Path, target: Path) -> Path:
        if killed():
            raise Cut
        return real_rename(self, target)

    def replace(source: Path, target: Path) -> None:
        if killed():
            raise Cut
        real_replace(source, target)

    def delete(path: Path) -> None:
        if killed():
            raise Cut
        real_delete(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        patch.setattr(os, "replace", replace)
        patch.setattr(repair_module, "delete_store", delete)
        try:
            repair_store(folder, clock)
            was_cut = False
        except Cut:
            was_cut = True
    assert was_cut == (at < steps)
    if was_cut and not folder.database.exists():
        with pytest.raises(WorkerError, match="did not come to its end"):
            Database(folder.database)
    clock.sleep(60)
    done = repair_store(folder, clock)
    assert (done.found is None) == (not was_cut)
    assert all_of(folder) == before
    assert audio_of(folder) == audio
    [aside] = set_aside(folder.database)
    with closing(sqlite3.connect(aside)) as plain:
        assert find_damage(plain) is not None, "what was set aside is the damaged one"
    assert not repairing(folder.database).exists()


def test_without_room_nothing_has_changed(
    folder: DataFolder, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    overwrite_pages(folder.database, requires_pages(pages_of(folder.database, "jobs_queue"), 1))
    before = folder.database.read_bytes()

    def full(*_: object) -> bool:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(repair_module, "salvage", full)
    with pytest.raises(Exception, match="Nothing was changed") as caught:
        repair_store(folder, clock)
    assert getattr(caught.value, "code", "") == "disk_full"
    assert folder.database.read_bytes() == before
    assert not repairing(folder.database).exists(), "or the store would not be opened for that"


@pytest.mark.parametrize("seed", range(12))
def test_any_damage_ends_in_a_whole_store_without_holes(folder: DataFolder, clock: HandClock, seed: int) -> None:
    """Pages overwritten at random, also the first ones; bytes flipped; the end cut off."""
    dice, audio = random.Random(seed), audio_of(folder)
    before = all_of(folder)
    path = folder.database
    pages = path.stat().st_size // 4096
    data = bytearray(path.read_bytes())
    for _ in range(dice.randint(1, 6)):
        page = dice.randrange(seed % 3, pages)
        start = page * 4096 + dice.randrange(4096)
        length = min(dice.choice((1, 16, 700, 4096, 9000)), len(data) - start)
        data[start : start + length] = dice.randbytes(length)
    if seed % 4 == 0:
        del data[dice.randrange(len(data) // 2, len(data)) :]
    path.write_bytes(data)
    if repair_store(folder, clock).found is None:
        return  # SQLite keeps no checksums: a letter that has become another is none of its business
    after = all_of(folder)
    for job_id, (job, script, passages, _) in after.items():
        if job_id not in before or job.state is State.FAILED:
            continue
        known: Job = before[job_id][0]
        assert len(script) == len(before[job_id][1])
        if job.passages_done == known.passages_done and job.audio_samples == known.audio_samples:
            assert [p.index for p, _ in passages] == list(range(PASSAGES)) or job.state in ENDED
    assert audio_of(folder) == audio
    for job in speak_all(folder):
        assert job.passages_done == PASSAGES
    assert repair_store(folder, clock).found is None

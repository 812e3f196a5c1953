"""Sets a damaged or lost job store aside and makes a new one of what is left. ADR 10 says why, and why not by itself.

    1  jobs.db.repairing      the new store: the rows that can be read; if there are none, those of the newest backup
    2  jobs.db.damaged-<time> the old one, under a new name, with its log
    3  jobs.db                the new one, under its own name

Whatever ends it before 3 leaves `jobs.db.repairing`, and as long as that is there the store is not opened.
Files of jobs are only looked at.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from longtake.core.clock import Clock
from longtake.core.disk import commit_file, disk_error, sync_folder
from longtake.core.errors import ConflictError, DiskFullError, InvariantError, WorkerError
from longtake.core.units import samples_of
from longtake.jobs.backups import COMPANIONS, backups, delete_store
from longtake.jobs.changes import Changes
from longtake.jobs.contents import find_fault
from longtake.jobs.damage import StoreDamagedError, is_damage, repairing
from longtake.jobs.database import Database
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job
from longtake.jobs.rows import to_json
from longtake.jobs.salvage import salvage
from longtake.jobs.schema import migrations
from longtake.jobs.states import ENDED, State
from longtake.jobs.store import JobStore

REASON = "the job store was damaged"


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of a store.

    Attributes:
        found: What was wrong with it; None: nothing, and nothing was done.
        set_aside: Where the damaged file lies now; None when there was none.
        backup: What the new store was made from, if not from the damaged one.
        jobs: How many jobs the new store has.
        paused: Those of them that wait for their user's word, because what is known of them is not all, or is old.
        failed: Those of them that cannot be finished, or are done without a file: passages of them are lost.
        bare: Those of them that are done and have their audio, but have lost their passages.
        lost: Jobs of which only the files are left.
    """

    found: str | None
    set_aside: Path | None = None
    backup: Path | None = None
    jobs: int = 0
    paused: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def set_aside(path: Path) -> list[Path]:
    """The damaged stores that lie beside a store, the newest first."""
    found = path.parent.glob(f"{path.name}.damaged-*")
    return sorted((file for file in found if not file.name.endswith(COMPANIONS)), reverse=True)


def repair_store(folder: DataFolder, clock: Clock) -> Repair:
    """Mend the store of a folder; does nothing to one that is whole. The caller holds the folder's lock.

    Raises:
        ConflictError: It was written by a newer longtake.
        DiskFullError: There is no room for the new store.
        WorkerError: The new store cannot be made. The old one is untouched.
    """
    path, fresh = folder.database, repairing(folder.database)
    aside, backup = _name_aside(path, clock), None
    if fresh.exists() and not path.exists():  # a repair was cut off between 2 and 3
        found = "a repair of it was cut off"
        aside = next(iter(set_aside(path)), aside)
    else:
        delete_store(fresh)
        looked = _look(folder)
        if looked is None:
            return Repair(None)
        found = looked
        try:
            backup = _make(fresh, path)
            _settle(fresh, folder, clock, is_old=backup is not None)
            _finish(fresh)
        except BaseException as error:
            delete_store(fresh)
            if isinstance(error, OSError):
                raise disk_error(error, fresh) from error
            if isinstance(error, sqlite3.Error):
                kind = DiskFullError if "full" in str(error) else WorkerError
                raise kind(f"No new job store can be made beside {path}: {error}. Nothing was changed.") from error
            raise
    _move(path, aside)
    commit_file(fresh, path)
    return _report(folder, clock, found, aside if aside.exists() else None, backup)


def _look(folder: DataFolder) -> str | None:
    """What is wrong with the store; None when it is whole, or there is none and never was."""
    path = folder.database
    if not path.exists():
        return "it is gone" if folder.jobs_on_disk() else None
    try:
        with closing(_opened(path)) as connection:
            fault = find_fault(connection, is_thorough=True)
            if fault is not None:
                return fault
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(migrations()):
                raise ConflictError(
                    f"The job store {path} has schema {version}: it was written by a newer longtake. Use that one.",
                    code="newer_schema",
                )
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise WorkerError(f"The job store {path} cannot be read: {error}.") from error
        return str(error)
    return "it is empty" if version == 0 and folder.jobs_on_disk() else None


def _make(fresh: Path, damaged: Path) -> Path | None:
    """Fill a new store; gives the backup that it was made from, None when it was the damaged store."""
    for source in (damaged, *backups(damaged)):
        delete_store(fresh)
        Database(fresh).close()
        if not source.exists():
            continue
        with closing(_opened(source)) as rows, closing(sqlite3.connect(fresh)) as target:
            target.execute("PRAGMA foreign_keys = ON")
            is_whole = salvage(rows, target)
            jobs = target.execute("SELECT count(*) FROM jobs").fetchone()[0]
        if jobs or is_whole:
            return None if source is damaged else source
    return None


def _opened(path: Path) -> sqlite3.Connection:
    """Read only: the evidence stays as it was found."""
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)


def _settle(fresh: Path, folder: DataFolder, clock: Clock, *, is_old: bool) -> None:
    """See to it that no job is done with a hole, or spoken again unasked.

    Args:
        is_old: The rows are those of a backup: what has happened since is not known.
    """
    db = Database(fresh)
    try:
        store, changes = JobStore(db, clock=clock), Changes(db, clock)
        audits = {row["id"]: _audit(store, row["id"]) for row in db.rows("all_jobs")}
        with db.write():
            for job_id, audit in audits.items():
                if audit is None or (is_old and audit.job.state in ENDED and not folder.job(job_id).exists()):
                    db.execute("forget_job", id=job_id)  # no job any more; or one that was deleted since
                    continue
                db.execute("count_events", id=job_id)
                is_whole = audit.has_all_passages and audit.adds_up
                has_audio = _has_audio(folder, audit.job)
                if not audit.adds_up or (has_audio and not is_whole):
                    for name in ("forget_stretches", "forget_spoken"):
                        db.execute(name, id=job_id)
                    if not has_audio:  # a finished file goes on being as long as it is
                        db.execute("forget_progress", id=job_id)
                if audit.job.state in ENDED:
                    if audit.job.state is State.DONE and not is_whole:
                        (_keep_audio if has_audio else _fail)(changes, audit.job)
                    continue
                if not audit.has_all_passages:
                    _fail(changes, audit.job)
                elif is_old or not audit.adds_up:
                    _pause(changes, audit.job, is_old=is_old)
    finally:
        db.close()


@dataclass(frozen=True, slots=True)
class _Audit:
    """Whether all passages of a job are there, and whether what is committed of them is what the job has counted."""

    job: Job
    has_all_passages: bool
    adds_up: bool


def _audit(store: JobStore, job_id: str) -> _Audit | None:
    """None for rows that make no job, whatever a damaged page has put into them.

    A stretch that is lost from a passage's end leaves no gap; but the job has counted its samples, too.
    """
    try:
        job, passages = store.job(job_id), store.passages(job_id)
        store.events(job_id)
    except StoreDamagedError:
        return None
    samples, whole, has_gap = 0, 0, False
    for passage, spoken in passages:
        if spoken is not None:
            samples += spoken.samples + samples_of(passage.silence_before_s)
            whole += spoken.is_whole
            has_gap |= [stretch.number for stretch in spoken.stretches] != list(range(len(spoken.stretches)))
    has_all = [passage.index for passage, _ in passages] == list(range(job.passages_total))
    return _Audit(job, has_all, not has_gap and (samples, whole) == (job.audio_samples, job.passages_done))


def _pause(changes: Changes, job: Job, *, is_old: bool) -> None:
    known = "what is known of this job comes from a backup" if is_old else "what was spoken of this job is not known"
    reason = f"{REASON}, and {known}. Its files stay as they are until you resume it; then what is missing is spoken."
    _set(changes, job, State.PAUSED, reason, None)


def _has_audio(folder: DataFolder, job: Job) -> bool:
    """Whether the job is done, and its finished file is there."""
    return job.state is State.DONE and job.audio_file is not None and (folder.job(job.id) / job.audio_file).is_file()


def _keep_audio(changes: Changes, job: Job) -> None:
    """It stays done: what its user wanted is there."""
    reason = (
        f"{REASON}, and the passages of this job are lost. Its audio is there and whole; subtitles of it, and a new "
        "take from some point, are not to be had any more: for these, say its script again."
    )
    _set(changes, job, State.DONE, reason, None)


def _fail(changes: Changes, job: Job) -> None:
    lost = "passages of this job and its finished file" if job.state is State.DONE else "passages of this job"
    message = f"{REASON.capitalize()}, and {lost} are lost with it. Say its script again."
    error = {"message": message, "type": "server_error", "param": None, "code": "store_damaged"}
    _set(changes, job, State.FAILED, REASON, error)
    now_s = changes.clock.wall_s()
    changes.db.execute(
        "end_job", id=job.id, error=to_json(error), now=now_s, audio_file=job.audio_file, audio_bytes=job.audio_bytes
    )


def _set(changes: Changes, job: Job, state: State, reason: str, error: dict[str, Any] | None) -> None:
    """No edge of the state machine leads there: this is a correction of the books."""
    changes.db.execute("set_state", id=job.id, state=state, reason=reason)
    changes.db.execute("drop_lease", id=job.id)
    changes.append_event(job.id, "state", {"from": job.state, "to": state, "reason": reason, "error": error})


def _finish(fresh: Path) -> None:
    """Make the new store one file, durable and whole."""
    with closing(sqlite3.connect(fresh)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        found = find_fault(connection, is_thorough=True)
    if found is not None:
        raise InvariantError(f"The repaired store is not whole: {found}.")
    sync_folder(fresh.parent)


def _name_aside(path: Path, clock: Clock) -> Path:
    at = datetime.fromtimestamp(clock.wall_s(), UTC).strftime("%Y%m%dT%H%M%SZ")
    return path.with_name(f"{path.name}.damaged-{at}")


def _move(path: Path, aside: Path) -> None:
    """The database first: without it, whoever comes before the end knows that the new store is complete."""
    try:
        for suffix in ("", *COMPANIONS):
            old = path.with_name(path.name + suffix)
            if old.exists():
                old.rename(aside.with_name(aside.name + suffix))
        sync_folder(path.parent)
    except OSError as error:
        raise disk_error(error, path) from error


def _report(folder: DataFolder, clock: Clock, found: str, aside: Path | None, backup: Path | None) -> Repair:
    db = Database(folder.database)
    try:
        store = JobStore(db, clock=clock)
        jobs = {row["id"]: store.job(row["id"]) for row in db.rows("all_jobs")}
    finally:
        db.close()
    marked = [job for job in jobs.values() if (job.reason or "").startswith(REASON)]
    return Repair(
        found,
        set_aside=aside,
        backup=backup,
        jobs=len(jobs),
        paused=tuple(job.id for job in marked if job.state is State.PAUSED),
        failed=tuple(job.id for job in marked if job.state is State.FAILED),
        bare=tuple(job.id for job in marked if job.state is State.DONE),
        lost=tuple(job_id for job_id in folder.jobs_on_disk() if job_id not in jobs),
    )

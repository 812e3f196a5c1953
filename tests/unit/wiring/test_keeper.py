"""What the host deletes by itself, and what it never does."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longtake.config import KeepSettings
from longtake.core.errors import ConflictError
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder, Weight
from longtake.jobs.records import Cut, Job
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from longtake.wiring import keeper as keeper_module
from longtake.wiring.keeper import LOOK_S, Keeper
from tests.support.clock import HandClock
from tests.support.jobs import planned, spec, spoken

DAY_S = 86_400.0
MB = 1_000_000


class Kept:
    """A data folder, its store and their clock; every job's audio is 1 MB."""

    def __init__(self, root: Path) -> None:
        self.clock = HandClock()
        self.folder = DataFolder(root, floor_bytes=0)
        self.db = Database(self.folder.database)
        self.store = JobStore(self.db, clock=self.clock)

    def keeper(self, **keep: float) -> Keeper:
        return Keeper(self.store, self.db, self.folder, KeepSettings(**keep), self.clock)

    def job(self, **submitted: Any) -> Job:
        return self.store.submit(spec(), "x", planned(1), **submitted)[0]

    def files(self, job: Job, size: int = MB) -> Job:
        path = self.folder.finished(job.id, 1, ".pcm")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(size))
        return job

    def done(self, **submitted: Any) -> Job:
        """Spoken, an hour after the one before."""
        self.clock.sleep(3600)
        job = self.files(self.job(**submitted))
        desk = WorkerDesk(self.db, "w", "espeak", 1, only_job=job.id, clock=self.clock)
        claim = desk.claim()
        assert claim is not None
        desk.commit(claim, [spoken(0)])
        desk.finish(claim, "audio-1.pcm", MB)
        return job

    def left(self) -> list[str]:
        """Jobs that have files; all of them have rows, too."""
        ids = self.folder.jobs_on_disk(with_forgotten=True)
        return sorted(ids, key=lambda job_id: self.store.job(job_id).number)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path / "data")
    yield kept
    kept.db.close()


def test_by_default_all_is_kept(kept: Kept) -> None:
    jobs = [kept.done() for _ in range(3)]
    kept.clock.sleep(10_000 * DAY_S)
    kept.keeper().tidy()
    assert kept.left() == [job.id for job in jobs]


def test_jobs_go_so_many_days_after_their_end(kept: Kept) -> None:
    old, young = kept.done(), kept.done()
    kept.clock.sleep(2 * DAY_S - 1800)
    kept.keeper(days=2).tidy()
    assert kept.left() == [young.id]
    with pytest.raises(Exception, match=old.id):
        kept.store.job(old.id)


def test_the_oldest_go_until_the_rest_fits(kept: Kept) -> None:
    jobs = [kept.done() for _ in range(5)]
    kept.keeper(gb=0.003).tidy()
    assert kept.left() == [job.id for job in jobs[2:]]


def test_what_may_not_go_counts_and_stays(kept: Kept, tmp_path: Path) -> None:
    """Ten times over the limit, and old: still only ended jobs go, and not those whose copy somebody waits for."""
    outside = tmp_path / "show.mp3"
    outside.write_bytes(b"mine")
    waiting = kept.done(out_path=str(outside))
    gone = kept.done(out_path=str(outside))
    kept.store.note_delivered(gone.id)
    states = {}
    for verbs in ("", "pause", "claim", "claim pause", "claim cancel"):
        job = kept.files(kept.job(), 10 * MB)
        for verb in verbs.split():
            if verb == "claim":
                assert WorkerDesk(kept.db, "w", "espeak", 1, only_job=job.id, clock=kept.clock).claim()
            else:
                getattr(kept.store, verb)(job.id)
        states[job.id] = kept.store.job(job.id).state
    assert set(states.values()) == {State.QUEUED, State.PAUSED, State.RUNNING, State.PAUSING, State.CANCELLING}
    kept.clock.sleep(100 * DAY_S)
    kept.keeper(gb=0.001, days=1).tidy()
    assert kept.left() == [waiting.id, *states]
    assert {job_id: kept.store.job(job_id).state for job_id in states} == states
    assert outside.read_bytes() == b"mine"


def test_files_are_looked_at_once_a_minute_and_those_of_ended_jobs_once(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    real = DataFolder.job_weight

    def look(self: DataFolder, job_id: str) -> Weight:
        looked.append(job_id)
        return real(self, job_id)

    monkeypatch.setattr(DataFolder, "job_weight", look)
    ended, waits = kept.done(), kept.files(kept.job())
    keeper = kept.keeper(gb=1)
    for _ in range(3):
        keeper.tidy()
    assert sorted(looked) == sorted([ended.id, waits.id])
    looked.clear()
    kept.clock.sleep(LOOK_S)
    keeper.tidy()
    assert looked == [waits.id]
    looked.clear()
    kept.store.reopen(ended.id)
    kept.store.cancel(ended.id)  # it has ended anew, and may have other files
    kept.clock.sleep(LOOK_S)
    keeper.tidy()
    assert sorted(looked) == sorted([ended.id, waits.id])


def test_a_file_that_several_jobs_have_counts_once(kept: Kept) -> None:
    """As a job and its earlier version do: 3 MB in all, whoever counts names would find 5."""
    oldest, first, second = (kept.done() for _ in range(3))
    for job in (first, second):
        path = kept.folder.finished(job.id, 1, ".pcm")
        path.unlink()
        path.hardlink_to(kept.folder.finished(oldest.id, 1, ".pcm"))
    others = [kept.done() for _ in range(2)]
    kept.keeper(gb=0.003).tidy()
    assert kept.left() == [job.id for job in (oldest, first, second, *others)]
    kept.keeper(gb=0.002).tidy()
    assert kept.left() == [job.id for job in others], "its room is free when the last that has it is gone"


def test_a_file_shared_with_a_job_that_may_not_go_is_not_counted_as_freed(kept: Kept) -> None:
    """Deleting the first frees nothing, so the second has to go, too."""
    first, second = kept.done(), kept.done()
    waits = kept.files(kept.job())
    path = kept.folder.finished(first.id, 1, ".pcm")
    path.unlink()
    path.hardlink_to(kept.folder.finished(waits.id, 1, ".pcm"))
    kept.keeper(gb=0.001).tidy()
    assert kept.left() == [waits.id]
    assert second.id not in kept.left()


@pytest.mark.parametrize("is_deleted", [False, True], ids=["cancelled", "cancelled and deleted"])
def test_an_earlier_version_is_kept_from_when_it_became_one(kept: Kept, is_deleted: bool) -> None:
    job = kept.done()
    kept.clock.sleep(29 * DAY_S)
    kept.store.cuts.cut(kept.store.cuts.take(job.id), Cut(0, 0, None, 0.0, 1), "job_earlier")
    kept.files(kept.store.job("job_earlier"))
    kept.clock.sleep(2 * DAY_S)
    kept.store.cancel(job.id)
    if is_deleted:
        kept.store.forget(job.id)
        kept.folder.remove_job(job.id)
    keeper = kept.keeper(days=30)
    keeper.tidy()
    assert "job_earlier" in kept.left(), "it has the end of its job, 31 days ago"
    kept.clock.sleep((27 if is_deleted else 29) * DAY_S)
    keeper.tidy()
    assert "job_earlier" in kept.left(), "while its job is there, the end of the new take counts"
    kept.clock.sleep(2 * DAY_S)
    keeper.tidy()
    assert kept.left() == []


def test_one_that_cannot_go_does_not_keep_the_others(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = kept.done(), kept.done()
    real = kept.store.forget

    def forget(job_id: str) -> None:
        if job_id == first.id:
            raise ConflictError("The job is queued: somebody resumed it just now.")
        real(job_id)

    monkeypatch.setattr(kept.store, "forget", forget)
    kept.keeper(gb=0.0001).tidy()
    assert kept.left() == [first.id]
    assert second.id not in kept.left()


def test_at_the_start_cut_off_deletions_are_finished_and_strangers_told(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    half_deleted, stranger, other = kept.done(), kept.done(), kept.done()
    kept.folder.mark_forgotten(half_deleted.id)
    for job in (half_deleted, stranger):
        kept.store.forget(job.id)
    keeper = kept.keeper(gb=0.0015)
    with caplog.at_level(logging.WARNING):
        keeper.start()
    assert kept.folder.jobs_on_disk() == sorted([stranger.id, other.id])
    assert stranger.id in caplog.text
    assert half_deleted.id not in caplog.text
    keeper.tidy()
    assert kept.folder.job(other.id).exists(), "what belongs to no job is not held against the jobs"


def test_the_log_is_cut_when_it_is_large(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    real = Database.checkpoint

    def checkpoint(self: Database, *, truncate: bool) -> bool:
        asked.append(truncate)
        return real(self, truncate=truncate)

    monkeypatch.setattr(Database, "checkpoint", checkpoint)
    keeper = kept.keeper()
    kept.job()
    keeper.tidy()
    assert asked == [False]
    assert kept.db.wal_bytes() > 0
    monkeypatch.setattr(keeper_module, "WAL_LIMIT_BYTES", 1 << 14)
    kept.job()
    keeper.tidy()
    assert asked == [False, True]
    assert kept.db.wal_bytes() == 0
    keeper.tidy()
    assert asked == [False, True], "an empty log needs nothing"

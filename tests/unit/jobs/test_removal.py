"""Jobs are deleted so that a crash at any instant leaves nothing behind and takes nothing along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from longtake.core import failpoints
from longtake.core.errors import ConflictError, LongtakeError, NotFoundError
from longtake.core.failpoints import read_arming
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder, Weight
from longtake.jobs.records import Job
from longtake.jobs.removal import finish_removals, remove_job
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from tests.support.jobs import planned, spec


class Cut(BaseException):
    """The process is killed here."""


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path, floor_bytes=0)


@pytest.fixture
def ended(store: JobStore, folder: DataFolder) -> Job:
    return store.cancel(with_files(store, folder).id)


def with_files(store: JobStore, folder: DataFolder) -> Job:
    job, _ = store.submit(spec(), "x", planned(1))
    folder.passages(job.id).mkdir(parents=True)
    (folder.passages(job.id) / "000000.0000-1.pcm").write_bytes(b"speech")
    folder.part(job.id, 1, ".mp3").write_bytes(b"audio")
    return job


def test_rows_and_files_go(store: JobStore, folder: DataFolder, ended: Job) -> None:
    other = with_files(store, folder)
    remove_job(store, folder, ended.id)
    with pytest.raises(NotFoundError):
        store.job(ended.id)
    assert folder.jobs_on_disk(with_forgotten=True) == [other.id]
    with pytest.raises(NotFoundError):
        remove_job(store, folder, ended.id)


def test_an_error_behind_the_commit_leaves_no_files(
    store: JobStore, folder: DataFolder, ended: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failpoints, "_armed", read_arming({"LONGTAKE_FAILPOINT": "forget-committed:eio"}))
    with pytest.raises(LongtakeError):
        remove_job(store, folder, ended.id)
    assert folder.jobs_on_disk(with_forgotten=True) == []


def test_an_error_before_the_commit_leaves_all(
    store: JobStore, folder: DataFolder, ended: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failpoints, "_armed", read_arming({"LONGTAKE_FAILPOINT": "forget-written:eio"}))
    with pytest.raises(LongtakeError):
        remove_job(store, folder, ended.id)
    assert store.job(ended.id) == ended
    assert folder.part(ended.id, 1, ".mp3").exists()


def test_a_job_without_files_can_go(store: JobStore, folder: DataFolder) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    store.cancel(job.id)
    remove_job(store, folder, job.id)
    assert folder.jobs_on_disk(with_forgotten=True) == []


def test_a_job_that_has_not_ended_keeps_all(
    store: JobStore, folder: DataFolder, make_desk: Callable[..., WorkerDesk]
) -> None:
    job = with_files(store, folder)
    asked: list[Callable[[], object]] = [
        lambda: None,
        lambda: store.pause(job.id),
        lambda: store.resume(job.id),
        lambda: make_desk().claim(),
        lambda: store.pause(job.id),
        lambda: store.cancel(job.id),
    ]
    states = []
    for ask in asked:
        ask()
        states.append(store.job(job.id).state)
        with pytest.raises(ConflictError):
            remove_job(store, folder, job.id)
        assert folder.part(job.id, 1, ".mp3").exists()
        assert not folder.is_marked_forgotten(job.id)
    assert set(states) == set(State) - {State.DONE, State.FAILED, State.CANCELLED}


def test_one_that_goes_on_in_the_last_moment_stays(
    store: JobStore, folder: DataFolder, ended: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes_on(job_id: str) -> None:
        assert folder.is_marked_forgotten(job_id), "marked before the rows go"
        raise ConflictError("The job is queued.")

    monkeypatch.setattr(store, "forget", goes_on)
    with pytest.raises(ConflictError):
        remove_job(store, folder, ended.id)
    assert not folder.is_marked_forgotten(ended.id)


@pytest.mark.parametrize("at", ["forget", "remove_job"])
def test_what_was_killed_in_between_is_finished_or_undone(
    store: JobStore, folder: DataFolder, ended: Job, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def cut(*_: object) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(store if at == "forget" else folder, at, cut)
        with pytest.raises(Cut):
            remove_job(store, folder, ended.id)
    assert folder.part(ended.id, 1, ".mp3").exists()
    assert finish_removals(store, folder) == []
    assert folder.part(ended.id, 1, ".mp3").exists() == (at == "forget"), "a row with its files, or neither"
    assert not folder.is_marked_forgotten(ended.id)


def test_files_go_before_their_mark(folder: DataFolder, ended: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    seen = []
    real = shutil.rmtree

    def look(path: Path, *arguments: object, **options: object) -> None:
        seen.append((Path(path).name, folder.is_marked_forgotten(ended.id)))
        real(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(shutil, "rmtree", look)
    folder.mark_forgotten(ended.id)
    folder.remove_job(ended.id)
    assert seen == [("passages", True), (ended.id, True)]
    assert not folder.job(ended.id).exists()


def test_files_of_jobs_that_the_store_has_lost_are_told_and_kept(
    store: JobStore, folder: DataFolder, ended: Job
) -> None:
    store.forget(ended.id)  # as a damaged page does: nobody has marked anything
    assert finish_removals(store, folder) == [ended.id]
    assert folder.part(ended.id, 1, ".mp3").read_bytes() == b"audio"


def test_what_lies_outside_is_not_followed(store: JobStore, folder: DataFolder, ended: Job, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.wav").touch()
    (folder.job(ended.id) / "link").symlink_to(outside)
    (folder.root / "jobs" / "linked").symlink_to(outside)
    remove_job(store, folder, ended.id)
    assert finish_removals(store, folder) == []
    assert (outside / "mine.wav").exists()


def test_bytes_of_a_job_are_those_of_its_files(store: JobStore, folder: DataFolder) -> None:
    job = with_files(store, folder)
    assert folder.job_weight(job.id) == Weight(len(b"speech") + len(b"audio"), {})
    assert folder.job_weight("job_nowhere") == Weight(0, {})

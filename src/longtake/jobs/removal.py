"""Deletes jobs so that a crash at any instant leaves neither a row without files nor files that nobody will delete.

    mark      jobs/<id>/forgotten, durable: whoever finds the folder without a row knows that it is meant to go
    rows      in one transaction
    files     whatever is left of them after a crash is deleted when the next host starts

A folder without a row and without the mark is left alone. It does not come from a deletion: the store has lost its row,
and then the audio is all that its user has.
"""

from __future__ import annotations

from longtake.core.errors import ConflictError, LongtakeError, NotFoundError
from longtake.jobs.folder import CUTTING, DataFolder
from longtake.jobs.paths import FORGOTTEN
from longtake.jobs.states import ENDED
from longtake.jobs.store import JobStore


def remove_job(store: JobStore, folder: DataFolder, job_id: str) -> None:
    """Delete an ended job, its rows and its files.

    Raises:
        NotFoundError: No such job.
        ConflictError: It has not ended, or somebody asked just now that it goes on.
    """
    if store.job(job_id).state in ENDED:
        folder.mark_forgotten(job_id)
    try:
        store.forget(job_id)
    except ConflictError:
        folder.unmark_forgotten(job_id)
        raise
    except LongtakeError:
        _follow(store, folder, job_id)
        raise
    folder.remove_job(job_id)


def remove_earlier(store: JobStore, folder: DataFolder, earlier_id: str) -> bool:
    """Delete what a job was before it was spoken again, unless somebody has resumed it; gives whether it is gone."""
    folder.mark_forgotten(earlier_id)
    try:
        is_gone = store.cuts.forget_earlier(earlier_id)
    except LongtakeError:
        _follow(store, folder, earlier_id)
        raise
    if is_gone:
        folder.remove_job(earlier_id)
    else:
        folder.unmark_forgotten(earlier_id)
    return is_gone


def _follow(store: JobStore, folder: DataFolder, job_id: str) -> None:
    """Delete the files if the rows are gone: the error came behind their commit, and nobody else would."""
    try:
        store.job(job_id)
    except NotFoundError:
        folder.remove_job(job_id)


def finish_removals(store: JobStore, folder: DataFolder) -> list[str]:
    """Delete what is left of jobs whose deletion was cut off; gives the jobs that have files and no row.

    For the host, when it starts, before its workers do: it is no race with a job being submitted, because a job's row
    is there before its folder. A folder that is being made or cut by a living process bears a mark that it holds.
    """
    unknown = []
    for job_id in folder.jobs_on_disk(with_forgotten=True):
        try:
            store.job(job_id)
        except NotFoundError:
            if folder.has_mark(job_id, FORGOTTEN):
                folder.remove_job(job_id)
            elif not folder.is_marked_forgotten(job_id) and not folder.remove_empty(job_id):
                unknown.append(job_id)
        else:
            if folder.has_mark(job_id, FORGOTTEN):
                folder.unmark_forgotten(job_id)  # the deletion got no further than the mark
            if folder.has_mark(job_id, CUTTING):
                _sweep(store, folder, job_id)
    return unknown


def _sweep(store: JobStore, folder: DataFolder, job_id: str) -> None:
    """A cut was cut off: whatever it wrote and no row names goes, and the mark after it."""
    named = {stretch.file for _, spoken in store.passages(job_id) if spoken for stretch in spoken.stretches}
    for path in folder.passages(job_id).glob("*"):
        if path.name not in named:
            path.unlink(missing_ok=True)
    (folder.job(job_id) / CUTTING).unlink(missing_ok=True)

"""Jobs that are done and have their audio, but whose passages a damaged store has lost."""

from __future__ import annotations

from longtake.core.errors import ConflictError
from longtake.delivery.delivery import timeline
from longtake.jobs.records import Job
from longtake.jobs.states import State
from longtake.jobs.store import JobStore


def is_bare(store: JobStore, job: Job) -> bool:
    """Whether nothing is known of what the job says when: every other job has a passage when it is done."""
    return job.state is State.DONE and next(timeline(store, job.id), None) is None


def require_passages(store: JobStore, job: Job) -> None:
    """To be asked before subtitles are made: empty ones would look as if nothing were said.

    Raises:
        ConflictError: The passages of the job are lost.
    """
    if is_bare(store, job):
        raise ConflictError(
            f"The passages of the job {job.id} were lost when the job store was damaged; its audio is whole, but there "
            "are no subtitles of it. Say its script again for these.",
            code="passages_lost",
        )

"""Which ended jobs are kept no longer. Pure: knows neither rows nor files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that may be deleted.

    Attributes:
        at: When it ended, seconds since the epoch.
        bytes: What deleting it frees, if all before it are deleted, too; 0 where nobody asked.
    """

    id: str
    at: float
    bytes: int = 0


def kept_no_longer(
    ended: Sequence[Ended], now_s: float, *, days: float | None, limit_bytes: float | None, total_bytes: int = 0
) -> list[str]:
    """Ids of the jobs to delete, in this order: first those that are too old, then the oldest until the rest fits.

    Args:
        ended: The first ended first.
        days: How long a job is kept; None for ever.
        limit_bytes: What the files of all jobs may take; None for whatever they take.
        total_bytes: What they do take, those of jobs that may not be deleted among them.
    """
    chosen = []
    for job in ended:
        is_old = days is not None and now_s - job.at > days * DAY_S
        is_over = limit_bytes is not None and total_bytes > limit_bytes
        if is_old or is_over:
            chosen.append(job.id)
            total_bytes -= job.bytes
    return chosen

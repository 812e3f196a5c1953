"""Keeps the data folder in bounds: ended jobs, what crashes left of deleted ones, the store's log. For the host alone.

Deletes nothing that `JobStore.deletable_jobs` does not offer, and nothing outside the data folder.
"""

from __future__ import annotations

import logging

from longtake.config import KeepSettings
from longtake.core.clock import Clock
from longtake.core.errors import ConflictError, NotFoundError
from longtake.core.units import format_bytes
from longtake.jobs.database import Database
from longtake.jobs.folder import DataFolder, Weight
from longtake.jobs.removal import finish_removals, remove_job
from longtake.jobs.retention import Ended, kept_no_longer
from longtake.jobs.store import JobStore

log = logging.getLogger(__name__)

LOOK_S = 60.0  # between two looks at what is kept
WAL_LIMIT_BYTES = 16 << 20  # SQLite lets the log grow to 4 MiB by itself, and further while it is read


class Keeper:
    """Called from one thread at a time: at the start, then by the tidier."""

    def __init__(self, store: JobStore, db: Database, folder: DataFolder, keep: KeepSettings, clock: Clock) -> None:
        self._store = store
        self._db = db
        self._folder = folder
        self._keep = keep
        self._clock = clock
        self._looked_at = float("-inf")
        self._unknown: frozenset[str] = frozenset()
        self._weights: dict[str, tuple[float, Weight]] = {}  # of ended jobs, by id: when it ended, its files

    def start(self) -> None:
        """Finish the deletions that a crash cut off; tell of files that belong to no job."""
        self._unknown = frozenset(finish_removals(self._store, self._folder))
        if self._unknown:
            log.warning(
                "%d folders in %s belong to no job of the store, as after a repair: %s. Nothing of longtake touches "
                "them; delete what you do not need.",
                len(self._unknown),
                self._folder.root / "jobs",
                ", ".join(sorted(self._unknown)[:5]) + ", …" * (len(self._unknown) > 5),
            )

    def tidy(self) -> None:
        """The log every time; what is kept once a minute, since files are looked at for that."""
        self._checkpoint()
        now_s = self._clock.monotonic_s()
        if now_s - self._looked_at >= LOOK_S:
            self._looked_at = now_s
            self._delete()

    def _checkpoint(self) -> None:
        # The floor is what must stay free for the store, so on a small disk its log may be no larger either.
        limit = min(WAL_LIMIT_BYTES, max(self._folder.floor_bytes, 1 << 20))
        wal_bytes = self._db.wal_bytes()
        if wal_bytes and not self._db.checkpoint(truncate=wal_bytes > limit) and wal_bytes > 4 * limit:
            log.warning(
                "the job store's log has %s: some process has been reading it for long", format_bytes(wal_bytes)
            )

    def _delete(self) -> None:
        keep = self._keep
        if keep.days is None and keep.gb is None:
            return
        ended = [Ended(job_id, at) for job_id, at in self._store.deletable_jobs()]
        total_bytes = 0
        if keep.gb is not None:
            ended, total_bytes = self._weigh(ended)
        chosen = kept_no_longer(
            ended,
            self._clock.wall_s(),
            days=keep.days,
            limit_bytes=None if keep.gb is None else keep.gb * 1e9,
            total_bytes=total_bytes,
        )
        for job_id in chosen:
            try:
                remove_job(self._store, self._folder, job_id)
            except (ConflictError, NotFoundError):  # it goes on, or somebody else was quicker
                continue
            log.info("job is kept no longer and is deleted", extra={"job": job_id})

    def _weigh(self, ended: list[Ended]) -> tuple[list[Ended], int]:
        """The jobs with the bytes that go with each, and the bytes of all jobs together.

        The files of an ended job stay as they are, so only new ones are looked at, and those that are not ended. A file
        that several jobs have counts once, for the one that would go last: only then is its room free.
        """
        weights = {}
        for job in ended:
            known = self._weights.get(job.id)
            weights[job.id] = known if known and known[0] == job.at else (job.at, self._folder.job_weight(job.id))
        self._weights = weights
        counted: set[tuple[int, int]] = set()
        others = set(self._folder.jobs_on_disk()) - weights.keys() - self._unknown
        total = sum(_count(self._folder.job_weight(job_id), counted) for job_id in others)
        weighed = [Ended(job.id, job.at, _count(weights[job.id][1], counted)) for job in reversed(ended)]
        return weighed[::-1], total + sum(job.bytes for job in weighed)


def _count(weight: Weight, counted: set[tuple[int, int]]) -> int:
    """The bytes that were not counted before."""
    fresh = weight.shared.keys() - counted
    counted |= fresh
    return weight.own_bytes + sum(weight.shared[file] for file in fresh)

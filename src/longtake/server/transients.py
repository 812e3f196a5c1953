"""Jobs that live no longer than the request that made them: speech and probes. Clears them away."""

from __future__ import annotations

import asyncio
import logging

from longtake.core.errors import ConflictError, LongtakeError, NotFoundError
from longtake.jobs.removal import remove_job
from longtake.jobs.states import ENDED
from longtake.server.backend import Backend, Beat
from longtake.server.hop import Hop

log = logging.getLogger(__name__)
_PATIENCE_S = 60.0


class Transients:
    """Cancels and forgets jobs in the background.

    What does not end in a minute (its worker hangs) is left to the host's housekeeping, `JobStore.stale_transients`.
    """

    def __init__(self, backend: Backend, in_store: Hop) -> None:
        self._backend = backend
        self._in_store = in_store
        self._tasks: set[asyncio.Task[None]] = set()

    def discard(self, job_id: str) -> None:
        """Cancel the job if it has not ended, then delete it with its files. Returns at once; on the event loop only.

        Not a coroutine: it is called where a request is being torn down and an await would be cancelled.
        """
        task = asyncio.get_running_loop().create_task(self._discard(job_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks)

    async def _discard(self, job_id: str) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                beat = Beat()
                while (engine := await self._in_store(self._try, job_id)) is not None:
                    self._backend.wake(engine)
                    await beat.wait()
        except (LongtakeError, TimeoutError) as error:
            log.warning("The job %s could not be cleared away; the host's housekeeping will: %r", job_id, error)

    def _try(self, job_id: str) -> str | None:
        """One try; gives the engine of the worker that still has to let go of it, None when the job is gone."""
        store = self._backend.store
        try:
            job = store.job(job_id)
            if job.state not in ENDED:
                try:
                    job = store.cancel(job_id)
                except ConflictError:  # it has ended since
                    job = store.job(job_id)
            if job.state not in ENDED:
                return job.spec.engine
            remove_job(store, self._backend.folder, job_id)
        except NotFoundError:
            self._backend.folder.remove_job(job_id)  # somebody is at it, and perhaps has not come to the files
        return None

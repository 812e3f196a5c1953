"""Whether the engines can speak, found out by having them speak a word."""

from __future__ import annotations

import asyncio

from longtake.core.errors import LongtakeError
from longtake.intake import JobRequest
from longtake.jobs.records import Job, Kind
from longtake.jobs.states import ENDED, State
from longtake.server.backend import Backend, Beat
from longtake.server.hop import Hop
from longtake.server.transients import Transients
from longtake.supervise import WorkerState
from longtake.wire.health import EngineReadiness, Readiness

PROBE_TEXT = "one"
_PATIENCE_S = 5.0
_READY_FOR_S = 10.0
_UNLOADED = "Its model is unloaded; the next job loads it again."
_UNREADY_FOR_S = 1.0  # whoever waits for the start wants to know soon


class Prober:
    """Speaks at most one probe per engine at a time, however many ask. To be used on the event loop."""

    def __init__(
        self, backend: Backend, in_store: Hop, transients: Transients, patience_s: float = _PATIENCE_S
    ) -> None:
        self._backend = backend
        self._in_store = in_store
        self._transients = transients
        self._patience_s = patience_s
        self._known: dict[str, tuple[float, EngineReadiness]] = {}
        self._running: dict[str, asyncio.Task[EngineReadiness]] = {}

    async def readiness(self) -> Readiness:
        names = [engine.info.name for engine in self._backend.intake.engines]
        found = await asyncio.gather(*(self._of(name) for name in names))
        return Readiness(ready=all(each.ready for each in found), engines=dict(zip(names, found, strict=True)))

    async def _of(self, engine: str) -> EngineReadiness:
        # What the supervisor knows goes before what was heard some seconds ago.
        status = self._backend.worker(engine)
        if status is not None and status.state is WorkerState.UNLOADED:
            # A probe would load it, and whoever asks every few seconds would keep it loaded for ever.
            self._known.pop(engine, None)
            return EngineReadiness(ready=True, milliseconds=None, reason=_UNLOADED)
        reason = self._why_not(engine)
        if reason is not None:
            self._known.pop(engine, None)
            return EngineReadiness(ready=False, milliseconds=None, reason=reason)
        if engine in self._known:
            until_s, readiness = self._known[engine]
            if self._backend.clock.monotonic_s() < until_s:
                return readiness
        task = self._running.get(engine)
        if task is None:
            task = asyncio.create_task(self._probe(engine))
            self._running[engine] = task
            task.add_done_callback(lambda _: self._running.pop(engine, None))
        # Shielded: the one who asked first may leave, the others still wait for the same answer.
        return await asyncio.shield(task)

    def _why_not(self, engine: str) -> str | None:
        status = self._backend.worker(engine)
        if status is None:
            return "It has no worker."
        if status.state is WorkerState.READY:
            return None
        return f"Its worker is {status.state}" + (f": {status.reason}" if status.reason else ".")

    async def _probe(self, engine: str) -> EngineReadiness:
        began_s = self._backend.clock.monotonic_s()
        reason = await self._speak(engine)
        now_s = self._backend.clock.monotonic_s()
        readiness = EngineReadiness(
            ready=reason is None,
            milliseconds=round((now_s - began_s) * 1000) if reason is None else None,
            reason=reason,
        )
        self._known[engine] = (now_s + (_READY_FOR_S if reason is None else _UNREADY_FOR_S), readiness)
        return readiness

    async def _speak(self, engine: str) -> str | None:
        """Why it could not; None when it could."""
        try:
            job = await self._in_store(self._submit, engine)
        except LongtakeError as error:
            return error.message
        try:
            self._backend.wake(engine)
            async with asyncio.timeout(self._patience_s):
                job = await self._end_of(job)
        except TimeoutError:
            why = (await self._in_store(self._backend.store.job, job.id)).reason
            return f"It did not speak one word in {self._patience_s:g} s" + (f": it {why}." if why else ".")
        except LongtakeError as error:
            return error.message
        finally:
            self._transients.discard(job.id)
        if job.state is State.DONE:
            return None
        return str((job.error or {}).get("message") or job.reason or f"The probe was {job.state}.")

    def _submit(self, engine: str) -> Job:
        request = JobRequest(script=PROBE_TEXT, model=engine, response_format="pcm")
        return self._backend.intake.submit(request, kind=Kind.PROBE)[0]

    async def _end_of(self, job: Job) -> Job:
        beat = Beat()
        while job.state not in ENDED and job.state is not State.PAUSED:
            await beat.wait()
            job = await self._in_store(self._backend.store.job, job.id)
        return job

"""POST /v1/admin/…: what the owner of the machine may do. Each action is a line of the audit log."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from longtake.core.disk import Cleaned
from longtake.core.errors import ConflictError, LongtakeError, WorkerError
from longtake.core.memory import MemoryUse
from longtake.server.backend import Context
from longtake.supervise.answers import LOAD, RELEASE, UNLOAD
from longtake.supervise.mending import Mended, Mending
from longtake.wire.mending import CLI_AGENT, STUDIO_AGENT, CleanedView, MemoryView, MendedView

audit = logging.getLogger("longtake.audit")

LONGEST_WAIT_S = 600.0
ACTORS = {CLI_AGENT: "cli", STUDIO_AGENT: "page"}

Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT_S)]


def routes(context: Context) -> APIRouter:
    router = APIRouter(prefix="/v1/admin", tags=["admin"])
    backend = context.backend
    later: dict[int | str, dict[str, Any]] = {202: {"model": MendedView}}

    @router.post("/restart", responses=later)
    async def restart(
        request: Request,
        response: Response,
        engine: str | None = None,
        how: Literal["now", "drain"] = "now",
        wait_s: Wait = 30.0,
    ) -> MendedView:
        """Start an engine's worker anew, and close its breaker. Its jobs go on where they stand."""
        name, mending = _worker(engine)
        call = partial(mending.restart, name, wait_s, drains=how == "drain")
        return _told(response, await _audited(request, f"restart how={how}", name, call))

    @router.post("/unload", responses=later)
    async def unload(
        request: Request, response: Response, engine: str | None = None, wait_s: Wait = 30.0
    ) -> MendedView:
        """Give an engine's memory back; the worker stays, and loads it again for the next job."""
        return await _order(request, response, engine, UNLOAD, wait_s)

    @router.post("/load", responses=later)
    async def load(request: Request, response: Response, engine: str | None = None, wait_s: Wait = 30.0) -> MendedView:
        """Load an engine that was unloaded."""
        return await _order(request, response, engine, LOAD, wait_s)

    @router.post("/release", responses=later)
    async def release(
        request: Request, response: Response, engine: str | None = None, wait_s: Wait = 30.0
    ) -> MendedView:
        """Give back what a worker keeps only to be quicker; jobs go on."""
        return await _order(request, response, engine, RELEASE, wait_s)

    @router.post("/clean")
    async def clean(request: Request, cache: bool = False) -> CleanedView:
        """Remove half-written files of killed processes and shorten the store's log; with `cache`, empty the cache."""
        if backend.clean is None:
            raise _not_ours()
        cleaned: Cleaned = await context.in_store(backend.clean, cache)
        _audit(request, f"clean cache={cache}", "data", f"{cleaned.given_back_bytes} bytes given back")
        return CleanedView(**asdict(cleaned), given_back_bytes=cleaned.given_back_bytes)

    async def _order(request: Request, response: Response, engine: str | None, word: str, wait_s: float) -> MendedView:
        name, mending = _worker(engine)
        return _told(response, await _audited(request, word, name, partial(mending.order, name, word, wait_s)))

    def _worker(engine: str | None) -> tuple[str, Mending]:
        name = backend.intake.engine(engine, param="engine").info.name
        if backend.mending is None:
            raise _not_ours()
        return name, backend.mending

    return router


def _not_ours() -> ConflictError:
    return ConflictError("The workers are not run by this server; mend them where they run.", code="not_ours")


async def _audited(request: Request, action: str, engine: str, call: partial[Mended]) -> Mended:
    """In a thread of its own: it waits for a worker, and the store's threads are for what is quick."""
    try:
        mended = await asyncio.to_thread(call)
    except LongtakeError as error:
        _audit(request, action, engine, f"refused: {error.message}")
        raise
    if mended.error is not None:
        result = f"failed: {mended.error}"
    elif (given := mended.given_back) is not None:
        of_devices = "" if given.reserved_bytes is None else f", {given.reserved_bytes} of devices"
        result = f"done, {given.rss_bytes} bytes given back{of_devices}"
    else:
        result = "done" if mended.is_done else "on its way"
    _audit(request, action, engine, result)
    return mended


def _audit(request: Request, action: str, engine: str, result: str) -> None:
    actor = ACTORS.get(request.headers.get("user-agent", ""), "api")
    host = request.client.host if request.client else "unknown"
    audit.info("actor=%s@%s action=%s engine=%s result=%s", actor, host, action, engine, result)


def _told(response: Response, mended: Mended) -> MendedView:
    if mended.error is not None:
        raise WorkerError(mended.error, code="not_mended")
    response.status_code = 200 if mended.is_done else 202
    return MendedView(
        engine=mended.engine,
        action=mended.action,
        state=mended.state,
        done=mended.is_done,
        before=_memory(mended.before),
        after=_memory(mended.after),
        given_back=_memory(mended.given_back),
    )


def _memory(use: MemoryUse | None) -> MemoryView | None:
    return None if use is None else MemoryView(**asdict(use))

"""POST /v1/admin/…: what the owner of the machine may do."""

from __future__ import annotations

from fastapi import APIRouter

from longtake.core.errors import ConflictError
from longtake.server.backend import Context
from longtake.wire.health import Restarted


def routes(context: Context) -> APIRouter:
    router = APIRouter(prefix="/v1/admin", tags=["admin"])

    @router.post("/restart", status_code=202)
    async def restart(engine: str | None = None) -> Restarted:
        """Start an engine's worker anew, and close its breaker. Its jobs go on where they stand."""
        name = context.backend.intake.engine(engine).info.name
        if context.backend.restart is None:
            raise ConflictError("The workers are not run by this server; restart them where they run.", code="not_ours")
        await context.in_store(context.backend.restart, name)
        return Restarted(engine=name)

    return router

"""GET /v1/crashes: processes that died, and what is known of it."""

from __future__ import annotations

from fastapi import APIRouter

from longtake.logs.clean import escape
from longtake.server.backend import Context
from longtake.supervise.crashes import Crash, CrashFolder
from longtake.wire.logs import CrashList, CrashView


def routes(context: Context) -> APIRouter:
    router = APIRouter(tags=["logs"])
    folder = CrashFolder(context.backend.folder.crashes)

    @router.get("/v1/crashes")
    async def crashes() -> CrashList:
        """The newest twenty, the newest first."""
        found = await context.in_store(folder.newest)
        return CrashList(crashes=[_to_view(crash) for crash in found])

    return router


def _to_view(crash: Crash) -> CrashView:
    return CrashView(
        id=crash.id,
        at=crash.at,
        process=crash.process,
        pid=crash.pid,
        how=escape(crash.how),
        version=crash.version,
        lived_seconds=crash.lived_s,
        memory=crash.memory,
        words="\n".join(map(escape, crash.words.split("\n"))),
        lines=[dict(line) for line in crash.lines],
        figures=None if crash.figures is None else dict(crash.figures),
    )

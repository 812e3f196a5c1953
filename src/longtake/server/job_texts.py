"""GET /v1/audio/jobs/{id}/subtitles.srt|.vtt and …/script."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from longtake.delivery import require_passages, subtitles_of
from longtake.jobs.store import JobStore
from longtake.server.backend import Context
from longtake.server.incoming import JobId
from longtake.server.jobs import PREFIX, find_job

_MEDIA_TYPES: Final = {"srt": "application/x-subrip", "vtt": "text/vtt"}


def routes(context: Context) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["jobs"])
    store = context.backend.store

    async def subtitles(job_id: str, kind: str) -> Response:
        text = await context.in_store(_subtitles, store, job_id, kind)
        disposition = f'inline; filename="longtake-{job_id}.{kind}"'
        return Response(
            text, media_type=f"{_MEDIA_TYPES[kind]}; charset=utf-8", headers={"Content-Disposition": disposition}
        )

    @router.get("/{job_id}/subtitles.srt", response_class=Response, responses=_told("application/x-subrip"))
    async def srt(job_id: JobId) -> Response:
        """SubRip; of a job that is being spoken, what is spoken so far."""
        return await subtitles(job_id, "srt")

    @router.get("/{job_id}/subtitles.vtt", response_class=Response, responses=_told("text/vtt"))
    async def vtt(job_id: JobId) -> Response:
        """WebVTT, with speakers as voice tags."""
        return await subtitles(job_id, "vtt")

    @router.get("/{job_id}/script", response_class=Response, responses=_told("text/plain"))
    async def script(job_id: JobId) -> Response:
        """The script as it was sent."""
        text = await context.in_store(_script, store, job_id)
        return PlainTextResponse(text)

    return router


def _told(media_type: str) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI, which takes the errors of a PlainTextResponse for plain text, too."""
    return {200: {"content": {media_type: {"schema": {"type": "string"}}}}}


def _script(store: JobStore, job_id: str) -> str:
    find_job(store, job_id)
    return store.script(job_id)


def _subtitles(store: JobStore, job_id: str, kind: str) -> str:
    job = find_job(store, job_id)
    require_passages(store, job)
    return "".join(subtitles_of(store, job, kind))

"""GET /v1/audio/jobs/{id}/subtitles.srt|.vtt and …/script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from longtake.audio import Cue, SpokenPassage, build_cues, to_srt, to_vtt
from longtake.core.units import samples_of, seconds_of
from longtake.jobs.store import JobStore
from longtake.server.backend import Context
from longtake.server.incoming import JobId
from longtake.server.jobs import PREFIX, find_job

_WRITERS: Final[dict[str, tuple[Callable[[Iterable[Cue]], Iterator[str]], str]]] = {
    "srt": (to_srt, "application/x-subrip"),
    "vtt": (to_vtt, "text/vtt"),
}


def routes(context: Context) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["jobs"])
    store = context.backend.store

    async def subtitles(job_id: str, kind: str) -> Response:
        text = await context.in_store(_subtitles, store, job_id, kind)
        disposition = f'inline; filename="longtake-{job_id}.{kind}"'
        return Response(
            text, media_type=f"{_WRITERS[kind][1]}; charset=utf-8", headers={"Content-Disposition": disposition}
        )

    @router.get("/{job_id}/subtitles.srt", response_class=PlainTextResponse)
    async def srt(job_id: JobId) -> Response:
        """SubRip; of a job that is being spoken, what is spoken so far."""
        return await subtitles(job_id, "srt")

    @router.get("/{job_id}/subtitles.vtt", response_class=PlainTextResponse)
    async def vtt(job_id: JobId) -> Response:
        """WebVTT, with speakers as voice tags."""
        return await subtitles(job_id, "vtt")

    @router.get("/{job_id}/script", response_class=PlainTextResponse)
    async def script(job_id: JobId) -> Response:
        """The script as it was sent."""
        text = await context.in_store(_script, store, job_id)
        return PlainTextResponse(text)

    return router


def _script(store: JobStore, job_id: str) -> str:
    find_job(store, job_id)
    return store.script(job_id)


def _subtitles(store: JobStore, job_id: str, kind: str) -> str:
    job = find_job(store, job_id)
    write, _ = _WRITERS[kind]
    return "".join(write(build_cues(_spoken(store, job_id), job.spec.labels)))


def _spoken(store: JobStore, job_id: str) -> Iterator[SpokenPassage]:
    """Passages with their place in the file, as the join puts them there; up to the first that is not spoken yet."""
    at = 0
    for passage, spoken in store.passages(job_id):
        if spoken is None:
            return
        at += samples_of(passage.silence_before_s)
        yield SpokenPassage(seconds_of(at), seconds_of(spoken.samples), spoken.marks, passage.lines)
        at += spoken.samples

"""GET /v1/audio/jobs/{id}/events: what happens to a job, numbered, and again from any number on."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from longtake.core.errors import InputError, NotFoundError
from longtake.jobs.records import Event
from longtake.jobs.states import ENDED
from longtake.jobs.store import JobStore
from longtake.server.backend import Beat, Context
from longtake.server.incoming import MAX_INTEGER, JobId
from longtake.server.jobs import PREFIX, find_job

HEARTBEAT_S = 15.0
_PAGE = 200


def routes(context: Context, heartbeat_s: float = HEARTBEAT_S) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["jobs"])
    store = context.backend.store

    @router.get("/{job_id}/events", response_class=StreamingResponse)
    async def events(
        job_id: JobId,
        after: Annotated[int, Query(ge=0, le=MAX_INTEGER)] = 0,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Server-sent events: `id` counts from 1 without gaps, `event` is its kind (state, progress, recalled).

        `Last-Event-ID`, or `after`, gives what came after that number. The stream ends with the job; asked again after
        that, the answer is 204, which tells a browser's EventSource to stop coming back.
        """
        if last_event_id is not None:
            after = _number(last_event_id)
        first, is_over = await context.in_store(_news, store, job_id, after)
        if is_over and not first:
            return Response(status_code=204)
        stream = _stream(context, job_id, first, is_over, after, heartbeat_s)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    return router


def _number(last_event_id: str) -> int:
    if not (last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) <= 18):
        raise InputError(
            f"The Last-Event-ID is {last_event_id[:40]!a}; it must be the number of an event, such as 7.",
            code="invalid_value",
            param="Last-Event-ID",
        )
    return int(last_event_id)


def _news(store: JobStore, job_id: str, after: int) -> tuple[list[Event], bool]:
    """The events after a number, and whether no more will come: the job is read first, so an ended one has them all."""
    job = find_job(store, job_id)
    found = store.events(job_id, after=after, limit=_PAGE)
    return found, job.state in ENDED and len(found) < _PAGE


async def _stream(
    context: Context, job_id: str, found: list[Event], is_over: bool, after: int, heartbeat_s: float
) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    beat, quiet_since_s = Beat(), time.monotonic()
    while True:
        if found:
            yield b"".join(_to_sse(event) for event in found)
            after = found[-1].number
            beat, quiet_since_s = Beat(), time.monotonic()
        if is_over:
            return
        if not found:
            await beat.wait()
        if time.monotonic() - quiet_since_s >= heartbeat_s:
            yield b": still here\n\n"
            quiet_since_s = time.monotonic()
        try:
            found, is_over = await context.in_store(_news, context.backend.store, job_id, after)
        except NotFoundError:  # deleted while somebody watched
            return


def _to_sse(event: Event) -> bytes:
    data = json.dumps({"at": event.at, **event.data}, ensure_ascii=False, separators=(",", ":"))
    return f"id: {event.number}\nevent: {event.kind}\ndata: {data}\n\n".encode()

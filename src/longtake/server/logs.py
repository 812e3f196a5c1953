"""GET /v1/logs, its live stream, and the log of a job. It reads our own files, never one that a request names."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from longtake.jobs.paths import JOB_LOG
from longtake.logs import (
    Filter,
    Level,
    Page,
    Source,
    job_sources,
    parse_position,
    process_sources,
    read_back,
    read_on,
    to_text,
)
from longtake.server.backend import Context
from longtake.server.hop import Hop
from longtake.server.incoming import JobId
from longtake.server.jobs import PREFIX, find_job
from longtake.server.live import LiveStream, Seats
from longtake.server.log_tail import LogTail, Reader, to_sse, told
from longtake.wire.logs import LogPage

HEARTBEAT_S = 15.0
MAX_READERS = 256
REPLAYED = 1000  # lines since a time, at the beginning of a stream

Least = Annotated[Level, Query()]
Word = Annotated[str | None, Query(min_length=1, max_length=200)]
Moment = Annotated[float | None, Query(allow_inf_nan=False)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=4000)]
_PAGE: dict[int | str, dict[str, Any]] = {200: {"model": LogPage}}


def routes(context: Context, in_logs: Hop, tail: LogTail, heartbeat_s: float = HEARTBEAT_S) -> APIRouter:
    router = APIRouter(tags=["logs"])
    folder = context.backend.folder
    seats = Seats(MAX_READERS, "the log")

    async def page(sources: Sequence[Source], wanted: Filter, limit: int, cursor: str | None) -> Response:
        before = parse_position(cursor, "cursor") if cursor is not None else None
        found = await in_logs(read_back, sources, wanted, limit=limit, before=before)
        return Response(_to_json(found), media_type="application/json", headers={"Cache-Control": "no-store"})

    @router.get("/v1/logs", response_class=Response, responses=_PAGE)
    async def logs(
        level: Least = Level.DEBUG,
        job: Word = None,
        text: Word = None,
        since: Moment = None,
        until: Moment = None,
        limit: Limit = 200,
        cursor: Cursor = None,
    ) -> Response:
        """What all processes have logged, the newest first.

        A request looks through some MB at most: an answer may have fewer lines than `limit`, or none, and a `cursor`
        all the same.
        """
        wanted = Filter(level, job, text, since, until)
        return await page(process_sources(folder.logs), wanted, limit, cursor)

    @router.get("/v1/logs/stream", response_class=StreamingResponse)
    async def stream(
        level: Least = Level.DEBUG,
        job: Word = None,
        text: Word = None,
        since: Moment = None,
        after: Cursor = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Lines as they are written, as server-sent events: `line`, and `gap` where some are left out.

        It begins now; or with lines `since` a time, 1,000 at most; or behind a position, `after` or `Last-Event-ID`.
        """
        start = last_event_id if last_event_id is not None else after
        position = None if start is None else parse_position(start, "after" if start is after else "Last-Event-ID")
        wanted = Filter(level, job, text, since)
        reader = await tail.attach(wanted)
        sources = process_sources(folder.logs)
        first = b""
        if position is not None:
            batch = await in_logs(read_on, sources, position, until=reader.start)
            first = b"".join(told(batch, position, wanted))
        elif since is not None:
            earlier = await in_logs(read_back, sources, wanted, limit=REPLAYED, before=reader.start)
            first = b"".join(to_sse(raw, to_text(reader.start)) for raw in reversed(earlier.lines))
        return LiveStream(_follow(tail, reader, first, heartbeat_s), seats)

    @router.get(PREFIX + "/{job_id}/log", response_class=Response, responses=_PAGE)
    async def of_job(
        job_id: JobId, level: Least = Level.DEBUG, text: Word = None, limit: Limit = 200, cursor: Cursor = None
    ) -> Response:
        """What was logged of a job, the newest first; it goes when the job is deleted."""
        await context.in_store(find_job, context.backend.store, job_id)
        sources = job_sources(folder.job(job_id) / JOB_LOG)
        return await page(sources, Filter(level, text=text), limit, cursor)

    return router


def _to_json(page: Page) -> bytes:
    """As `LogPage` says it; the lines are JSON already."""
    cursor = json.dumps(to_text(page.older) if page.older is not None else None).encode()
    position = json.dumps(to_text(page.newest)).encode()
    return b'{"lines":[%b],"cursor":%b,"position":%b}' % (b",".join(page.lines), cursor, position)


async def _follow(tail: LogTail, reader: Reader, first: bytes, heartbeat_s: float) -> AsyncIterator[bytes]:
    try:
        yield b"retry: 2000\n\n" + first
        while True:
            yield await reader.news(heartbeat_s) or b": still here\n\n"
    finally:
        tail.detach(reader)

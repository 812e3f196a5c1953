"""GET /v1/audio/jobs/{id}/audio: the finished file by ranges; before that, what is spoken so far, or its live tail."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse

from longtake.audio.formats import parse_format
from longtake.core.errors import NotFoundError
from longtake.delivery import audio_path
from longtake.jobs.records import Job
from longtake.jobs.states import ENDED, State
from longtake.server.backend import Context
from longtake.server.errors import INVALID, BrokenStreamError, Failure
from longtake.server.incoming import JobId
from longtake.server.jobs import PREFIX, find_job
from longtake.server.listening import listen
from longtake.server.speech import Delivery
from longtake.server.tail import BLOCK_BYTES

_ONE_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")
_FAR = 10**18  # no file is as long


def routes(context: Context) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["jobs"])

    @router.head("/{job_id}/audio", include_in_schema=False)
    @router.get("/{job_id}/audio", response_class=Response)
    async def audio(
        request: Request,
        job_id: JobId,
        wait: Annotated[bool, Query()] = True,
        range_header: Annotated[str | None, Header(alias="Range")] = None,
    ) -> Response:
        """The audio, whatever the state of the job; the header `Longtake-Job-State` tells it.

        Done: the file, with Range. Not ended: its bytes as they come until it is done, also when it is still queued;
        with `wait=false` what is there now; with a Range other than `bytes=0-`, that part of what is there now (206
        with an unknown total, 416 beyond it). Failed or cancelled: what was spoken, or 404.
        """
        found = await context.in_store(_find, context, job_id)
        job, size = found.job, found.size
        headers = _headers(job)
        media_type = parse_format(job.spec.response_format).media_type
        wanted = (range_header or "").replace(" ", "")
        span = _parse_range(wanted, size)
        if job.state in ENDED and found.path is None:
            if job.state is State.DONE:
                raise NotFoundError(f"The audio of {job.id} is gone from the data folder.", code="audio_missing")
            raise NotFoundError(f"The job {job.id} is {job.state}; nothing of it was spoken.", code="no_audio")
        if span is not None and span.is_empty and not (wait and wanted == "bytes=0-"):
            return _not_satisfiable(span, job, size)
        if job.state is State.DONE and found.path is not None:
            # None: several ranges, or none that is understood: the whole file, as RFC 9110 allows.
            _ask_for(request, span)
            return FileResponse(found.path, media_type=media_type, headers=headers)
        headers["Cache-Control"] = "no-store"
        if wait and job.state not in ENDED and (span is None or wanted == "bytes=0-"):
            if request.method == "HEAD":
                return _without_length(Response(media_type=media_type, headers=headers))
            tail, close = listen(context, job)
            return Delivery(tail.blocks(), close, media_type=media_type, headers=headers)
        headers["Accept-Ranges"] = "bytes"
        status = 200
        if span is None:
            span = Span(0, size)
        else:
            status = 206
            headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/*"
        headers["Content-Length"] = str(span.end - span.start)
        if request.method == "HEAD" or span.is_empty:  # nothing spoken yet, and nobody waits: an empty answer is true
            return Response(None, status, headers, media_type)
        file = await context.in_store(_open, context, job_id)
        return Delivery(
            _read(context, file, span), file.close, status_code=status, media_type=media_type, headers=headers
        )

    return router


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes that are asked for, the end excluded."""

    start: int
    end: int

    @property
    def is_empty(self) -> bool:
        return self.start >= self.end


@dataclass(frozen=True, slots=True)
class Found:
    """A job and the file that holds its audio; None and 0 when nothing is spoken yet."""

    job: Job
    path: Path | None
    size: int


def _find(context: Context, job_id: str) -> Found:
    while True:
        job = find_job(context.backend.store, job_id)
        path = audio_path(context.backend.folder, job)
        try:
            return Found(job, path, path.stat().st_size if path is not None else 0)
        except FileNotFoundError:  # renamed or replaced in this very moment: it has another name now
            continue


def _open(context: Context, job_id: str) -> BinaryIO:
    while True:
        path = _find(context, job_id).path
        if path is None:
            raise NotFoundError(f"The audio of {job_id} is gone.", code="audio_missing")
        try:
            return path.open("rb")
        except FileNotFoundError:
            continue


async def _read(context: Context, file: BinaryIO, span: Span) -> AsyncIterator[bytes]:
    """Exactly the bytes that were promised, though the file may have grown since."""
    await context.in_store(file.seek, span.start)
    left = span.end - span.start
    while left > 0:
        block = await context.in_store(file.read, min(left, BLOCK_BYTES))
        if not block:  # the part of a new claim, and not yet as long as the old one was
            raise BrokenStreamError("The audio is shorter than it was a moment ago.")
        left -= len(block)
        yield block


def _headers(job: Job) -> dict[str, str]:
    name = f"longtake-{job.id}{parse_format(job.spec.response_format).suffix}"
    return {"Content-Disposition": f'inline; filename="{name}"', "Longtake-Job-State": str(job.state)}


def _parse_range(wanted: str, size: int) -> Span | None:
    """What of the first `size` bytes is asked for; None for all, and for forms that may be ignored (RFC 9110, 14.2)."""
    match = _ONE_RANGE.fullmatch(wanted)
    if match is None or match.group() == "bytes=-":
        return None
    first, last = (_place(digits) if digits else None for digits in match.groups())
    if first is None:
        return Span(max(0, size - (last or 0)), size)
    if last is not None and last < first:
        return None
    return Span(first, size if last is None else min(size, last + 1))


def _place(digits: str) -> int:
    """However many digits a client writes: Python refuses to read more than some thousand."""
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= 18 else _FAR


def _not_satisfiable(span: Span, job: Job, size: int) -> Response:
    so_far = "" if job.state is State.DONE else " so far"
    message = f"The range begins at byte {span.start}, but the audio has {size} bytes{so_far}."
    failure = Failure(416, message, INVALID, "Range", "range_not_satisfiable")
    return failure.to_response({"Content-Range": f"bytes */{size}"})


def _without_length(response: Response) -> Response:
    """Nobody knows yet how long it will be; an empty body would say 0."""
    del response.headers["content-length"]
    return response


def _ask_for(request: Request, span: Span | None) -> None:
    """What FileResponse shall read as the Range: it has an opinion of its own on every other way to write it."""
    headers = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
    if span is not None and not span.is_empty:
        headers.append((b"range", f"bytes={span.start}-{span.end - 1}".encode()))
    request.scope["headers"] = headers

"""What a browser without the key needs of the API: audio, subtitles, the text of a file, figures, logs. A narrow door.

Only opened with a key: the browser does not have it, and an audio element could not send it. Passes on a GET of three
known files of a job with its range, the bytes of a script file that is to be read, a GET of the few routes that the
tabs show, with the parameters that they have, and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import httpx
from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from longtake.studio.client import JOB_ID, Api
from longtake.studio.text import choose_language, say

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the browser finds the files of a job (before its id), who tells it the text of a script file, and where
    figures, lines of the log and reports are."""

    jobs: str
    decode: str
    monitor: str
    logs: str
    report: str


OPEN: Final = Addresses("/v1/audio/jobs", "/v1/audio/decode", "/v1/monitor", "/v1/logs", "/v1/report")
GUARDED: Final = Addresses("/studio/jobs", "/studio/decode", "/studio/monitor", "/studio/logs", "/studio/report")
_READS: Final = {
    # Path of the browser → path of the API, and the parameters that are passed on.
    GUARDED.monitor: (OPEN.monitor, ()),
    f"{GUARDED.monitor}/series": (f"{OPEN.monitor}/series", ("names", "seconds", "steps")),
    GUARDED.logs: (OPEN.logs, ("level", "job", "text", "limit", "cursor")),
    f"{GUARDED.logs}/stream": (f"{OPEN.logs}/stream", ("level", "job", "text", "after")),
    GUARDED.report: (OPEN.report, ("since", "lang")),
}
_PASSED_ON: Final = (
    *("content-type", "content-length", "content-range", "content-disposition", "accept-ranges"),
    *("cache-control", "etag", "last-modified", "longtake-job-state", "x-accel-buffering"),
)
# A live stream rests while its worker is slow or paused, so nothing may end it but its listener.
_STREAM_TIMEOUT = httpx.Timeout(None, connect=5.0)


def routes(api: Api, is_signed_in: Callable[[Request], bool]) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get(GUARDED.jobs + "/{job_id}/{name}")
    async def file(
        request: Request,
        job_id: str,
        name: Literal["audio", "subtitles.srt", "subtitles.vtt"],
        wanted: Annotated[str | None, Header(alias="Range")] = None,
    ) -> Response:
        """The file, streamed from the API with the page's key."""
        language = choose_language(request.headers.get("accept-language"))
        if not is_signed_in(request):
            return _refusal(401, say(language, "sign_in"))
        if not JOB_ID.fullmatch(job_id):
            return _refusal(404, say(language, "wrong_id"))
        return await _passed_on(api, language, f"{OPEN.jobs}/{job_id}/{name}", {"Range": wanted})

    @router.post(GUARDED.decode)
    async def decode(request: Request) -> Response:
        """The text of a file, as the API reads it. How large it may be is watched where every body is."""
        language = choose_language(request.headers.get("accept-language"))
        if not is_signed_in(request):
            return _refusal(401, say(language, "sign_in"))
        try:
            answer = await api.http.post(OPEN.decode, content=await request.body())
        except httpx.TransportError:
            return _refusal(502, say(language, "unreachable"))
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    async def read(
        request: Request, last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None
    ) -> Response:
        """Figures, lines or a report, streamed from the API with the page's key. The API judges the values."""
        language = choose_language(request.headers.get("accept-language"))
        if not is_signed_in(request):
            return _refusal(401, say(language, "sign_in"))
        path, names = _READS[request.url.path]
        query = {name: request.query_params[name] for name in names if name in request.query_params}
        return await _passed_on(api, language, path, {"Last-Event-ID": last_event_id}, query)

    for path in _READS:
        router.add_api_route(path, read, methods=["GET"])
    return router


async def _passed_on(
    api: Api, language: str, path: str, headers: Mapping[str, str | None], query: Mapping[str, str] | None = None
) -> Response:
    """The API's answer to a GET, as it comes."""
    # Compressed, its length would be another one than a range speaks of.
    sent = {"Accept-Encoding": "identity"} | {name: value for name, value in headers.items() if value}
    asked = api.http.build_request("GET", path, headers=sent, params=query, timeout=_STREAM_TIMEOUT)
    try:
        answer = await api.http.send(asked, stream=True)
    except httpx.TransportError:
        return _refusal(502, say(language, "unreachable"))
    return _Relay(answer, {key: answer.headers[key] for key in _PASSED_ON if key in answer.headers})


class _Relay(StreamingResponse):
    """An answer of the API, passed on as it comes; closed when the listener leaves, at whatever moment."""

    def __init__(self, answer: httpx.Response, headers: dict[str, str]) -> None:
        super().__init__(answer.aiter_raw(), answer.status_code, headers)
        self._answer = answer

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        try:
            await super().__call__(scope, receive, send)  # type: ignore[arg-type]
        except httpx.TransportError as error:
            # The API cut it off and has told why. Left unfinished, this answer is cut off, too.
            log.warning("A file that was passed on was cut off: %s", error)
        finally:
            await self._answer.aclose()


def _refusal(status: int, message: str) -> JSONResponse:
    detail = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return JSONResponse({"error": detail}, status)

"""Errors to HTTP: one table of statuses, one envelope. The only place that knows both."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longtake.core import errors

log = logging.getLogger(__name__)

INVALID = "invalid_request_error"
LIMIT = "rate_limit_error"
SERVER = "server_error"

# The first row whose class fits is taken, so children stand above their parents.
STATUSES: tuple[tuple[type[errors.LongtakeError], int, str], ...] = (
    (errors.NotFoundError, 404, INVALID),
    (errors.ConflictError, 409, INVALID),
    (errors.TooLargeError, 413, INVALID),
    (errors.InputError, 400, INVALID),
    (errors.QueueFullError, 429, LIMIT),
    (errors.DiskFullError, 507, SERVER),
    (errors.CapacityError, 413, INVALID),  # never fits; with retry_after_s it is 503, see `status_of`
    (errors.TransientError, 503, SERVER),
    (errors.EngineError, 500, SERVER),
    (errors.WorkerError, 503, SERVER),
    (errors.InvariantError, 500, SERVER),
    (errors.LongtakeError, 500, SERVER),
)
_DEFAULT_RETRY_S = 1.0
_INTERNAL = "Something went wrong inside longtake. The log of the server has the details."


class BrokenStreamError(Exception):
    """The audio cannot be completed and its answer has begun: only a cut connection can still tell the client."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error on its way to a client, as status, headers and envelope."""

    status: int
    message: str
    type: str
    param: str | None = None
    code: str | None = None
    retry_after_s: float | None = None

    @property
    def detail(self) -> dict[str, str | None]:
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}

    def to_response(self, headers: Mapping[str, str] | None = None) -> JSONResponse:
        return JSONResponse({"error": self.detail}, self.status, {**(headers or {}), **self._retry_headers()})

    def _retry_headers(self) -> dict[str, str]:
        """OpenAI's clients repeat 409, 429 and 5xx by themselves, unless they are told not to."""
        if self.status in (429, 503):
            wait_s = _DEFAULT_RETRY_S if self.retry_after_s is None else self.retry_after_s
            return {"Retry-After": str(math.ceil(wait_s)), "retry-after-ms": str(round(wait_s * 1000))}
        return {"x-should-retry": "false"}


def to_failure(error: errors.LongtakeError) -> Failure:
    """The table, applied. A bug of ours keeps its message for the log."""
    status, kind = next((status, kind) for each, status, kind in STATUSES if isinstance(error, each))
    if isinstance(error, errors.CapacityError) and status == 413 and error.retry_after_s is not None:
        status, kind = 503, SERVER
    message = _INTERNAL if isinstance(error, errors.InvariantError) else error.message
    return Failure(status, message, kind, error.param, error.code, error.retry_after_s)


def failure_of_job(error: Mapping[str, Any] | None) -> Failure:
    """What a failed job says of itself, as the answer to the request that it was made for."""
    error = error or {}
    kind = INVALID if error.get("type") == INVALID else SERVER
    param = error.get("param")
    return Failure(
        400 if kind == INVALID else 500,
        error.get("message") or "The engine could not speak this.",
        kind,
        "input" if param == "script" else param,
        error.get("code") or "engine_failed",
    )


def failure_of_fields(found: Sequence[Mapping[str, Any]]) -> Failure:
    """The first thing that pydantic found wrong, in OpenAI's words: message with value and limit, dotted path, code."""
    # A missing field explains more than what else is wrong beside it.
    first = next((each for each in found if each["type"] == "missing"), found[0])
    path = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header", "[key]")]
    param = ".".join(path) or None
    code, message = _explain(first, param)
    return Failure(400, message, INVALID, param, code)


def _explain(found: Mapping[str, Any], param: str | None) -> tuple[str, str]:
    context: Mapping[str, Any] = found.get("ctx") or {}
    value = _show(found.get("input"))
    match found["type"]:
        case "missing":
            return "missing_required_parameter", f"Missing required parameter: '{param}'."
        case "extra_forbidden":
            return "unknown_parameter", f"Unknown parameter: '{param}'. Leave it out."
        case "string_too_short":
            return "string_below_min_length", f"'{param}' is empty; it needs at least one character."
        case "string_too_long":
            length, limit = len(found["input"]), context["max_length"]
            return "string_above_max_length", f"'{param}' has {length} characters; the limit is {limit}."
        case "too_long":
            count, limit = len(found["input"]), context["max_length"]
            return "too_many_items", f"'{param}' has {count} items; the limit is {limit}."
        case "greater_than_equal":
            return "value_below_min", f"'{param}' is {value}; it must be {context['ge']} or more."
        case "less_than_equal":
            return "value_above_max", f"'{param}' is {value}; it must be {context['le']} or less."
        case "literal_error" | "enum":
            return "invalid_value", f"'{param}' is {value}; it must be {context['expected']}."
        case "json_invalid":
            return "invalid_json", f"The body is not JSON: {context['error']}."
        case "model_type" | "model_attributes_type":
            return "invalid_type", f"The body must be a JSON object, not {value}."
        case "control_character" | "voice_object":
            return "invalid_value", f"'{param}': {found['msg']}"
        case _:
            return "invalid_type", f"'{param}' is {value}: {found['msg'][:1].lower()}{found['msg'][1:]}."


def _show(value: Any) -> str:
    text = ascii(value)  # ASCII: what was sent must not be able to disturb a terminal
    return text if len(text) <= 60 else f"{text[:57]}..."


def install_handlers(app: FastAPI) -> None:
    """Every error of every route becomes an envelope."""

    async def on_longtake(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, errors.LongtakeError)  # noqa: S101
        failure = to_failure(error)
        if failure.status >= 500:
            log.error("%s %s: %s", request.method, request.url.path, error, exc_info=error)
        return failure.to_response()

    async def on_fields(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return failure_of_fields(error.errors()).to_response()

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101
        return _failure_of_http(request, error).to_response(error.headers)

    app.add_exception_handler(errors.LongtakeError, on_longtake)
    app.add_exception_handler(RequestValidationError, on_fields)
    app.add_exception_handler(HTTPException, on_http)


class LastResort:
    """ASGI middleware: what nobody expected becomes an envelope; once the answer has begun, a cut connection.

    A stream that is broken on purpose is a line of the log. The answer is left unfinished, and every ASGI server cuts
    the connection then; `unfinished_is_told` keeps uvicorn from telling it a second time.

    It stands inside the others. A handler of FastAPI for `Exception` stands outside of them all, where its answer would
    be neither counted nor given their headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def send_noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except ClientDisconnect:  # it left before its request was whole
            pass
        except BrokenStreamError as error:  # nothing but a stream raises it
            log.warning("%s %s was cut off: %s", scope["method"], scope["path"], error)
        except Exception as error:  # the border of HTTP
            if scope["type"] != "http" or has_begun:
                raise
            log.error("%s %s", scope["method"], scope["path"], exc_info=error)
            await Failure(500, _INTERNAL, SERVER, None, "internal_error").to_response()(scope, receive, send)


def unfinished_is_told(record: logging.LogRecord) -> bool:
    """A filter for uvicorn's log: False for what `LastResort` has already told."""
    return record.msg != "ASGI callable returned without completing response."


def _failure_of_http(request: Request, error: HTTPException) -> Failure:
    where = f"{request.method} {request.url.path}"
    if error.status_code == 404:
        return Failure(404, f"There is no route {where}. GET /openapi.json lists them.", INVALID, None, "unknown_route")
    if error.status_code == 405:
        can = (error.headers or {}).get("Allow", "other methods")
        return Failure(405, f"{where} is not allowed here; use {can}.", INVALID, None, "method_not_allowed")
    phrase = HTTPStatus(error.status_code).phrase
    kind = INVALID if error.status_code < 500 else SERVER
    return Failure(error.status_code, str(error.detail or phrase), kind, None, phrase.lower().replace(" ", "_"))

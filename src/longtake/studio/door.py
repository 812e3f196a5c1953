"""What of Gradio can be reached: the routes that the page needs, with nothing in them but plain values.

Gradio is made to open files: any value of any component that looks like a file is copied from the disk, or fetched from
the network, before the component sees it. This page has no file to open, so none gets in.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_EVENT: Final = ("POST", "/gradio_api/queue/join")
_ROUTES: Final = (
    ("GET", re.compile(r"/(config|theme\.css|favicon\.ico|robots\.txt|logout)?")),
    ("HEAD", re.compile(r"/")),
    ("GET", re.compile(r"/(assets|static)/.+")),
    ("GET", re.compile(r"/gradio_api/(app_id|queue/data|heartbeat/\w+)")),
    ("POST", re.compile(r"/login/?")),
    (_EVENT[0], re.compile(re.escape(_EVENT[1]))),
)


class PageMount(Mount):
    """Gradio's application at `/`, as far as the page needs it; for all else there is no route.

    So whoever has mounted it answers wrong routes and methods in its own way, as it does without the page.
    """

    def __init__(self, page: ASGIApp) -> None:
        super().__init__("/", app=_PlainValues(page))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or not _is_needed(scope["method"], scope["path"]):
            return Match.NONE, {}
        return super().matches(scope)


def _is_needed(method: str, path: str) -> bool:
    return any(method == each and pattern.fullmatch(path) for each, pattern in _ROUTES)


class _PlainValues:
    """ASGI middleware: an event carries texts, numbers and truths; what could be a file is refused unread."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (scope["method"], scope["path"]) != _EVENT:
            await self._app(scope, receive, send)
            return
        event = _read(await Request(scope, receive).body())
        if event is None:
            message = "An event of the page is an object with plain values: texts, numbers, true, false, null."
            detail = {"message": message, "type": "invalid_request_error", "param": "data", "code": "invalid_value"}
            await JSONResponse({"error": detail}, 400)(scope, receive, send)
            return
        is_sent = False

        # Written anew, so that there are no two ways to read it.
        async def receive_checked() -> Message:
            nonlocal is_sent
            if is_sent:
                return await receive()
            is_sent = True
            return {"type": "http.request", "body": json.dumps(event).encode(), "more_body": False}

        await self._app(scope, receive_checked, send)


def _read(body: bytes) -> dict[str, Any] | None:
    """The event; None when it is none, or when something in it could be a file."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("data"), list):
        return None
    # What an event of HTML tells is an object, and a file would be one with an object inside.
    values = [*event["data"], *(value for name, value in event.items() if name not in ("data", "event_data"))]
    told = event.get("event_data")
    values += told.values() if isinstance(told, dict) else [told]
    return event if all(value is None or isinstance(value, str | int | float) for value in values) else None

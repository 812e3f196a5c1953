"""Watches every request: counts it for the metrics and gives it an id that the log and the client share."""

from __future__ import annotations

import secrets
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longtake.monitor import Metrics

_OTHER = "other"  # a path that no route of ours has: whatever clients invent must not make new series


class Observe:
    """ASGI middleware; the outermost, so that it also sees what the gate refuses."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        request_id = f"req_{secrets.token_hex(8)}"

        async def send_observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("x-request-id", request_id)
                route = getattr(scope.get("route"), "path", None) or _OTHER
                seconds = time.perf_counter() - began_s
                self._metrics.observe_request(scope["method"], route, message["status"], seconds)
            await send(message)

        await self._app(scope, receive, send_observed)

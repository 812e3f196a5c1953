"""Who may come in, and with how much: Host, Origin, key, size of the body. Stands before every route."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longtake.config import ServerSettings
from longtake.core.errors import TooLargeError
from longtake.core.units import format_bytes
from longtake.server.errors import INVALID, Failure, to_failure

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_RECORDINGS = ("POST", "/v1/audio/voices")
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Gate:
    """ASGI middleware.

    A page on the internet can make a browser send requests to 127.0.0.1: by a name that it points there (so the Host
    must be one of ours) or across origins (so whoever changes something must come from the same origin, or no page).
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._settings = settings
        self._allowed = frozenset(host.lower().strip("[]") for host in settings.allowed_hosts)
        self._bound = settings.host.lower().strip("[]")
        self._key = _digest(settings.api_key.encode()) if settings.api_key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._judge(scope, headers)
        if scope["type"] == "websocket":
            if refusal is not None:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
            else:
                await self._app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                outgoing = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    outgoing.setdefault(name, value)
                if message["status"] == 413:  # otherwise the rest of the body would still be taken in, and thrown away
                    outgoing["Connection"] = "close"
            await send(message)

        if refusal is not None:
            # A key is asked for as RFC 6750 wants it.
            extra = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None
            await refusal.to_response(extra)(scope, receive, send_secured)
        else:
            await self._app(scope, self._counted(receive, scope), send_secured)

    def _judge(self, scope: Scope, headers: Headers) -> Failure | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return Failure(
                421,
                f"Requests for the host {host!a} are not answered here. If it is a name of this machine, allow it "
                "with the setting server.allowed_hosts.",
                INVALID,
                None,
                "host_not_allowed",
            )
        if scope["type"] == "websocket" or scope["method"] not in _READS:
            refusal = self._judge_origin(headers, host)
            if refusal is not None:
                return refusal
        if self._key is not None and _needs_key(scope["path"]) and not self._has_key(headers):
            return Failure(
                401,
                "The API key is missing or wrong. Send it as `Authorization: Bearer KEY`.",
                INVALID,
                None,
                "invalid_api_key",
            )
        length = headers.get("content-length", "")
        if length.isdecimal():
            size = int(length[:20])  # Python refuses to read some thousand digits; what is cut off is too large anyway
            if size > self._limit(scope)[0]:
                return to_failure(self._too_large(size, scope))
        return None

    def _limit(self, scope: Scope) -> tuple[int, str]:
        """How many bytes a body may have, and the setting that says so."""
        if (scope.get("method"), scope["path"]) == _RECORDINGS:
            return self._settings.recording_max_bytes, "server.recording_max_bytes"
        return self._settings.body_max_bytes, "server.body_max_bytes"

    def _is_ours(self, host_header: str) -> bool:
        host = _host_of(host_header)
        if not host:
            return False
        if host == "localhost" or host.endswith(".localhost") or host == self._bound or "*" in self._allowed:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return host in self._allowed
        # Nobody can point a foreign name at us and still send our address as the Host.
        return address.is_loopback or not _is_loopback(self._bound) or host in self._allowed

    def _judge_origin(self, headers: Headers, host: str) -> Failure | None:
        origin = headers.get("origin")
        if origin is None:
            is_foreign = headers.get("sec-fetch-site") == "cross-site"
        else:
            authority = _authority_of(origin)
            is_foreign = authority != host.lower() and _host_of(authority) not in self._allowed
        if not is_foreign:
            return None
        return Failure(
            403,
            f"This request comes from a page of another origin ({origin!a}), which may change nothing here.",
            INVALID,
            None,
            "cross_origin_refused",
        )

    def _has_key(self, headers: Headers) -> bool:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        # Digests are compared, so the time tells neither the key's length nor its beginning.
        return scheme.lower() == "bearer" and hmac.compare_digest(
            _digest(key.strip().encode("latin-1")), self._key or b""
        )

    def _counted(self, receive: Receive, scope: Scope) -> Receive:
        """Stops reading at the limit: a chunked body does not say its length beforehand."""
        received = 0
        limit, _ = self._limit(scope)

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    raise self._too_large(received, scope)
            return message

        return receive_counted

    def _too_large(self, size: int, scope: Scope) -> TooLargeError:
        limit, setting = self._limit(scope)
        return TooLargeError(
            f"The body has {size} bytes or more; the limit is {limit} ({format_bytes(limit)}), the setting {setting}.",
            code="body_too_large",
        )


def _needs_key(path: str) -> bool:
    return path == "/metrics" or path == "/v1" or path.startswith("/v1/")


def _host_of(authority: str) -> str:
    """``[::1]:7860`` → ``::1``; empty when it cannot be read."""
    try:
        return (urlsplit(f"//{authority}").hostname or "").lower()
    except ValueError:
        return ""


def _authority_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()

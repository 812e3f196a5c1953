"""POST /v1/audio/decode: the text of a script file, for clients that have no decoder of their own."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from longtake.script import Limits, check_size, decode_script
from longtake.server.backend import Context
from longtake.wire.check import TextView

_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def routes(context: Context) -> APIRouter:
    router = APIRouter(tags=["check"])

    @router.post("/v1/audio/decode", openapi_extra=_FILE)
    async def decode(request: Request) -> TextView:
        """Read the bytes of a script file: UTF-8, UTF-16 with a mark, GB18030. Line breaks become LF."""
        return await context.in_store(_decode, await request.body(), context.backend.intake.limits)

    return router


def _decode(data: bytes, limits: Limits) -> TextView:
    check_size(data, limits)
    text = decode_script(data)
    check_size(text, limits)
    return TextView(text=text)

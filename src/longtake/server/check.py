"""POST /v1/audio/check: what a script would become, without speaking it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from longtake.core.errors import TooLargeError
from longtake.intake import JobRequest
from longtake.server.backend import Context
from longtake.server.incoming import documented, json_body
from longtake.server.views import to_check_view
from longtake.wire.check import CheckView, FindingView
from longtake.wire.jobs import CheckBody


def routes(context: Context) -> APIRouter:
    router = APIRouter(tags=["check"])

    @router.post("/v1/audio/check", openapi_extra=documented(CheckBody))
    async def check(body: Annotated[CheckBody, Depends(json_body(CheckBody))]) -> CheckView:
        """Lint the script, estimate its length, and say whether it fits."""
        return await context.in_store(_check, context, body)

    return router


def _check(context: Context, body: CheckBody) -> CheckView:
    try:
        return to_check_view(context.backend.intake.judge(to_request(body)))
    except TooLargeError as error:
        # Too long even to be read: that is the answer, not a failure to answer.
        finding = FindingView(severity="error", code=error.code, line=None, column=None, message=error.message)
        return CheckView(
            ok=False,
            fits=False,
            findings=[finding],
            speakers=[],
            characters=len(body.script),
            turns=0,
            passages=0,
            estimate=None,
        )


def to_request(body: CheckBody) -> JobRequest:
    """What the intake understands."""
    return JobRequest(
        script=body.script,
        model=body.model,
        voices=body.voices,
        voice=body.voice,
        speed=body.speed,
        settings=body.settings,
        turn_silence_s=body.turn_silence_seconds,
        sentence_silence_s=body.sentence_silence_seconds,
    )

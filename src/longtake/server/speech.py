"""POST /v1/audio/speech: OpenAI's contract. A job of its own, delivered while it is spoken, gone when its reader is."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from longtake.audio.formats import parse_format
from longtake.core.errors import InputError, LongtakeError, TransientError
from longtake.core.units import SAMPLE_RATE_HZ
from longtake.engines.base import EngineAbout
from longtake.intake import Intake, JobRequest
from longtake.jobs.records import Job, Kind
from longtake.jobs.states import State
from longtake.script.language import language_of
from longtake.server.backend import Beat, Context
from longtake.server.errors import INVALID, SERVER, BrokenStreamError, Failure, failure_of_job, to_failure
from longtake.server.incoming import documented, json_body
from longtake.server.listening import listen
from longtake.server.tail import Look, Tail
from longtake.server.transients import Transients
from longtake.supervise import WorkerState
from longtake.wire.speech import OPENAI_MODELS, OPENAI_VOICES, SpeechBody

# OpenAI counts tokens of its own models; these keep its clients' arithmetic going: about 4 characters of English are a
# token, and its audio has about 20 a second.
_CHARACTERS_PER_TOKEN, _AUDIO_TOKENS_PER_S = 4, 20


def routes(context: Context, transients: Transients) -> APIRouter:
    router = APIRouter(tags=["speech"])
    backend = context.backend

    @router.post("/v1/audio/speech", openapi_extra=documented(SpeechBody), response_class=Response)
    async def speak(request: Request, body: Annotated[SpeechBody, Depends(json_body(SpeechBody))]) -> Response:
        """Speak a text of up to `speech_max_characters` characters, as OpenAI's clients ask for it."""
        _check_length(body.input, context.settings.speech_max_characters)
        audio_format = parse_format(body.response_format)
        job = await context.in_store(_submit, context, body)
        tail, leave = listen(context, job)

        def close() -> None:
            leave()
            transients.discard(job.id)

        try:
            backend.wake(job.spec.engine)
            look = await _first_look(request, context, tail, job.id, is_whole=audio_format.recipe.is_patched)
        except ClientDisconnect:
            close()
            return Response(status_code=499)  # nobody reads it; nginx made the number known, for logs
        except BaseException:
            close()
            raise
        if isinstance(look, Failure):
            close()
            return look.to_response()
        blocks = _all(look.data, tail, context)
        if body.stream_format == "sse":
            content = _to_events(blocks, body, context, job.id)
            return Delivery(content, close, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        headers = {"Cache-Control": "no-store"}
        if look.job.audio_bytes is not None:
            headers["Content-Length"] = str(look.job.audio_bytes)
        return Delivery(blocks, close, media_type=audio_format.media_type, headers=headers)

    return router


class Delivery(StreamingResponse):
    """A stream whose end is always noticed: sent, broken, abandoned, or never begun."""

    def __init__(self, content: AsyncIterator[bytes], on_end: Any, **options: Any) -> None:
        super().__init__(content, **options)
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_end()


def _check_length(text: str, limit: int) -> None:
    if len(text) > limit:
        raise InputError(
            f"The input has {len(text)} characters; the limit is {limit}. Use POST /v1/audio/jobs for long texts, or "
            "raise the limit with --speech-max-characters.",
            code="string_above_max_length",
            param="input",
        )


def _submit(context: Context, body: SpeechBody) -> Job:
    intake = context.backend.intake
    try:
        engine = intake.engine(None if body.model in OPENAI_MODELS else body.model)
        _require_worker(context, engine.info.name)
        request = JobRequest(
            is_plain=True,
            script=body.input,
            model=engine.info.name,
            voice=_voice(intake, engine, body.voice, body.input),
            response_format=body.response_format,
            speed=body.speed,
        )
        return intake.submit(request, kind=Kind.SPEECH)[0]
    except LongtakeError as error:
        error.param = "input" if error.param == "script" else error.param
        raise


def _voice(intake: Intake, engine: EngineAbout, voice: str, text: str) -> str | None:
    """The engine's voice of that id, or the one that stands for OpenAI's, in the language of the text.

    None when there is no voice at all: the intake says so, and what to do.
    """
    if voice not in OPENAI_VOICES or intake.find_voice(engine, voice) is not None:
        return voice
    return intake.stand_in(engine, OPENAI_VOICES.index(voice), language_of(text))


def _require_worker(context: Context, engine: str) -> None:
    """
    Raises:
        TransientError: No worker will come by itself: somebody would wait for ever.
    """
    status = context.backend.worker(engine)
    if status is None or status.state in (WorkerState.BROKEN, WorkerState.STOPPED):
        why = "has no worker" if status is None else f"is {status.state}: {status.reason or 'no reason is known'}"
        raise TransientError(
            f"The engine {engine} {why}. GET /readyz tells more; POST /v1/admin/restart starts it anew.",
            code="server_overloaded",
            retry_after_s=10.0,
        )


async def _first_look(request: Request, context: Context, tail: Tail, job_id: str, *, is_whole: bool) -> Look | Failure:
    """Wait for the first audio, or for all of it where the header is only right at the end.

    Only then is the status sent, so that a failure before the first sound is an error and not an empty 200.

    Raises:
        ClientDisconnect: Nobody waits any more.
    """
    beat = Beat()
    while True:
        if is_whole:  # not a byte is read before the header is patched
            look = Look(await context.in_store(context.backend.store.job, job_id), b"")
        else:
            look = await tail.look()
        failure = _failure_of(look.job, context)
        if failure is not None:
            return failure
        if look.data or look.job.state is State.DONE:
            return look
        if await request.is_disconnected():
            raise ClientDisconnect
        await beat.wait()


def _failure_of(job: Job, context: Context) -> Failure | None:
    """Why this speech will never be complete; None while it may."""
    match job.state:
        case State.FAILED:
            return failure_of_job(job.error)
        case State.PAUSING | State.PAUSED:  # its worker set it aside, as when the disk is full
            return Failure(503, f"The speech was set aside: {job.reason}.", SERVER, None, "set_aside", 10.0)
        case State.CANCELLING | State.CANCELLED:
            return Failure(409, "The speech was cancelled.", INVALID, None, "cancelled")
        case State.DONE:
            return None
    try:
        _require_worker(context, job.spec.engine)
    except TransientError as error:
        return to_failure(error)
    return None


async def _all(first: bytes, tail: Tail, context: Context) -> AsyncIterator[bytes]:
    def give_up(job: Job) -> str | None:
        failure = _failure_of(job, context)
        return failure.message if failure is not None else None

    if first:
        yield first
    async for block in tail.blocks(give_up):
        yield block


async def _to_events(
    blocks: AsyncIterator[bytes], body: SpeechBody, context: Context, job_id: str
) -> AsyncIterator[bytes]:
    try:
        async for block in blocks:
            yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(block).decode("ascii")})
    except BrokenStreamError as error:
        job = await context.in_store(context.backend.store.job, job_id)
        failure = _failure_of(job, context) or Failure(500, str(error), SERVER, None, "internal_error")
        yield _event({"type": "error", "error": failure.detail})
        return
    job = await context.in_store(context.backend.store.job, job_id)
    spoken = math.ceil(job.audio_samples / SAMPLE_RATE_HZ * _AUDIO_TOKENS_PER_S)
    asked = math.ceil(len(body.input) / _CHARACTERS_PER_TOKEN)
    usage = {"input_tokens": asked, "output_tokens": spoken, "total_tokens": asked + spoken}
    yield _event({"type": "speech.audio.done", "usage": usage})


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"

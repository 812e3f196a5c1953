"""POST and DELETE /v1/audio/voices: recordings come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import UploadFile

from longtake.core.errors import ConflictError, InputError, NotFoundError
from longtake.server.backend import Context
from longtake.server.incoming import checked_fields
from longtake.server.views import to_voice_view
from longtake.wire.listings import RecordingForm, VoiceDeleted, VoiceView

PREFIX = "/v1/audio/voices"
_MAX_FIELD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Upload:
    """A form, read: the bytes of the file, what its sender calls it, and the fields beside it."""

    data: bytes
    file_name: str
    fields: RecordingForm


def routes(context: Context) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["models and voices"])

    @router.post("", status_code=201, openapi_extra=_form_documented())
    async def add_voice(response: Response, upload: Annotated[Upload, Depends(_read_form)]) -> VoiceView:
        """Keep a recording as a voice, for the engines that speak with recordings."""
        view = await context.in_store(_add, context, upload)
        response.headers["Location"] = f"{PREFIX}/{quote(view.id)}"
        return view

    @router.delete("/{voice_id}")
    async def delete_voice(voice_id: str) -> VoiceDeleted:
        """Remove a recording that no job needs."""
        await context.in_store(_delete, context, voice_id)
        return VoiceDeleted(id=voice_id)

    return router


async def _read_form(request: Request) -> Upload:
    """
    Raises:
        InputError: There is no file in the form, or a field that is not known.
        TooLargeError: It is larger than `recording_max_bytes`; the gate counts.
    """
    async with request.form(max_files=1, max_fields=8, max_part_size=_MAX_FIELD_BYTES) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InputError(
                "The recording is missing: send it as the file of a form (multipart/form-data) in the field 'file', as "
                "curl does with -F file=@alice.wav.",
                code="missing_required_parameter",
                param="file",
            )
        fields = checked_fields(RecordingForm, {name: value for name, value in form.items() if name != "file"})
        return Upload(await file.read(), file.filename or "recording", fields)


def _form_documented() -> dict[str, Any]:
    schema = RecordingForm.model_json_schema()
    schema["properties"]["file"] = {"type": "string", "format": "binary"}
    schema["required"] = ["file"]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


# In a thread of the store: a minute of MP3 takes a tenth of a second to decode.
def _add(context: Context, upload: Upload) -> VoiceView:
    intake = context.backend.intake
    engine = next((each.info.name for each in intake.engines if each.info.speaks_recordings), None)
    if engine is None:
        served = ", ".join(each.info.name for each in intake.engines)
        raise ConflictError(
            f"No engine that is served here speaks with recordings. Served: {served}. Start one that does beside it, "
            "with --engine.",
            code="no_engine_for_recordings",
        )
    fields = upload.fields
    voice = intake.recordings.add(upload.data, file_name=upload.file_name, name=fields.name, language=fields.language)
    return to_voice_view(voice.to_voice(engine))


def _delete(context: Context, voice_id: str) -> None:
    intake = context.backend.intake
    try:
        intake.recordings.remove(voice_id)
    except NotFoundError:
        own = next((each for each in intake.engines if each.find_voice(voice_id) is not None), None)
        if own is None:
            raise
        raise ConflictError(
            f"The voice {voice_id!a} is {own.info.title}'s own. Only recordings can be removed.",
            code="not_a_recording",
            param="voice",
        ) from None

"""What is there: models and voices, in the shapes that existing clients read."""

from __future__ import annotations

from typing import Literal

from longtake.wire.fields import Body, Name, View


class ModelView(View):
    """OpenAI's model. `name` is for people, `state` is its worker's (`supervise.WorkerState`)."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "longtake"
    name: str
    state: str = "stopped"


class ModelList(View):
    """OpenAI's list."""

    object: Literal["list"] = "list"
    data: list[ModelView]


class SpeechModelList(ModelList):
    """The same, with the key that Open WebUI reads."""

    models: list[ModelView]


class VoiceView(View):
    """A voice.

    Attributes:
        recording_seconds: Of a voice that is a recording and can be deleted; None for an engine's own.
    """

    id: str
    name: str
    language: str
    engine: str
    recording_seconds: float | None = None


class VoiceList(View):
    voices: list[VoiceView]


class RecordingForm(Body):
    """What stands beside the file in a form that brings a recording."""

    name: Name | None = None
    language: Name | None = None


class VoiceDeleted(View):
    id: str
    object: Literal["audio.voice"] = "audio.voice"
    deleted: Literal[True] = True

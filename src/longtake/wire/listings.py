"""What is there: models and voices, in the shapes that existing clients read."""

from __future__ import annotations

from typing import Literal

from longtake.wire.fields import View


class ModelView(View):
    """OpenAI's model. `name` is for people."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "longtake"
    name: str


class ModelList(View):
    """OpenAI's list."""

    object: Literal["list"] = "list"
    data: list[ModelView]


class SpeechModelList(ModelList):
    """The same, with the key that Open WebUI reads."""

    models: list[ModelView]


class VoiceView(View):
    id: str
    name: str
    language: str
    engine: str


class VoiceList(View):
    voices: list[VoiceView]

"""The body of POST /v1/audio/speech: OpenAI's contract."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from longtake.wire.fields import Body, Name

OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")
"""OpenAI's models; each means the default engine."""

OPENAI_VOICES = (
    "alloy",
    "ash",
    "ballad",
    "coral",
    "echo",
    "fable",
    "onyx",
    "nova",
    "sage",
    "shimmer",
    "verse",
    "marin",
    "cedar",
)
"""OpenAI's voices; each means one of the engine's own, always the same."""


def _voice_id(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) != {"id"}:
        raise PydanticCustomError("voice_object", 'A voice is a string, or an object with "id" and nothing else.')
    return value["id"]


class SpeechBody(Body):
    """What OpenAI's clients send.

    Attributes:
        input: Its longest length is a setting, so the route checks it.
        instructions: Accepted and ignored by engines that cannot be instructed, espeak among them.
    """

    model: Name
    input: str = Field(min_length=1)
    voice: Annotated[
        Name,
        BeforeValidator(_voice_id),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string"},
                    {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
                ]
            }
        ),
    ]
    instructions: str = Field("", max_length=4096)
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0)
    stream_format: Literal["audio", "sse"] = "audio"

"""Bodies of the jobs API, and what it answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from longtake.wire.fields import Body, Name, View

MAX_SPEAKERS = 100


class CheckBody(Body):
    """A script and how it is to be spoken, without a wish for a file.

    Attributes:
        voices: Speaker number or name → voice id.
        voice: One voice for every speaker that `voices` leaves out.
    """

    script: str
    model: Name | None = None
    voices: dict[Name, Name] = Field(default_factory=dict, max_length=MAX_SPEAKERS)
    voice: Name | None = None
    speed: float = Field(1.0, ge=0.25, le=4.0)
    settings: dict[str, Any] = Field(default_factory=dict, max_length=50)
    turn_silence_seconds: float = Field(0.45, ge=0, le=10)
    sentence_silence_seconds: float = Field(0.15, ge=0, le=10)


class JobBody(CheckBody):
    """A job to be spoken."""

    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    loudness: Literal["off", "podcast", "audiobook"] = "off"
    seed: int = Field(0, ge=0, le=2**63 - 1)
    title: Name | None = None


class ResumeBody(Body):
    """How to go on; all of it may be left out.

    Attributes:
        from_seconds: Speak again from the turn at this time of the finished audio on.
        seed: For what is spoken again; without it a fresh one.
    """

    from_seconds: float | None = Field(None, ge=0)
    seed: int | None = Field(None, ge=0, le=2**63 - 1)


class ErrorDetail(View):
    """OpenAI's error; all four keys are always there."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(View):
    error: ErrorDetail


class Progress(View):
    audio_seconds: float
    estimated_seconds: float
    passages_done: int
    passages_total: int


class SpeakerView(View):
    number: int
    label: str
    voice: str | None


class JobView(View):
    """A job as it stands.

    Attributes:
        place_in_queue: Jobs that are begun before it; None when it does not wait.
        can: What may be asked of it now: ``pause``, ``resume``, ``cancel``, ``again``, ``delete``.
        audio_bytes: Size of the finished file.
        earlier_of: This is what that job was before it was spoken again from some point.
    """

    id: str
    object: Literal["audio.job"] = "audio.job"
    state: str
    reason: str | None
    progress: Progress
    eta_seconds: float | None
    place_in_queue: int | None
    created_at: int
    started_at: int | None
    ended_at: int | None
    error: ErrorDetail | None
    model: str
    engine: str
    title: str
    speakers: list[SpeakerView]
    response_format: str
    loudness: str
    speed: float
    seed: int
    settings: dict[str, Any]
    audio_bytes: int | None
    earlier_of: str | None = None
    can: list[str]


class AgainView(View):
    """Where a job was cut back to.

    Attributes:
        from_seconds: In the finished audio; at or before what was asked for.
        speaker, text: The line that begins there.
        seed: Counts from there on.
        earlier_version: The job that holds what was there, until this one is done.
    """

    from_seconds: float
    speaker: str
    text: str
    seed: int
    earlier_version: str


class ResumedView(JobView):
    """The job that goes on; `again` only if it was cut back."""

    again: AgainView | None


class JobList(View):
    object: Literal["list"] = "list"
    data: list[JobView]
    has_more: bool


class JobDeleted(View):
    id: str
    object: Literal["audio.job"] = "audio.job"
    deleted: Literal[True] = True

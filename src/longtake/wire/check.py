"""What POST /v1/audio/check and /v1/audio/decode answer."""

from __future__ import annotations

from longtake.wire.fields import View
from longtake.wire.jobs import SpeakerView


class FindingView(View):
    """One thing about a script. `line` and `column` count from 1; None when it is about the whole script."""

    severity: str
    code: str
    line: int | None
    column: int | None
    message: str


class CheckedSpeaker(SpeakerView):
    turns: int
    characters: int


class EstimateView(View):
    """Seconds of finished audio, silences included, and of speech by language."""

    seconds: float
    by_language: dict[str, float]


class CheckView(View):
    """The judgement.

    Attributes:
        ok: The script would be accepted: no finding is an error.
        fits: It is within the limits of characters and minutes.
    """

    ok: bool
    fits: bool
    findings: list[FindingView]
    speakers: list[CheckedSpeaker]
    characters: int
    turns: int
    passages: int
    estimate: EstimateView | None


class TextView(View):
    """A script file, read."""

    text: str

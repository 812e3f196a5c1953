"""What a user asks for. Raw: nothing in it is checked yet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A script and how it is to be spoken.

    Attributes:
        script: The text as its user wrote it.
        model: An engine's name; None is the first engine that is served.
        voices: Speaker number or name → voice id; speakers that are left out get the engine's own choice.
        voice: One voice for every speaker that `voices` leaves out.
        turn_silence_s: Silence between turns.
        sentence_silence_s: Silence between the sentences of a turn.
        is_plain: The script is text to be read out by one speaker; what looks like a label is text, too.
    """

    script: str
    model: str | None = None
    voices: Mapping[str, str] = field(default_factory=dict)
    voice: str | None = None
    response_format: str = "mp3"
    loudness: str = "off"
    speed: float = 1.0
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    turn_silence_s: float = 0.45
    sentence_silence_s: float = 0.15
    title: str | None = None
    is_plain: bool = False

    def fingerprint(self) -> str:
        """Equal for equal requests: guards an Idempotency-Key against reuse."""
        canonical = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, default=str)
        return hashlib.sha256(canonical.encode()).hexdigest()

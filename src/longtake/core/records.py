"""Values that cross rooms. Frozen, small, and free of behaviour.

script → turn → passage → request → chunk: see docs/glossary.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class PassageShape(StrEnum):
    """What an engine speaks in one go."""

    SENTENCE = "sentence"
    DIALOGUE = "dialogue"


@dataclass(frozen=True, slots=True)
class Line:
    """A run of text that one speaker says.

    Attributes:
        speaker: Number of the speaker, 1 or more.
        text: What is said; never empty, no control characters.
        language: BCP-47 tag of most of the text, such as ``en``, ``zh``, ``ja``.
    """

    speaker: int
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Passage:
    """What an engine speaks in one go.

    Attributes:
        index: Position in the job, from 0, without gaps.
        lines: One line for a sentence engine, several for a dialogue engine.
        silence_before_s: Silence that the join puts before it (a script's pause, or the gap between turns).
    """

    index: int
    lines: tuple[Line, ...]
    silence_before_s: float


@dataclass(frozen=True, slots=True)
class Mark:
    """When a word is heard, in seconds from the start of its passage.

    Attributes:
        text: The word with the punctuation that follows it; joined by nothing, the marks of a passage give its text
            (so a mark carries the white space after it, too).
        speaker: Who says it.
    """

    start_s: float
    end_s: float
    text: str
    speaker: int


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that a user can name in a request. `id` is opaque: never a path.

    Attributes:
        recording_s: How long its recording is; None for a voice of the engine's own.
    """

    id: str
    name: str
    language: str
    engine: str
    recording_s: float | None = None


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What may be known of an engine without loading it: the web process plans with this.

    Attributes:
        name: Its name in ``--engine`` and in a request's ``model``.
        title: For people.
        shape: What it speaks in one go.
        max_speakers: How many speakers one script may have; None means no limit of the engine's own.
        max_passage_characters: The hard cap on a passage; splitting never goes above it.
        max_active: How many requests it speaks side by side.
        paces: Language → units per minute at speed 1.0, before anything was learned. A unit is a character of Chinese,
            Japanese, Korean or Thai, and a word of every other language; ``*`` is the pace of languages not named.
        keeps_traces: It can go on in the middle of a passage.
        past_passages: How many passages before one it wants to know; more than 0 means that a job's passages are spoken
            one after the other.
        speaks_recordings: Its voices are recordings that users add (`longtake voices add`), not its own.
        changes_speed: It can speak faster or slower than its voices do by themselves.
        caches_passages: What it has spoken may be used again for the same text, voices, speed and settings, wherever it
            stands: such an engine keeps no traces and knows no past, and `Engine.revision` says what else decides.
        uses_seed: Another seed gives other samples.
        uses_gpu: It speaks on a graphics card where there is one.
    """

    name: str
    title: str
    shape: PassageShape
    max_speakers: int | None
    max_passage_characters: int
    max_active: int
    paces: Mapping[str, float]
    keeps_traces: bool = False
    past_passages: int = 0
    speaks_recordings: bool = False
    changes_speed: bool = True
    caches_passages: bool = False
    uses_seed: bool = True
    uses_gpu: bool = False

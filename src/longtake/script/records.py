"""A parsed script: turns, speakers, pauses. Knows neither how it was written nor who will speak it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from longtake.script.characters import is_speakable
from longtake.script.finding import Finding


class Form(StrEnum):
    """How the user wrote the script."""

    DIALOGUE = "dialogue"
    PROSE = "prose"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says until the next label or paragraph.

    Attributes:
        speaker: 1 or more.
        parts: Text and pauses in order; texts are never empty, hold no control characters and no line breaks.
        line: Where it begins, from 1.
        column: Where it begins, from 1, in characters; the label counts as its beginning.
    """

    speaker: int
    parts: tuple[str | Pause, ...]
    line: int
    column: int

    @property
    def text(self) -> str:
        """What is said, without the pauses."""
        return " ".join(part for part in self.parts if isinstance(part, str))


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody who speaks in the script: how many turns, and how many characters of text."""

    number: int
    label: str
    turns: int
    characters: int


@dataclass(frozen=True, slots=True)
class Script:
    """A script, read.

    Attributes:
        turns: In order.
        speakers: By number; only those who have a turn.
        findings: What reading found, in order of position.
        form: How it was written.
        input_characters: Length of the text that was read, labels and all: what `Limits.max_characters` limits.
    """

    turns: tuple[Turn, ...]
    speakers: tuple[Speaker, ...]
    findings: tuple[Finding, ...]
    form: Form
    input_characters: int

    @property
    def characters(self) -> int:
        """How many characters are spoken."""
        return sum(speaker.characters for speaker in self.speakers)

    @property
    def trailing_pause_s(self) -> float:
        """Pauses after the last spoken text: no passage follows that could carry them, so the join must."""
        total_s = 0.0
        for turn in reversed(self.turns):
            for part in reversed(turn.parts):
                if isinstance(part, Pause):
                    total_s += part.seconds
                elif is_speakable(part):
                    return total_s
        return total_s

"""Gives every label its number and gathers the turns. Knows not how the script was written."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from longtake.script.characters import collapse_spaces, escape_unshowable, strip_unspeakable
from longtake.script.finding import Finding, Severity
from longtake.script.labels import MAX_SPEAKER_NUMBER, label_key
from longtake.script.pauses import MAX_PAUSE_S, find_pauses
from longtake.script.records import Form, Pause, Script, Speaker, Turn


class Cast:
    """Speakers and turns of a script that is being read.

    Attributes:
        findings: What reading found so far, in any order.
        turns: Finished turns.
    """

    def __init__(self, taken: Collection[int]) -> None:
        """`taken`: numbers that the script itself uses, which no name may get."""
        self.findings: list[Finding] = []
        self.turns: list[Turn] = []
        self._taken = set(taken)
        self._free = 1
        self._numbers: dict[str, int] = {}
        self._labels: dict[int, str] = {}

    def number_of(self, name: str) -> int:
        """Number of the speaker of that name: the lowest free one when the name is new."""
        key = label_key(name)
        if key not in self._numbers:
            while self._free in self._taken:
                self._free += 1
            self._taken.add(self._free)
            self._numbers[key] = self._free
            self._labels[self._free] = name
        return self._numbers[key]

    def speaker_of(self, number: int, line: int, column: int) -> int:
        """The speaker of a numbered label; one that cannot be is an error and gets a number of its own."""
        if 1 <= number <= MAX_SPEAKER_NUMBER:
            return number
        self.find(
            Severity.ERROR,
            "speaker_number",
            line,
            column,
            f"Speaker {str(number)[:12]} cannot be: numbers start at 1 and end at {MAX_SPEAKER_NUMBER}. "
            "Renumber the speakers from 1.",
        )
        return self.number_of(f"Speaker {str(number)[:12]}")

    def label_of(self, number: int) -> str:
        return self._labels.get(number, f"Speaker {number}")

    def find(self, severity: Severity, code: str, line: int, column: int, message: str) -> None:
        self.findings.append(Finding(severity, code, line, column, escape_unshowable(message)))

    def clean(self, text: str, line: int, column: int, *, is_exact: bool = True) -> str:
        """Strip what cannot be spoken, and say so; `is_exact`: an offset in the text is one in the line."""
        cleaned, offsets = strip_unspeakable(text)
        if offsets:
            names = ", ".join(sorted({f"U+{ord(text[offset]):04X}" for offset in offsets})[:4])
            self.find(
                Severity.NOTE,
                "control_characters",
                line,
                column + (offsets[0] if is_exact else 0),
                f"Took out {len(offsets)} invisible or control character(s) that cannot be spoken ({names}).",
            )
        return cleaned

    def parts_of(self, text: str, line: int, column: int, *, is_exact: bool = True) -> list[str | Pause]:
        """Cut a clean text into what is said and pauses; `is_exact` as of `clean`."""
        parts: list[str | Pause] = []
        done = 0
        for mark in find_pauses(text):
            where = (line, column + (mark.start if is_exact else 0))
            if mark.seconds is None:
                message = f"{text[mark.start : mark.end]} is read as text: write [pause 0.8s] or [pause 800ms]."
                self.find(Severity.WARNING, "pause_unreadable", *where, message)
                continue
            seconds = mark.seconds
            if seconds > MAX_PAUSE_S:
                message = f"A pause of {seconds:g} s was cut to {MAX_PAUSE_S:g} s, the most. Put several in a row."
                self.find(Severity.WARNING, "pause_capped", *where, message)
                seconds = MAX_PAUSE_S
            if said := collapse_spaces(text[done : mark.start]):
                parts.append(said)
            parts.append(Pause(seconds))
            done = mark.end
        if said := collapse_spaces(text[done:]):
            parts.append(said)
        return parts

    def add_turn(self, speaker: int, parts: Sequence[str | Pause], line: int, column: int) -> None:
        """Add a turn; texts without a pause between them become one."""
        merged: list[str | Pause] = []
        run: list[str] = []
        for part in parts:
            if isinstance(part, str):
                run.append(part)
                continue
            if run:
                merged.append(" ".join(run))
                run = []
            merged.append(part)
        if run:
            merged.append(" ".join(run))
        self.turns.append(Turn(speaker, tuple(merged), line, column))

    def to_script(self, form: Form, input_characters: int) -> Script:
        counts: dict[int, tuple[int, int]] = {}
        for turn in self.turns:
            turns, characters = counts.get(turn.speaker, (0, 0))
            counts[turn.speaker] = (turns + 1, characters + len(turn.text))
        speakers = tuple(Speaker(number, self.label_of(number), *counts[number]) for number in sorted(counts))
        findings = sorted(self.findings, key=lambda finding: (finding.line or 0, finding.column or 0))
        return Script(tuple(self.turns), speakers, tuple(findings), form, input_characters)

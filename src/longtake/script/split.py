"""Script to passages: what an engine speaks in one go. Knows the engine only by its limits."""

from __future__ import annotations

from dataclasses import dataclass

from longtake.core.records import EngineInfo, Line, Passage, PassageShape
from longtake.script.characters import is_speakable
from longtake.script.language import language_of
from longtake.script.records import Pause, Script, Turn
from longtake.script.sentences import fit, pack, sentences_of


@dataclass(frozen=True, slots=True)
class Gaps:
    """Silence that the join puts between passages, besides the script's own pauses."""

    turn_s: float = 0.45
    sentence_s: float = 0.15


@dataclass(slots=True)
class _Piece:
    """Text of one turn that goes into one passage, with the gap and the pauses before it."""

    text: str
    language: str
    gap_s: float
    pause_s: float


def split_passages(script: Script, info: EngineInfo, gaps: Gaps, default_language: str = "en") -> tuple[Passage, ...]:
    """Cut a script into passages of the engine's shape, none above its cap.

    A pause is added to the gap before the next passage; pauses at the end are `Script.trailing_pause_s`. Nothing is
    lost but white space, turns of punctuation alone (`check_script` warns of them), and punctuation that no passage has
    room for. A sentence that was cut because it is too long has no gap inside.

    Args:
        default_language: Language of Latin letters.
    """
    base = language_of(" ".join(turn.text for turn in script.turns), default_language)
    passages: list[Passage] = []
    lines: list[Line] = []  # of the dialogue passage that is being filled
    size, silence_s, waiting_s = 0, 0.0, 0.0
    cap = max(1, info.max_passage_characters)
    is_dialogue = info.shape is PassageShape.DIALOGUE
    for turn in script.turns:
        pieces, rest_s = _pieces_of(turn, cap, gaps, base, default_language, is_dialogue=is_dialogue)
        for number, piece in enumerate(pieces):
            line = Line(turn.speaker, piece.text, piece.language)
            pause_s = piece.pause_s + (waiting_s if number == 0 else 0.0)
            if lines and (not is_dialogue or pause_s > 0 or size + len(piece.text) > cap):
                passages.append(Passage(len(passages), tuple(lines), silence_s))
                lines = []
            if not lines:
                # The first passage follows nothing, so it has no gap; a pause written before it stays.
                silence_s = pause_s + (piece.gap_s if passages else 0.0)
                size = 0
            lines.append(line)
            size += len(piece.text)
        waiting_s = rest_s if pieces else waiting_s + rest_s
    if lines:
        passages.append(Passage(len(passages), tuple(lines), silence_s))
    return tuple(passages)


def _pieces_of(
    turn: Turn, cap: int, gaps: Gaps, base: str, default_language: str, *, is_dialogue: bool
) -> tuple[list[_Piece], float]:
    """The pieces of a turn, and the pauses after the last of them."""
    language = language_of(turn.text, default_language, base)
    pieces: list[_Piece] = []
    waiting_s = 0.0
    opening = ""  # punctuation between pauses that waits for the next text
    for part in turn.parts:
        if isinstance(part, Pause):
            waiting_s += part.seconds
            continue
        if not is_speakable(part):
            if pieces and len(pieces[-1].text) + 1 + len(part) <= cap:
                pieces[-1].text += f" {part}"
            else:
                opening += f"{part} "
            continue
        text, opening = opening + part, ""
        for sentence in _cut_part(text, language, cap, is_dialogue=is_dialogue):
            for place, fitted in enumerate(fit(sentence, cap)):
                gap_s = gaps.sentence_s if place == 0 else 0.0
                if not pieces:
                    gap_s = gaps.turn_s
                own = language_of(fitted, default_language, language)
                pieces.append(_Piece(fitted, own, gap_s, waiting_s))
                waiting_s = 0.0
    return pieces, waiting_s


def _cut_part(text: str, language: str, cap: int, *, is_dialogue: bool) -> list[str]:
    if not is_dialogue:
        return sentences_of(text, language)
    return [text] if len(text) <= cap else pack(sentences_of(text, language), cap)

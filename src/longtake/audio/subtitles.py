"""Subtitles from spoken passages: cues that fit a screen, as SRT and WebVTT. Reads no audio."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from longtake.core.records import Line, Mark

# Widths are counted so that 42 Latin or 18 wide (Chinese, Japanese, Korean) characters fill a line: 3 × 42 = 7 × 18.
_NARROW, _WIDE, _LINE_WIDTH = 3, 7, 126
_MAX_CUE_S = 7.0
_MIN_CUE_S = 1.0
_LONG_PAUSE_S = 0.8
_NO_LABELS: Mapping[int, str] = {}

_CLOSING = r"[\"'”’)\]»」』\uff09]*\s*$"  # full-width punctuation is written as escapes: U+FF01 looks like U+0021
_SENTENCE_END = re.compile(r"[.!?…。\uff01\uff0e\uff1f]" + _CLOSING)
_CLAUSE_END = re.compile(r"[,;:—–،、\uff0c\uff1a\uff1b]" + _CLOSING)
_OPENING = ("Ps", "Pi")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class SpokenPassage:
    """A passage and when it is heard.

    Attributes:
        start_s: In the finished file.
        duration_s: Of its audio.
        marks: Its words with their times; empty where the engine gives none.
        lines: What was to be said: used where there are no marks.
        text_s: How long all of `lines` will probably last, where only the beginning is spoken; None: it is whole.
    """

    start_s: float
    duration_s: float
    marks: tuple[Mark, ...]
    lines: tuple[Line, ...]
    text_s: float | None = None


@dataclass(frozen=True, slots=True)
class Cue:
    """What stands on the screen for a while: one or two lines of text, joined by a line feed.

    Attributes:
        speaker_label: Who speaks; None where the script has one speaker.
    """

    start_s: float
    end_s: float
    text: str
    speaker_label: str | None


def build_cues(passages: Iterable[SpokenPassage], labels: Mapping[int, str] = _NO_LABELS) -> Iterator[Cue]:
    """Cut passages into cues of at most 2 lines and 7 s, at punctuation where possible; cues never overlap.

    Args:
        passages: In the order of the file. Memory: one passage.
        labels: Speaker → name. Cues are labelled if it names two or more; a speaker that it lacks is "Speaker N".
    """
    waiting: Cue | None = None
    for cue in _rough_cues(passages, labels):
        if waiting is not None:
            yield _lengthened(waiting, cue.start_s)
        waiting = cue
    if waiting is not None:
        yield _lengthened(waiting, float("inf"))


def line_starts(passage: SpokenPassage) -> list[float]:
    """When each line begins, in seconds from the start of the passage, as `build_cues` times its words.

    The first begins with the passage. Lines that are not spoken yet are left out.
    """
    ends = list(accumulate(_letters(line.text) for line in passage.lines))
    starts = [0.0]
    letters = 0  # before this word
    for word in passage.marks or _spread(passage):
        while len(starts) < len(ends) and letters >= ends[len(starts) - 1]:
            starts.append(word.start_s)
        letters += _letters(word.text)
    return starts


def _letters(text: str) -> int:
    return sum(not char.isspace() for char in text)


def to_srt(cues: Iterable[Cue]) -> Iterator[str]:
    """Yield SubRip text, cue by cue. A label stands before the text where the speaker changes."""
    speaker: str | None = None
    for number, cue in enumerate(cues, 1):
        label = f"{cue.speaker_label}: " if cue.speaker_label and cue.speaker_label != speaker else ""
        speaker = cue.speaker_label
        # An arrow in the text would be read as a line of times.
        text = (label + cue.text).replace("-->", "→")
        yield f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{text}\n\n"


def to_vtt(cues: Iterable[Cue]) -> Iterator[str]:
    """Yield WebVTT text: the header, then cue by cue, each with its speaker as a voice tag."""
    yield "WEBVTT\n\n"
    for cue in cues:
        voice = f"<v {_escaped(cue.speaker_label)}>" if cue.speaker_label else ""
        yield f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n{voice}{_escaped(cue.text)}\n\n"


def _rough_cues(passages: Iterable[SpokenPassage], labels: Mapping[int, str]) -> Iterator[Cue]:
    for passage in passages:
        for words in _cut(_words(passage)):
            speaker = words[0].speaker
            label = labels.get(speaker, f"Speaker {speaker}") if len(labels) > 1 else None
            start_s, end_s = passage.start_s + words[0].start_s, passage.start_s + words[-1].end_s
            text = "\n".join(_text(line) for line in _layout(words) or [words])
            if text:
                yield Cue(start_s, end_s, text, label)


def _lengthened(cue: Cue, next_start_s: float) -> Cue:
    """Keep a short cue on the screen for a second, but never into the next one."""
    end_s = min(max(cue.end_s, cue.start_s + _MIN_CUE_S), next_start_s)
    return replace(cue, end_s=max(end_s, cue.start_s))


# ── words ──


def _words(passage: SpokenPassage) -> list[Mark]:
    """Timed pieces of text, none wider than a line: the engine's marks, else characters spread over the passage."""
    marks = passage.marks or tuple(_spread(passage))
    # A mark may be a space only (a pause in the text): it belongs to the word before it.
    return [piece for mark in marks for piece in _narrowed(mark) if piece.text.strip()]


def _spread(passage: SpokenPassage) -> Iterator[Mark]:
    """As if every character took as long as every other; ends where what is spoken ends."""
    text_s = max(passage.duration_s, passage.text_s or 0.0)
    total = sum(len(line.text) for line in passage.lines)
    done = 0
    for line in passage.lines:
        for text in re.findall(r"\S+\s*", line.text):
            start_s = text_s * done / total
            if start_s > passage.duration_s:
                return
            done += len(text)
            yield Mark(start_s, min(text_s * done / total, passage.duration_s), text, line.speaker)
        done += len(line.text) - len(line.text.lstrip())


def _narrowed(mark: Mark) -> Iterator[Mark]:
    """Cut a mark that holds wide characters, or is wider than a line, so that a line can end inside it."""
    pieces = _pieces(mark.text)
    total = sum(map(len, pieces)) or 1
    step_s = (mark.end_s - mark.start_s) / total
    done = 0
    for piece in pieces:
        start_s = mark.start_s + step_s * done
        done += len(piece)
        yield Mark(start_s, mark.start_s + step_s * done, piece, mark.speaker)


def _pieces(text: str) -> list[str]:
    if _width(text) <= _LINE_WIDTH and not any(_is_wide(c) for c in text):
        return [text]
    pieces: list[str] = []
    for char in text:
        # A new piece begins at a wide character; but no line begins with a comma or ends with an opening bracket.
        kind = unicodedata.category(char)
        begins = _is_wide(char) and (kind in _OPENING or kind[0] not in "PM") and not _opens(pieces)
        if pieces and not begins and _width(pieces[-1] + char) <= _LINE_WIDTH:
            pieces[-1] += char
        else:
            pieces.append(char)
    return pieces


def _opens(pieces: list[str]) -> bool:
    return bool(pieces) and unicodedata.category(pieces[-1][-1]) in _OPENING


# ── cutting into cues ──


def _cut(words: list[Mark]) -> Iterator[list[Mark]]:
    for run in _runs(words):
        while run:
            fitting = _fitting(run)
            size = fitting if fitting == len(run) else _best_cut(run[:fitting])
            size = _sentence_cut(run[:size])
            yield run[:size]
            run = run[size:]


def _runs(words: list[Mark]) -> Iterator[list[Mark]]:
    """Cut where the speaker changes and at long pauses."""
    run = words[:1]
    for before, word in pairwise(words):
        if word.speaker != before.speaker or word.start_s - before.end_s >= _LONG_PAUSE_S:
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def _fitting(words: list[Mark]) -> int:
    """How many of the first words fit one cue; at least one."""
    size = 1
    while size < len(words) and words[size].end_s - words[0].start_s <= _MAX_CUE_S and _layout(words[: size + 1]):
        size += 1
    return size


def _best_cut(words: list[Mark]) -> int:
    """Where to end a cue that overflows: at its last sentence end, else its last clause end, else its last word."""
    for pattern in (_SENTENCE_END, _CLAUSE_END):
        # Not in its first third: a cue of two words before a full one reads worse than a line broken anywhere.
        for size in range(len(words), len(words) // 3, -1):
            if pattern.search(words[size - 1].text):
                return size
    return len(words)


def _sentence_cut(words: list[Mark]) -> int:
    """End a cue with its first sentence that fills a line, or lasts long enough to be read."""
    for size in range(1, len(words)):
        is_enough = _width(_text(words[:size])) > _LINE_WIDTH // 2 and words[size - 1].end_s - words[0].start_s >= 2.0
        if is_enough and _SENTENCE_END.search(words[size - 1].text):
            return size
    return len(words)


def _layout(words: list[Mark]) -> list[list[Mark]]:
    """The words as one or two lines; empty if they do not fit."""
    if _width(_text(words)) <= _LINE_WIDTH:
        return [words]
    best: tuple[float, int] | None = None
    for size in range(1, len(words)):
        above, below = _width(_text(words[:size])), _width(_text(words[size:]))
        if above <= _LINE_WIDTH and below <= _LINE_WIDTH:
            has_end = _SENTENCE_END.search(words[size - 1].text) or _CLAUSE_END.search(words[size - 1].text)
            cost = abs(above - below) - (_LINE_WIDTH / 3 if has_end else 0)
            best = min(best, (cost, size)) if best else (cost, size)
    return [words[: best[1]], words[best[1] :]] if best else []


# ── text ──


def _text(words: list[Mark]) -> str:
    return _SPACES.sub(" ", "".join(word.text for word in words)).strip()


def _width(text: str) -> int:
    return sum(_WIDE if _is_wide(char) else 0 if unicodedata.combining(char) else _NARROW for char in text)


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, comma: str) -> str:
    whole, ms = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{comma}{ms:03d}"

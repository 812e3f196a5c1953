"""Sentence borders, and cutting a text down to a cap. Knows nothing of turns or passages."""

from __future__ import annotations

import re
import unicodedata

from sentencex import segment

from longtake.script.characters import is_speakable
from longtake.script.language import primary

# sentencex looks for the partner of every opening quote: quadratic on a text of nothing but quotes, so it gets windows.
_WINDOW = 10_000
_CLAUSE_END = re.compile(r"(?:[,;:.!?](?=\s)|[，、；：。！？…—،؛۔।])[\"'”’»」』)）\]]{0,3}")
_SPACE = re.compile(r"\s")
_NO_SPACES = frozenset({"zh", "yue", "ja"})
_ASCII_STOP = re.compile(r"[A-Za-z]\.")
_NOT_ASCII = re.compile("[^\x00-\x7f]")
_JOINERS = "\u200d\ufe0e\ufe0f"
_LONGEST_CLUSTER = 16


def sentences_of(text: str, language: str) -> list[str]:
    """Cut a text into sentences; joined, they are the text.

    Fragments without a letter or digit are part of a neighbour, so each sentence can be spoken when the text can.
    """
    raw: list[str] = []
    start = 0
    while start < len(text):
        is_rest = len(text) - start <= _WINDOW
        pieces = _segment(text[start : start + _WINDOW], primary(language))
        if not is_rest and len(pieces) > 1:
            pieces.pop()  # perhaps only the beginning of a sentence: the next window sees all of it
        elif not is_rest:
            pieces = [_slices(text[start : start + _WINDOW + 1], _WINDOW)[0]]
        raw.extend(pieces)
        start += sum(map(len, pieces))
    sentences: list[str] = []
    opening = ""
    for piece in raw:
        if is_speakable(piece):
            sentences.append(opening + piece)
            opening = ""
        elif sentences:
            sentences[-1] += piece
        else:
            opening += piece
    return sentences or ([opening] if opening else [])


def fit(text: str, cap: int) -> list[str]:
    """Cut a text into pieces of at most `cap` characters, without white space at their ends, each of them speakable.

    Cuts are made at the ends of clauses, then at spaces, and only when there are none inside a word. Only white space
    is lost, and punctuation that no piece has room for.
    """
    text = text.strip()
    if len(text) <= cap:
        return [text] if is_speakable(text) else []
    pieces: list[str] = []
    waiting = ""  # punctuation before anything that can be spoken
    for raw in _slices(text, cap):
        piece = raw.strip()
        if is_speakable(piece):
            pieces.append(waiting + piece if len(waiting) + len(piece) <= cap else piece)
            waiting = ""
        elif not pieces:
            waiting += piece
        elif len(pieces[-1]) + len(piece) <= cap:
            pieces[-1] += piece
        else:
            _lend(pieces, piece, cap)
    return pieces


def pack(sentences: list[str], cap: int) -> list[str]:
    """Join neighbouring sentences to pieces of at most `cap` characters; a longer sentence is cut."""
    pieces: list[str] = []
    for sentence in sentences:
        for piece in fit(sentence, cap):
            # The space between sentences is kept as it was: none in Chinese.
            joined = f"{pieces[-1]}{' ' if _needs_space(pieces[-1], piece) else ''}{piece}" if pieces else piece
            if pieces and len(joined) <= cap:
                pieces[-1] = joined
            else:
                pieces.append(piece)
    return pieces


def _segment(text: str, language: str) -> list[str]:
    pieces: list[str] = list(segment(language, text))
    if language not in _NO_SPACES or len(pieces) < 2 or not _ASCII_STOP.search(text):
        return pieces
    # In Chinese and Japanese a full stop always ends a sentence for sentencex; behind Latin letters ("Mr. Smith",
    # "U.S.") it must also end one in English.
    english: set[int] = set()
    at = 0
    # Masked, because abbreviations are looked up by the word before the stop, and only a space begins a word.
    for piece in segment("en", _NOT_ASCII.sub(" ", text)):
        at += len(piece)
        english.add(at)
    merged = [pieces[0]]
    at = len(pieces[0])
    for piece in pieces[1:]:
        is_abbreviation = _ASCII_STOP.match(merged[-1].rstrip()[-2:]) and piece[0].isascii() and at not in english
        if is_abbreviation:
            merged[-1] += piece
        else:
            merged.append(piece)
        at += len(piece)
    return merged


def _slices(text: str, cap: int) -> list[str]:
    """Cut into slices of at most `cap` characters that joined are the text."""
    slices: list[str] = []
    start = 0
    while len(text) - start > cap:
        end = start + _cut(text[start : start + cap + 1], cap)
        slices.append(text[start:end])
        start = end
        while start < len(text) and text[start].isspace():
            start += 1
        slices[-1] = slices[-1] + text[end:start]
    slices.append(text[start:])
    return slices


def _cut(window: str, cap: int) -> int:
    """Where to cut a window of cap + 1 characters: clause, space, hard; in its last two thirds if possible."""
    clauses = [match.end() for match in _CLAUSE_END.finditer(window) if match.end() <= cap]
    spaces = [match.start() for match in _SPACE.finditer(window) if match.start()]
    for ends, least in ((clauses, cap // 3), (spaces, cap // 3), (clauses, 1), (spaces, 1)):
        if ends and ends[-1] >= max(1, least):
            return ends[-1]
    for end in range(cap, max(0, cap - _LONGEST_CLUSTER), -1):
        if not _is_inside_cluster(window, end):
            return end
    return cap


def _is_inside_cluster(text: str, at: int) -> bool:
    if at >= len(text):
        return False
    char = text[at]
    return (
        char in _JOINERS
        or text[at - 1] == "\u200d"
        or unicodedata.category(char) in ("Mn", "Mc", "Me")
        or "\U0001f3fb" <= char <= "\U0001f3ff"
    )


def _lend(pieces: list[str], punctuation: str, cap: int) -> None:
    """Give punctuation that found no room the last letters of the piece before it; without room it is dropped."""
    last = pieces[-1]
    space = last.rfind(" ")
    for at in (space, len(last) - 1):
        tail = last[at:].strip() + punctuation
        if (
            at > 0
            and len(tail) <= cap
            and is_speakable(tail)
            and is_speakable(last[:at])
            and not _is_inside_cluster(last, at)
        ):
            pieces[-1] = last[:at].rstrip()
            pieces.append(tail)
            return


def _needs_space(left: str, right: str) -> bool:
    return left[-1].isascii() or right[0].isascii()

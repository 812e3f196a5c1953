"""From espeak-ng's word events to marks. Knows only text and numbers, no audio.

What its events are like: several for one number or abbreviation ("1,234" gives five), none for some symbols, one a word
for Chinese, a position inside a word now and then, and at high rates an event that lies before its predecessor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from longtake.core.records import Mark

_OWN_WORD = (  # scripts written without spaces: a word may begin after any character
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x30FF),  # kana and iteration marks
    (0x3400, 0x4DBF),  # Han, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xF900, 0xFAFF),  # Han, compatibility
    (0x20000, 0x323AF),  # Han, further extensions
)
_JOINTS = frozenset("—–…/")  # two words may stand on both sides of these without a space


def marks_of(
    text: str, starts: Iterable[tuple[int, float]], *, begin_s: float, end_s: float, speaker: int
) -> tuple[Mark, ...]:
    """Marks that cover `text` from `begin_s` to `end_s`, and whose texts, joined, are `text`.

    Args:
        text: What was spoken, not empty.
        starts: (character, seconds) of each word event, in the order they came.
    """
    cuts: list[tuple[int, float]] = [(0, begin_s)]
    for character, seconds in starts:
        place = _start_of_word(text, character)
        if place is not None and place > cuts[-1][0]:
            cuts.append((place, min(max(seconds, cuts[-1][1]), end_s)))
    return tuple(_marks(text, cuts, end_s, speaker))


def _marks(text: str, cuts: Sequence[tuple[int, float]], end_s: float, speaker: int) -> Iterable[Mark]:
    ends = [*cuts[1:], (len(text), end_s)]
    for (place, start_s), (next_place, next_s) in zip(cuts, ends, strict=True):
        yield Mark(start_s, next_s, text[place:next_place], speaker)


def _start_of_word(text: str, character: int) -> int | None:
    """Where the word of an event begins, its opening quotes included; None when the event lies within a word."""
    if not 0 <= character < len(text) or text[character].isspace():
        return None
    place = character
    while place > 0 and not text[place - 1].isspace():
        before = text[place - 1]
        if before in _JOINTS or _is_own_word(before) or _is_own_word(text[character]):
            break
        if before.isalnum():
            return None
        place -= 1
    # Closing punctuation begins no word; it belongs to the one before it.
    return (
        place if any(letter.isalnum() for letter in text[place : character + 1]) or _begins_token(text, place) else None
    )


def _begins_token(text: str, place: int) -> bool:
    return place == 0 or text[place - 1].isspace()


def _is_own_word(letter: str) -> bool:
    code = ord(letter)
    return any(low <= code <= high for low, high in _OWN_WORD)

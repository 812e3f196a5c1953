"""JSON with the place of every key and item, which the json module does not keep. Knows no turns."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Not strict: line breaks inside a string are no reason to refuse it.
_DECODER = json.JSONDecoder(strict=False)
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Member:
    """A key of an object and its value; a key that is given twice makes two of them."""

    key: str
    value: Any
    offset: int
    value_offset: int


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a list. `members`: of an object, in order, without those that are null; of anything else none."""

    members: tuple[Member, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON text: its keys when it is an object, else none, and a list of it.

    Attributes:
        chosen: The member whose value the list is; None when the list is the whole document.
        items: None when there is no such list.
    """

    members: tuple[Member, ...]
    chosen: Member | None
    items: tuple[Item, ...] | None


class Places:
    """Offsets of a text as lines and columns, both from 1."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def at(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


def read_document(text: str, lists: tuple[str, ...]) -> Document:
    """Read a list, or the first list under a key of `lists`.

    Raises:
        json.JSONDecodeError: The text is not JSON.
        RecursionError: It is nested too deeply.
        ValueError: It has a number of thousands of digits.
    """
    _DECODER.decode(text)  # from here on the text is known to be JSON
    start = _skip_space(text, 0)
    if text[start] == "[":
        return Document((), None, tuple(_walk_list(text, start)))
    members = _read_object(text, start)
    chosen = next((each for each in members if each.key in lists and isinstance(each.value, list)), None)
    return Document(members, chosen, tuple(_walk_list(text, chosen.value_offset)) if chosen else None)


def _walk_list(text: str, start: int) -> Iterator[Item]:
    at = _skip_space(text, start + 1)
    while text[at] != "]":
        value, end = _DECODER.raw_decode(text, at)
        yield Item(_read_object(text, at) if isinstance(value, dict) else (), at)
        at = _skip_comma(text, end)


def _read_object(text: str, start: int) -> tuple[Member, ...]:
    members = []
    at = _skip_space(text, start + 1)
    while text[at] != "}":
        key, end = _DECODER.raw_decode(text, at)
        value_offset = _skip_space(text, _skip_space(text, end) + 1)
        value, end = _DECODER.raw_decode(text, value_offset)
        if value is not None:
            members.append(Member(key, value, at, value_offset))
        at = _skip_comma(text, end)
    return tuple(members)


def _skip_comma(text: str, at: int) -> int:
    at = _skip_space(text, at)
    return _skip_space(text, at + 1) if text[at] == "," else at


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at

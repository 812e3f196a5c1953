"""Scripts written as JSON turns. Knows nothing of labels in text.

[{"speaker": 1, "text": "Hello."}, {"pause": 0.8}, {"speaker": "Alice", "text": "Hi."}]
{"turns": [...]}    {"script": [...]}    {"dialogue": [...]}
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from longtake.script.cast import Cast
from longtake.script.characters import collapse_spaces
from longtake.script.finding import Severity
from longtake.script.labels import find_label
from longtake.script.pauses import find_pauses
from longtake.script.records import Form, Pause, Script

_OPENING = re.compile(r"\s*(?:\[\s*\{|\{\s*[\"}])")
_SPACE = re.compile(r"[ \t\n\r]*")
_LISTS = ("turns", "script", "dialogue")
_SPEAKERS = ("speaker", "name", "role")
_TEXTS = ("text", "content")
_DECODER = json.JSONDecoder()
_EXAMPLE_PAUSE = '"800ms"'
_MAX_NAME = 80
_REMEDY = 'Write [{"speaker": 1, "text": "…"}, …].'


def looks_like_json(text: str) -> bool:
    """Whether the script means to be JSON: ``[{``, ``{"`` or ``{}``, but not ``[1]`` or ``[pause]``."""
    return _OPENING.match(text) is not None


def parse_json(text: str) -> Script:
    """Read JSON turns. What is wrong becomes an error finding with its place; nothing is raised."""
    places = _Places(text)
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        return _refuse(text, error.lineno, error.colno, f"This is not valid JSON: {error.msg}.")
    except RecursionError:
        return _refuse(text, 1, 1, "This JSON is nested too deeply.")
    except ValueError as error:  # a number of thousands of digits
        return _refuse(text, 1, 1, f"This JSON cannot be read: {error}.")
    start = _find_list(text)
    if start is None:
        return _refuse(text, 1, 1, f"This JSON has no list of turns under any of {', '.join(_LISTS)}.")
    items = list(_walk(text, start))
    cast = Cast({number for item, _ in items if (number := _written_number(item)) is not None})
    if isinstance(document, dict) and len(document) > 1:
        message = "Only the list of turns is spoken; the other keys of this JSON are not."
        cast.find(Severity.NOTE, "json_ignored", *places.at(start), message)
    pending: list[str | Pause] = []  # pauses before the first turn
    for item, offset in items:
        line, column = places.at(offset)
        parts = _read_pause(cast, item, line, column)
        if parts is None:
            _read_turn(cast, item, pending, line, column)
        elif cast.turns:
            last = cast.turns.pop()
            cast.add_turn(last.speaker, (*last.parts, *parts), last.line, last.column)
        else:
            pending.extend(parts)
    if pending:
        cast.add_turn(1, pending, *places.at(start))
    return cast.to_script(Form.JSON, len(text))


def _read_pause(cast: Cast, item: Any, line: int, column: int) -> list[str | Pause] | None:
    if not isinstance(item, dict) or "pause" not in item or any(name in item for name in _TEXTS):
        return None
    length = item["pause"]
    mark = next(find_pauses(f"[pause {length}]"), None)
    if mark is None or mark.seconds is None or isinstance(length, bool):
        message = f"A pause of {str(length)[:20]} cannot be read. Write a number of seconds or {_EXAMPLE_PAUSE}."
        cast.find(Severity.ERROR, "json_turn", line, column, message)
        return []
    return cast.parts_of(f"[pause {length}]", line, column)


def _read_turn(cast: Cast, item: Any, pending: list[str | Pause], line: int, column: int) -> None:
    who = _first(item, _SPEAKERS)
    said = _first(item, _TEXTS)
    if not isinstance(said, str) or isinstance(who, bool) or not isinstance(who, int | str) or not str(who).strip():
        message = f"This turn needs a speaker (a number or a name) and a text. {_REMEDY}"
        cast.find(Severity.ERROR, "json_turn", line, column, message)
        return
    number = _written_number(item)
    if number is not None:
        speaker = cast.speaker_of(number, line, column)
    else:
        name = collapse_spaces(cast.clean(str(who), line, column))[:_MAX_NAME]
        speaker = cast.number_of(name or "Speaker")
    parts = cast.parts_of(cast.clean(said, line, column), line, column)
    if not parts:
        cast.find(Severity.WARNING, "empty_turn", line, column, "This turn says nothing and was left out.")
        return
    cast.add_turn(speaker, (*pending, *parts), line, column)
    pending.clear()


def _written_number(item: Any) -> int | None:
    """2 for ``2``, ``"2"`` and ``"Speaker 2"``; None for a name."""
    who = _first(item, _SPEAKERS)
    if isinstance(who, bool):
        return None
    if isinstance(who, int):
        return who
    if not isinstance(who, str):
        return None
    who = who.strip()
    if who.isdecimal():
        return int(who[:20])
    label = find_label(f"{who[:_MAX_NAME]}:", 0)
    return label.number if label else None


def _first(item: Any, keys: tuple[str, ...]) -> Any:
    return next((item[key] for key in keys if key in item), None) if isinstance(item, dict) else None


def _find_list(text: str) -> int | None:
    """Offset of the list of turns in valid JSON. The json module keeps no places, so the way there is walked."""
    at = _skip_space(text, 0)
    if text[at] == "[":
        return at
    at = _skip_space(text, at + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        at = _skip_space(text, _skip_space(text, at) + 1)
        if key in _LISTS and text[at] == "[":
            return at
        _, at = _DECODER.raw_decode(text, at)
        at = _skip_space(text, at)
        if text[at] == ",":
            at = _skip_space(text, at + 1)
    return None


def _walk(text: str, start: int) -> Iterator[tuple[Any, int]]:
    """The items of the list at `start`, each with its offset."""
    at = _skip_space(text, start + 1)
    while text[at] != "]":
        item, end = _DECODER.raw_decode(text, at)
        yield item, at
        at = _skip_space(text, end)
        if text[at] == ",":
            at = _skip_space(text, at + 1)


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _refuse(text: str, line: int, column: int, message: str) -> Script:
    cast = Cast(())
    cast.find(Severity.ERROR, "broken_json", line, column, f"{message} {_REMEDY}")
    return cast.to_script(Form.JSON, len(text))


class _Places:
    """Offsets of a text as lines and columns, both from 1."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def at(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

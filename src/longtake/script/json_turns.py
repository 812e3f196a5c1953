"""Scripts written as JSON turns. Knows nothing of labels in text.

[{"speaker": 1, "text": "Hello."}, {"pause": 0.8}, {"speaker": "Alice", "text": "Hi."}]
{"turns": [...]}    {"script": [...]}    {"dialogue": [...]}

Every key that is not used is found: words that would not be spoken are an error, any other key is a warning, told once
for all turns. A key whose value is null counts as absent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from longtake.script.cast import Cast
from longtake.script.characters import collapse_spaces
from longtake.script.finding import Severity
from longtake.script.json_document import Document, Item, Member, Places, read_document
from longtake.script.labels import find_label
from longtake.script.pauses import find_pauses
from longtake.script.records import Form, Pause, Script

_OPENING = re.compile(r"\s*(?:\[\s*\{|\{\s*[\"}])")
_LISTS = ("turns", "script", "dialogue")
_SPEAKERS = ("speaker", "name", "role")
_TEXTS = ("text", "content")
# Keys that hold words to speak in the formats of others, in the singular and in lower case.
_WORDS = frozenset({*_TEXTS, "turn", "script", "dialogue", "dialog", "line", "utterance", "message", "speech", "say"})
_EXAMPLE_PAUSE = '"800ms"'
_MAX_NAME = 80
_REMEDY = 'Write [{"speaker": 1, "text": "…"}, …].'


def looks_like_json(text: str) -> bool:
    """Whether the script means to be JSON: ``[{``, ``{"`` or ``{}``, but not ``[1]`` or ``[pause]``."""
    return _OPENING.match(text) is not None


def parse_json(text: str) -> Script:
    """Read JSON turns. What is wrong becomes an error finding with its place; nothing is raised."""
    try:
        document = read_document(text, _LISTS)
    except json.JSONDecodeError as error:
        return _refuse(text, error.lineno, error.colno, f"This is not valid JSON: {error.msg}.")
    except RecursionError:
        return _refuse(text, 1, 1, "This JSON is nested too deeply.")
    except ValueError as error:  # a number of thousands of digits
        return _refuse(text, 1, 1, f"This JSON cannot be read: {error}.")
    if document.items is None:
        return _refuse(text, 1, 1, f"This JSON has no list of turns under any of {', '.join(_LISTS)}.")
    written = (_written_number(who.value) for item in document.items if (who := _first(item.members, _SPEAKERS)))
    cast = Cast({number.value for number in written if number})
    _Reader(cast, Places(text)).read(document, document.items)
    return cast.to_script(Form.JSON, len(text))


@dataclass(frozen=True, slots=True)
class _Number:
    """A speaker's number and the direction in brackets behind it, as of ``Speaker 2 (laughing)``."""

    value: int
    direction: str | None


class _Reader:
    """Walks the items once; holds the turn that is being read.

    `parts` belong to the open turn that began at `place`; `speaker` is None while there are only pauses.
    """

    def __init__(self, cast: Cast, places: Places) -> None:
        self.cast = cast
        self.places = places
        self.speaker: int | None = None
        self.parts: list[str | Pause] = []
        self.place = (1, 1)
        self.ignored: dict[str, list[Member]] = {}

    def read(self, document: Document, items: Sequence[Item]) -> None:
        if items:
            self.place = self.places.at(items[0].offset)
        if document.chosen:
            self._judge_rest(document.members, (document.chosen,))
            self._tell_ignored(f"only the turns under {_show(document.chosen.key)} are spoken")
        for item in items:
            pause = _first(item.members, ("pause",))
            if pause and not _first(item.members, _TEXTS):
                self._read_pause(item, pause)
            else:
                self._read_turn(item)
        self._tell_ignored("a turn is a speaker and a text")
        self._close()

    def _read_pause(self, item: Item, pause: Member) -> None:
        length = _show(pause.value)
        if isinstance(pause.value, str):
            length = pause.value
        elif isinstance(pause.value, float):
            length = f"{pause.value:.9f}"  # 0.1 + 0.2 has more digits than anybody writes into a mark
        written = f"[pause {length}]"
        mark = next(find_pauses(written), None)
        if mark is None or mark.seconds is None or mark.end < len(written):
            message = f"A pause of {_show(pause.value)} cannot be read. Write a number of seconds or {_EXAMPLE_PAUSE}."
            self._refuse_turn(item, message)
            return
        self.parts.extend(self.cast.parts_of(written, *self.places.at(item.offset), is_exact=False))
        self._judge_rest(item.members, (pause,))

    def _read_turn(self, item: Item) -> None:
        who, said = _first(item.members, _SPEAKERS), _first(item.members, _TEXTS)
        is_somebody = who and isinstance(who.value, int | str) and not isinstance(who.value, bool)
        if who is None or said is None or not is_somebody or not isinstance(said.value, str):
            self._refuse_turn(item, f"This turn needs a speaker (a number or a name) and a text. {_REMEDY}")
            return
        speaker = self._speaker_of(item, who)
        if speaker is None:
            self._refuse_turn(item, f"The name of this speaker is empty. {_REMEDY}")
            return
        self._judge_rest(item.members, (who, said))
        place = self.places.at(said.value_offset)
        text = self.cast.clean(said.value, *place, is_exact=False)
        parts = self.cast.parts_of(text, *place, is_exact=False)
        if not parts:
            message = "This turn says nothing and was left out."
            self.cast.find(Severity.WARNING, "empty_turn", *self.places.at(item.offset), message)
            return
        if self.speaker is not None:
            self._close()
        self.speaker = speaker
        self.place = self.places.at(item.offset)
        self.parts.extend(parts)

    def _speaker_of(self, item: Item, who: Member) -> int | None:
        number = _written_number(who.value)
        place = self.places.at(who.value_offset)
        if number is not None:
            if number.direction:
                message = f"“({number.direction})” is not spoken: engines here take no directions."
                self.cast.find(Severity.NOTE, "direction_not_spoken", *place, message)
            return self.cast.speaker_of(number.value, *self.places.at(item.offset))
        name = collapse_spaces(self.cast.clean(who.value, *place, is_exact=False))
        if len(name) > _MAX_NAME:
            message = f"This name has {len(name)} characters and was cut to {_MAX_NAME}."
            self.cast.find(Severity.WARNING, "long_name", *place, message)
        return self.cast.number_of(name[:_MAX_NAME].rstrip()) if name else None

    def _judge_rest(self, members: Sequence[Member], used: Sequence[Member]) -> None:
        """Find every key that is not used."""
        for member in members:
            if any(member is each for each in used):
                continue
            is_repeated = any(_is_same(member.value, each.value) for each in used)
            if any(member.key == each.key for each in used) and not is_repeated:
                message = f"{_show(member.key)} is given twice, and only one would count. Keep one, or make two turns."
                self.cast.find(Severity.ERROR, "json_key_twice", *self.places.at(member.offset), message)
            elif _has_words(member) and not is_repeated:
                taken = " and ".join(_show(each.key) for each in used)
                message = f"The words under {_show(member.key)} would not be spoken beside {taken}. Give them a turn."
                self.cast.find(Severity.ERROR, "json_words_lost", *self.places.at(member.offset), message)
            else:
                self.ignored.setdefault(member.key, []).append(member)

    def _tell_ignored(self, why: str) -> None:
        """One warning for each key, where it stands first: a script of a thousand turns may have it in each."""
        for key, members in self.ignored.items():
            remedy = ' Write {"pause": …} as an item of its own.' if key == "pause" else ""
            more = f" ({len(members)} times, the first here)" if len(members) > 1 else ""
            message = f"{_show(key)} is ignored{more}: {why}.{remedy}"
            self.cast.find(Severity.WARNING, "json_key_ignored", *self.places.at(members[0].offset), message)
        self.ignored.clear()

    def _refuse_turn(self, item: Item, message: str) -> None:
        self.cast.find(Severity.ERROR, "json_turn", *self.places.at(item.offset), message)

    def _close(self) -> None:
        if self.parts:
            self.cast.add_turn(self.speaker or 1, self.parts, *self.place)
        self.parts = []


def _written_number(who: Any) -> _Number | None:
    """2 for ``2``, ``"2"`` and ``"Speaker 2"``; None for a name."""
    if isinstance(who, bool) or not isinstance(who, int | str):
        return None
    if isinstance(who, int):
        return _Number(who, None)
    who = who.strip()
    if who.isdecimal():
        return _Number(int(who[:20]), None)
    label = find_label(f"{who}:", 0) if len(who) <= _MAX_NAME else None
    if label is None or label.number is None or who[label.end :].strip(" *_:："):  # there is more than the label
        return None
    return _Number(label.number, label.direction)


def _first(members: Iterable[Member], keys: tuple[str, ...]) -> Member | None:
    """The member of the first key that there is; of two with one key the first."""
    found: dict[str, Member] = {}
    for member in members:
        if member.key in keys:
            found.setdefault(member.key, member)
    return next((found[key] for key in keys if key in found), None)


def _is_same(left: Any, right: Any) -> bool:
    return isinstance(left, str | int | float) and type(left) is type(right) and bool(left == right)


def _has_words(member: Member) -> bool:
    """Whether a value that is not used seems to be meant for speaking."""
    value = member.value
    if member.key.strip().lower().removesuffix("s") in _WORDS:
        return bool(value.strip()) if isinstance(value, str) else isinstance(value, list | dict) and bool(value)
    return isinstance(value, list) and any(
        isinstance(each, dict) and not each.keys().isdisjoint(_TEXTS) for each in value
    )


def _show(value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 40 else f"{shown[:39]}…"


def _refuse(text: str, line: int, column: int, message: str) -> Script:
    cast = Cast(())
    cast.find(Severity.ERROR, "broken_json", line, column, f"{message} {_REMEDY}")
    return cast.to_script(Form.JSON, len(text))

"""A place in a log of several files that grow and rotate: where in which file each writer was.

As text, for clients to hand back: ``web:123.4567,worker-espeak:124.89`` (file and offset of each). It is compared with
files that are ours, and never opens one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from longtake.core.errors import InputError

_PLACE = re.compile(r"([a-z][a-z0-9-]{0,63}):(\d{1,20})\.(\d{1,18})", re.ASCII)
_MOST_TEXT = 4000


class Place(NamedTuple):
    """Where in a file (`sources.OpenFile.id`); the byte behind what was read."""

    file: int
    offset: int


Position = Mapping[str, Place]


def to_text(position: Position) -> str:
    return ",".join(f"{name}:{place.file}.{place.offset}" for name, place in sorted(position.items()))


def parse_position(text: str, param: str) -> Position:
    """
    Raises:
        InputError: It is none.
    """
    found = [_PLACE.fullmatch(part) for part in text.split(",")] if 0 < len(text) <= _MOST_TEXT else [None]
    if not all(found):
        raise InputError(
            f"{param} is {text[:40]!a}; it must be a position in the log as an earlier answer gave it. Leave it out to "
            "begin at the newest line.",
            code="invalid_value",
            param=param,
        )
    return {each[1]: Place(int(each[2]), int(each[3])) for each in found if each}

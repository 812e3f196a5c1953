"""Reads the log of several writers as one: backwards from the newest line, or onwards from a position.

However large the log is, a call reads a bounded number of bytes and holds a bounded number of lines; its answer tells
where to go on. Lines stay as they lie in the file: JSON, without the line's end.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from longtake.logs.position import Place, Position
from longtake.logs.sources import HEAD, TIME, OpenFile, Source, identified, opened

SCAN_BYTES = 8 << 20  # of one call: some tenths of a second
BLOCK_BYTES = 64 << 10
_LINE_BYTES = 128 << 10  # what is longer is not ours
_LEVEL_AT = TIME.stop + len(b'","level":"')


class Level(StrEnum):
    """How much a line matters."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def and_above(self) -> frozenset[bytes]:
        order = list(Level)
        return frozenset(level.encode() for level in order[order.index(self) :])


class Found(NamedTuple):
    """A line, and where it lies. Sorts by time."""

    time: bytes
    source: str
    file: int
    begin: int
    end: int
    raw: bytes


class Filter:
    """Which lines are wanted. Equal filters choose the same lines."""

    def __init__(
        self,
        level: Level = Level.DEBUG,
        job: str | None = None,
        text: str | None = None,
        since_s: float | None = None,
        until_s: float | None = None,
    ) -> None:
        """
        Args:
            text: Part of a line, in capitals or not.
            since_s: Lines from then on, in seconds since the epoch.
            until_s: Lines before then.
        """
        self.key: Hashable = (level, job, text, since_s, until_s)
        self._levels = level.and_above
        self._job = None if job is None else f'"job":{json.dumps(job)}'.encode()
        # What is part of a text is, quoted as JSON, part of that text quoted as JSON.
        self._text = None if text is None else json.dumps(text, ensure_ascii=False)[1:-1].lower()
        self.since = b"" if since_s is None else _stamp(since_s)
        self._until = None if until_s is None else _stamp(until_s)

    def admits(self, time: bytes, raw: bytes) -> bool:
        if time < self.since or (self._until is not None and time >= self._until):
            return False
        if raw[_LEVEL_AT : raw.find(b'"', _LEVEL_AT)] not in self._levels:
            return False
        if self._job is not None and self._job not in raw:
            return False
        return self._text is None or self._text in raw.decode("utf-8", "replace").lower()


def _stamp(seconds: float) -> bytes:
    bounded = min(max(seconds, 0.0), 253402300799.0)  # the year 9999: what `datetime` can say
    return datetime.fromtimestamp(bounded, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines, the newest first.

    Attributes:
        older: Where to go on; None when there is nothing older.
        newest: Behind the newest line, when the page was begun there.
    """

    lines: list[bytes]
    older: Position | None
    newest: Position


def read_back(
    sources: Iterable[Source],
    wanted: Filter,
    *,
    limit: int,
    before: Position | None = None,
    scan_bytes: int = SCAN_BYTES,
) -> Page:
    """
    Args:
        limit: Lines at most. With few that fit there may be fewer, though older ones are there: see `Page.older`.
        before: Only what lies before; None begins at the end.
    """
    with ExitStack() as stack:
        files = {source.name: stack.enter_context(opened(source)) for source in sources}
        newest = {name: Place(chain[0].id, _whole(chain[0])) for name, chain in files.items() if chain}
        start = newest if before is None else before
        here = dict(start)
        chains = [_back_from(name, chain, start[name]) for name, chain in files.items() if name in start]
        lines: list[bytes] = []
        scanned = 0
        for found in heapq.merge(*chains, key=lambda found: found.time, reverse=True):
            if found.time < wanted.since:
                return Page(lines, None, newest)
            if len(lines) == limit or scanned > scan_bytes:
                return Page(lines, here, newest)
            here[found.source] = Place(found.file, found.begin)
            scanned += found.end - found.begin
            if wanted.admits(found.time, found.raw):
                lines.append(found.raw)
        return Page(lines, None, newest)


def tail_of(sources: Iterable[Source]) -> Position:
    """Behind the newest line of each."""
    position = {}
    for source in sources:
        with opened(source) as chain:
            if chain:
                position[source.name] = Place(chain[0].id, _whole(chain[0]))
    return position


@dataclass(frozen=True, slots=True)
class Batch:
    """What came after a position, the oldest first.

    Attributes:
        position: Where to go on.
        has_gap: Whether some lines between are missing: they were too many, or are deleted.
    """

    lines: list[Found]
    position: Position
    has_gap: bool


def read_on(
    sources: Sequence[Source], after: Position, *, until: Position | None = None, limit_bytes: int = SCAN_BYTES // 8
) -> Batch:
    """
    Args:
        until: Where to stop; None: at the end.
        limit_bytes: When a writer wrote more than this since, the older part is left out.
    """
    lines: list[Found] = []
    position = dict(after)
    has_gap = False
    for source in sources:
        if until is not None and source.name not in until:
            continue  # it began to write later
        if until is None and _is_still(source, after.get(source.name)):
            continue
        with opened(source) as chain:
            found, place, is_gap = _on_from(
                source.name, chain, after.get(source.name), until[source.name] if until else None, limit_bytes
            )
        lines += found
        has_gap = has_gap or is_gap
        if place is not None:
            position[source.name] = place
    lines.sort(key=lambda found: found.time)
    return Batch(lines, position, has_gap)


def _is_still(source: Source, after: Place | None) -> bool:
    """Whether nothing was written since, by one look at the newest file."""
    try:
        with source.path.open("rb", buffering=0) as file:
            found = identified(file.fileno())
    except OSError:
        return False
    return found is not None and (found.id, found.size) == after


def _on_from(
    name: str, chain: Sequence[OpenFile], after: Place | None, until: Place | None, limit_bytes: int
) -> tuple[list[Found], Place | None, bool]:
    if until is not None:
        while chain and chain[0].id != until.file:
            chain = chain[1:]
    if not chain:
        return [], None, False
    stretches: list[tuple[OpenFile, int, int]] = []  # from, to; the newest file first
    is_gap = after is not None  # unless the file where we were is still there
    for file in chain:
        end = until.offset if until is not None and not stretches else _whole(file)
        is_last = after is not None and file.id == after.file
        stretches.append((file, min(after.offset, end) if after is not None and is_last else 0, end))
        if is_last:
            is_gap = False
            break
    place = Place(chain[0].id, stretches[0][2])
    lines: list[Found] = []
    for file, begin, end in stretches:
        if limit_bytes <= 0:
            is_gap = is_gap or end > begin
            break
        if end - begin > limit_bytes:
            begin, is_gap = end - limit_bytes, True
        limit_bytes -= end - begin
        lines = [found for found in _backwards(name, file, end) if found.begin >= begin][::-1] + lines
    return lines, place, is_gap


def _back_from(name: str, chain: Sequence[OpenFile], start: Place) -> Iterator[Found]:
    """Nothing when the file of the start is deleted: so is all that is older."""
    while chain and chain[0].id != start.file:
        chain = chain[1:]
    for age, file in enumerate(chain):
        yield from _backwards(name, file, min(start.offset, file.size) if not age else _whole(file))


def _whole(file: OpenFile) -> int:
    """Behind the last whole line: what follows is being written, or was never finished."""
    block = file.read(max(0, file.size - _LINE_BYTES), file.size)
    end = block.rfind(b"\n")
    return file.size if end < 0 else file.size - len(block) + end + 1


def _backwards(name: str, file: OpenFile, end: int) -> Iterator[Found]:
    """The lines that end before or at a byte, the last first; what is no line of ours is left out."""
    rest = b""  # the end of a line that began further up
    is_endless = False
    while end > 0:
        begin = max(0, end - BLOCK_BYTES)
        block = file.read(begin, end)
        if is_endless:
            block, newline, _ = block.rpartition(b"\n")
            if not newline:
                end = begin
                continue
            block += newline
            is_endless = False
        pieces = (block + rest).split(b"\n")
        at = begin + len(block) + len(rest)
        for piece in reversed(pieces[1:]):
            if _is_ours(piece):
                yield Found(piece[TIME], name, file.id, at - len(piece), at + 1, piece)
            at -= len(piece) + 1
        rest, end = pieces[0], begin
        if len(rest) > _LINE_BYTES:
            rest, is_endless = b"", True
    if _is_ours(rest):
        yield Found(rest[TIME], name, file.id, 0, len(rest) + 1, rest)


def _is_ours(line: bytes) -> bool:
    return line.startswith(HEAD) and line.endswith(b"}")

"""Follows the log for everybody who watches it: one look at the files for all, a bounded line of news for each.

A reader that is slower than the log loses the oldest lines that it has not taken, and is told how many. When so much is
written that one look cannot take it in, everybody is told of a gap.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from weakref import WeakSet

from longtake.logs import Batch, Filter, Position, process_sources, read_on, tail_of, to_text
from longtake.logs.position import Place
from longtake.server.hop import Hop

log = logging.getLogger(__name__)

LOOK_S = 0.25
LOOK_BYTES = 512 << 10  # of each process's log, in one look: 2 MiB a second
MAX_NEWS = 1000  # lines that wait for one reader


class Reader:
    """One who watches. Lives on the event loop."""

    def __init__(self, wanted: Filter, start: Position) -> None:
        """
        Args:
            start: Behind the last line that will not come as news.
        """
        self.wanted = wanted
        self.start = start
        self._news: deque[bytes] = deque()
        self._lost = 0
        self._has_news = asyncio.Event()

    def put(self, events: Iterable[bytes]) -> None:
        self._news.extend(events)
        while len(self._news) > MAX_NEWS:
            self._news.popleft()
            self._lost += 1
        if self._news:
            self._has_news.set()

    async def news(self, patience_s: float) -> bytes:
        """What has come since, as server-sent events; empty when nothing came for so long."""
        try:
            await asyncio.wait_for(self._has_news.wait(), patience_s)
        except TimeoutError:
            return b""
        self._has_news.clear()
        told = (_gap(self._lost) if self._lost else b"") + b"".join(self._news)
        self._news.clear()
        self._lost = 0
        return told


class LogTail:
    """Looks only while somebody watches. All methods belong to the event loop."""

    def __init__(self, folder: Path, in_logs: Hop) -> None:
        self._folder = folder
        self._in_logs = in_logs
        # Weak: a connection may break before its stream has begun, and then nobody says goodbye.
        self._readers: WeakSet[Reader] = WeakSet()
        self._position: Position = {}
        self._starting = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def attach(self, wanted: Filter) -> Reader:
        """Have the news put before a new reader, until it is detached or nobody holds it any more."""
        async with self._starting:
            if self._task is None or self._task.done():
                self._position = await self._in_logs(self._tail)
                self._task = asyncio.create_task(self._run())
        reader = Reader(wanted, self._position)
        self._readers.add(reader)
        return reader

    def detach(self, reader: Reader) -> None:
        self._readers.discard(reader)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _tail(self) -> Position:
        return tail_of(process_sources(self._folder))

    async def _run(self) -> None:
        await asyncio.sleep(LOOK_S)
        while self._readers:
            wanted: dict[Hashable, Filter] = {reader.wanted.key: reader.wanted for reader in self._readers}
            before = self._position
            try:
                batch, chosen = await self._in_logs(self._look, before, wanted)
            except OSError as error:
                log.warning("the log cannot be followed now: %s", error)
            else:
                # No waiting from here on: whoever attaches sees all of this look, or none of it.
                self._position = batch.position
                for reader in list(self._readers):
                    events = chosen.get(reader.wanted.key)  # none for who came during the look
                    reader.put(told(batch, before, reader.wanted) if events is None else events)
            await asyncio.sleep(LOOK_S)

    def _look(self, position: Position, wanted: Mapping[Hashable, Filter]) -> tuple[Batch, dict[Hashable, list[bytes]]]:
        batch = read_on(process_sources(self._folder), position, limit_bytes=LOOK_BYTES)
        return batch, {key: list(told(batch, position, each)) for key, each in wanted.items()}


def told(batch: Batch, position: Position, wanted: Filter) -> Iterator[bytes]:
    """The lines of a batch that somebody wants, as events; each bears the position behind it."""
    if batch.has_gap:
        yield _gap(None)
    here = dict(position)
    for found in batch.lines:
        here[found.source] = Place(found.file, found.end)
        if wanted.admits(found.time, found.raw):
            yield to_sse(found.raw, to_text(here))


def to_sse(raw: bytes, position: str) -> bytes:
    return b"id: %b\nevent: line\ndata: %b\n\n" % (position.encode(), raw)


def _gap(lost: int | None) -> bytes:
    return b"event: gap\ndata: %b\n\n" % json.dumps({"lost": lost}).encode()

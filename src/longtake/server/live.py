"""Streams without an end: how many may listen at once, and how slow they may be. Knows nothing of what is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from longtake.core.errors import QueueFullError
from longtake.server.errors import BrokenStreamError

SLOW_S = 10.0  # a reader that takes nothing for so long is given up: its connection is worth more to somebody else


class Seats:
    """So many may listen at once. To be used on the event loop."""

    def __init__(self, limit: int, what: str) -> None:
        """
        Args:
            what: Names the stream in the refusal.
        """
        self._limit = limit
        self._what = what
        self.taken = 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """
        Raises:
            QueueFullError: All are taken.
        """
        if self.taken >= self._limit:
            raise QueueFullError(
                f"{self.taken} readers listen to {self._what}, which is the limit. Close one, or ask without a stream.",
                code="too_many_readers",
                retry_after_s=5.0,
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class LiveStream(StreamingResponse):
    """Server-sent events to one reader, as long as it takes them."""

    def __init__(self, events: AsyncIterator[bytes], seats: Seats) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._seats = seats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Raises:
            QueueFullError: All seats are taken; nothing was sent.
            BrokenStreamError: The reader was too slow.
        """

        async def send_soon(message: Message) -> None:
            try:
                async with asyncio.timeout(SLOW_S):
                    await send(message)
            except TimeoutError as error:
                raise BrokenStreamError(f"its reader took nothing for {SLOW_S:g} s") from error

        with self._seats.take():
            await super().__call__(scope, receive, send_soon)

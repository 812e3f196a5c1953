"""The one hop from the event loop to the store: a few threads, so that no SQLite wait ever stands in the loop."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Each thread keeps one connection. More threads would only queue for the same write lock.
_THREADS = 4


class Hop:
    """Runs blocking calls of the store and of its files. To be awaited on the event loop."""

    def __init__(self, threads: int = _THREADS, name: str = "store") -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def __call__(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, functools.partial(function, *args, **kwargs))

    def close(self) -> None:
        """Let running calls finish, start no other."""
        self._pool.shutdown(wait=True, cancel_futures=True)

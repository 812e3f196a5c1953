"""What the owner of the machine may ask of a worker, and what came of it in bytes. Knows no HTTP and no job.

Each call waits for the worker, up to a bound; what takes longer goes on all the same, and is answered as not done yet.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from longtake.core.clock import Clock
from longtake.core.errors import ConflictError
from longtake.core.memory import MemoryUse, rss_bytes
from longtake.supervise.answers import LOAD, MEASURE, UNLOAD, Answer, read_answer
from longtake.supervise.status import WorkerState, WorkerStatus
from longtake.supervise.supervisor import RESTART, Supervisor

LOOK_S = 0.02
MEASURE_S = 2.0  # a worker that is well measures itself at once
TELLS_S = 2.0  # from its answer to the supervisor's knowing
_REACHED = {UNLOAD: WorkerState.UNLOADED, LOAD: WorkerState.READY}
_RESTARTED = "restart"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mended:
    """What came of it.

    Attributes:
        is_done: False while the worker is still at it.
        before: What the worker's process held; None of one that did not live or was not heard.
        after: The same behind it; after a restart of the new process.
        error: Why it could not be done.
    """

    engine: str
    action: str
    state: WorkerState
    is_done: bool
    before: MemoryUse | None = None
    after: MemoryUse | None = None
    error: str | None = None

    @property
    def given_back(self) -> MemoryUse | None:
        return None if self.before is None or self.after is None else self.before.less(self.after)


class Mending:
    """Safe from any thread; one call at a time for each engine."""

    def __init__(self, supervisor: Supervisor, folder: Path, clock: Clock) -> None:
        """
        Args:
            folder: Where the workers leave their answers.
        """
        self._supervisor = supervisor
        self._folder = folder
        self._clock = clock
        self._turns = {status.engine: threading.Lock() for status in supervisor.statuses()}
        self._is_closing = threading.Event()

    def order(self, engine: str, word: str, wait_s: float) -> Mended:
        """`UNLOAD`, `LOAD` or `RELEASE`.

        Raises:
            ConflictError: It has no worker now, or somebody else is at it.
        """
        with self._turn(engine):
            pid = self._status(engine).pid
            if pid is None:
                raise ConflictError(self._why_not(engine), code="no_worker", param="engine")
            answer = self._ask(engine, word, pid, wait_s)
            if answer is None:
                error = None if self._status(engine).pid == pid else "The worker ended meanwhile; its jobs go on."
                return Mended(engine, word, self._status(engine).state, error is not None, error=error)
            if answer.error is None and word in _REACHED:
                self._await(lambda: self._status(engine).state is _REACHED[word] or None, TELLS_S)
            state = self._status(engine).state
            return Mended(engine, word, state, True, answer.before, answer.after, answer.error)

    def restart(self, engine: str, wait_s: float, *, drains: bool) -> Mended:
        """A fresh worker, whatever the state of the old one; a breaker is closed.

        Args:
            drains: The old one speaks what it holds to its end first.

        Raises:
            ConflictError: Somebody else is at it.
        """
        with self._turn(engine):
            old = self._status(engine).pid
            before = self._measure(engine, old)
            self._supervisor.restart(engine, drains=drains)

            def fresh() -> WorkerStatus | None:
                status = self._status(engine)
                is_settled = status.state in (WorkerState.READY, WorkerState.BROKEN)
                return status if status.pid != old and is_settled else None

            status = self._await(fresh, wait_s)
            if status is None:
                return Mended(engine, _RESTARTED, self._status(engine).state, False, before)
            if status.state is WorkerState.BROKEN:
                return Mended(engine, _RESTARTED, status.state, True, before, error=status.reason)
            return Mended(engine, _RESTARTED, status.state, True, before, self._measure(engine, status.pid))

    def close(self) -> None:
        """Nobody waits any longer."""
        self._is_closing.set()

    @contextmanager
    def _turn(self, engine: str) -> Iterator[None]:
        lock = self._turns[engine]
        if not lock.acquire(blocking=False):
            raise ConflictError(
                f"The worker of {engine} is being mended already. Wait for that answer, then ask again.",
                code="being_mended",
                param="engine",
            )
        try:
            yield
        finally:
            lock.release()

    def _measure(self, engine: str, pid: int | None) -> MemoryUse | None:
        """By the worker itself, which alone knows its device; a frozen one is seen from outside."""
        if pid is None:
            return None
        answer = self._ask(engine, MEASURE, pid, MEASURE_S)
        return MemoryUse(rss_bytes(pid)) if answer is None else answer.before

    def _ask(self, engine: str, word: str, pid: int, wait_s: float) -> Answer | None:
        """None when nothing was heard in time, or the worker ended."""
        ticket = secrets.token_hex(8)
        self._supervisor.order(engine, f"{word} {ticket}")

        def heard() -> tuple[Answer | None] | None:
            answer = read_answer(self._folder, engine, ticket)
            return (answer,) if answer is not None or self._status(engine).pid != pid else None

        (answer,) = self._await(heard, wait_s) or (None,)
        return answer

    def _await(self, condition: Callable[[], T | None], wait_s: float) -> T | None:
        """What the condition gives once that is not None; None when the time is over."""
        until_s = self._clock.monotonic_s() + wait_s
        while (found := condition()) is None:
            if self._clock.monotonic_s() >= until_s or self._is_closing.wait(LOOK_S):
                return None
        return found

    def _status(self, engine: str) -> WorkerStatus:
        return next(status for status in self._supervisor.statuses() if status.engine == engine)

    def _why_not(self, engine: str) -> str:
        status = self._status(engine)
        why = f": {status.reason}" if status.reason else "."
        return f"{engine} has no worker now, it is {status.state}{why} POST {RESTART}?engine={engine} starts one."

"""Keeps one worker an engine alive, and judges it by progress. Knows jobs only through three callables.

One thread looks at every worker a few times a second:

    no process, due        spawn; one that cannot be started counts as dead
    process ended          free its jobs, ask the policy: wait, or break
    work but no progress   kill; the next look finds it ended
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from longtake.core.clock import Clock
from longtake.supervise.answers import DRAIN, STOP, WAKE
from longtake.supervise.policy import MAX_DEATHS, WINDOW_S, RestartPolicy
from longtake.supervise.status import Death, WorkerState, WorkerStatus

log = logging.getLogger(__name__)

LOOK_S = 0.1
OVERDUE = 2  # a worker that was told to stop ends itself after its time; one that is frozen cannot even do that
SLOW_HEART = 4  # while an engine is loaded, silence may last so many times as long
RESTART = "/v1/admin/restart"  # where a server listens for `restart`; a message names it
EXIT_CANNOT_LOAD = 2  # a worker's word that its settings are at fault: another start would end the same way


class Process(Protocol):
    """A worker process as the supervisor needs it."""

    @property
    def pid(self) -> int: ...
    def exit_code(self) -> int | None: ...
    def send(self, line: str) -> None: ...
    def kill(self) -> None: ...
    def wait(self, timeout_s: float) -> bool: ...
    def close(self) -> None: ...
    def last_words(self) -> str: ...
    def words(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """What a worker last said of itself; times are monotonic.

    Attributes:
        is_ready: It has loaded its engine, or given it up.
        committed_s: When its work last bore fruit, or was begun; None without work.
        is_unloaded: It has given its engine up.
    """

    is_ready: bool
    steps: int
    active: int
    beat_s: float
    committed_s: float | None = None
    is_unloaded: bool = False


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a worker may take, in seconds."""

    start_s: float
    stall_s: float
    ceiling_s: float
    silence_s: float
    stop_s: float


class _Slot:
    """One engine's place: the process that fills it now, and its history."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.policy = RestartPolicy()
        self.process: Process | None = None
        self.worker_id = ""
        self.due_s = float("-inf")
        self.spawned_s = 0.0
        self.loads_since_s = 0.0
        self.moved_s = 0.0  # when steps last changed, or there was nothing to do
        self.progress = Progress(False, 0, 0, 0.0)
        self.stopping_since_s: float | None = None  # it was told to
        self.killed_for: str | None = None
        self.reason: str | None = None
        self.restarts = 0
        self.is_broken = False


class Supervisor:
    """Owns the worker processes. Its methods are safe from any thread."""

    def __init__(
        self,
        engines: Sequence[str],
        *,
        spawn: Callable[[str, str], Process],
        progress: Callable[[], dict[str, Progress]],
        died: Callable[[str, str | None], None],
        crashed: Callable[[Death], None] = lambda death: None,
        patience: Patience,
        clock: Clock,
    ) -> None:
        """
        Args:
            spawn: (engine, worker id) → a running process. An error of it is a death like others.
            progress: Worker id → what it last said.
            died: (worker id, how it died) frees its jobs; None when it was asked to stop.
            crashed: Is told of every other death, after that.
        """
        self._slots = {engine: _Slot(engine) for engine in engines}
        self._spawn = spawn
        self._progress = progress
        self._died = died
        self._crashed = crashed
        self._patience = patience
        self._clock = clock
        self._lock = threading.RLock()
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._spawned = 0

    def start(self) -> None:
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """Ask all workers to leave in good order, kill those that do not within their time."""
        self._is_stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            living = [slot for slot in self._slots.values() if slot.process is not None]
            for slot in living:
                slot.process.send(f"{STOP}\n")  # type: ignore[union-attr]  # living
            deadline_s = self._clock.monotonic_s() + self._patience.stop_s
            for slot in living:
                self._see_off(slot, deadline_s)

    def _see_off(self, slot: _Slot, deadline_s: float) -> None:
        process = slot.process
        assert process is not None  # noqa: S101
        if not process.wait(max(0.0, deadline_s - self._clock.monotonic_s())):
            log.warning("worker %s did not stop in time and is killed", slot.worker_id)
            process.kill()
            process.wait(self._patience.stop_s)
        process.close()
        self._died(slot.worker_id, None)
        slot.process = None

    def wake(self, engine: str) -> None:
        """Tell a worker that there may be work."""
        with self._lock:
            slot = self._slots.get(engine)
            if slot is not None and slot.process is not None:
                slot.process.send(f"{WAKE}\n")

    def order(self, engine: str, order: str) -> None:
        """Hand a line to a worker, if there is one."""
        with self._lock:
            slot = self._slots.get(engine)
            if slot is not None and slot.process is not None:
                slot.process.send(f"{order}\n")

    def restart(self, engine: str, *, drains: bool = False) -> None:
        """Start anew whatever the state, a broken one too.

        Args:
            drains: What the worker holds is spoken to its end before; otherwise it goes on with the new one.
        """
        with self._lock:
            slot = self._slots[engine]
            slot.policy.reset()
            slot.is_broken = False
            slot.due_s = float("-inf")
            if slot.process is not None:
                slot.process.send(f"{DRAIN if drains else STOP}\n")
                if not drains and slot.stopping_since_s is None:
                    slot.stopping_since_s = self._clock.monotonic_s()

    def statuses(self) -> tuple[WorkerStatus, ...]:
        with self._lock:
            return tuple(self._status(slot) for slot in self._slots.values())

    def _status(self, slot: _Slot) -> WorkerStatus:
        if slot.is_broken:
            state = WorkerState.BROKEN
        elif slot.process is None:
            state = WorkerState.STOPPED if self._is_stopping.is_set() else WorkerState.WAITING
        else:
            state = WorkerState.READY if slot.progress.is_ready else WorkerState.STARTING
            state = WorkerState.UNLOADED if slot.progress.is_unloaded else state
        pid = slot.process.pid if slot.process is not None else None
        worker_id = slot.worker_id if slot.process is not None else ""
        return WorkerStatus(slot.engine, state, pid, slot.reason, slot.restarts, slot.progress.steps, worker_id)

    def _run(self) -> None:
        while not self._is_stopping.wait(LOOK_S):
            try:
                self.look()
            except Exception:  # a border: a supervisor that dies watches nobody
                log.exception("supervisor stumbled")

    def look(self) -> None:
        """One look at every worker; the thread does this, tests do it by hand."""
        now_s = self._clock.monotonic_s()
        progress = self._progress()
        with self._lock:
            for slot in self._slots.values():
                if slot.process is None:
                    if not slot.is_broken and now_s >= slot.due_s:
                        self._fill(slot, now_s)
                elif slot.process.exit_code() is not None:
                    self._bury(slot, now_s)
                else:
                    self._judge(slot, progress.get(slot.worker_id), now_s)

    def _fill(self, slot: _Slot, now_s: float) -> None:
        self._spawned += 1
        slot.worker_id = f"{slot.engine}-{self._spawned}-{self._clock.boot_id[:8]}-{round(now_s * 1000)}"
        slot.killed_for = slot.stopping_since_s = None
        slot.progress = Progress(False, 0, 0, now_s)
        slot.spawned_s = slot.loads_since_s = slot.moved_s = now_s
        try:
            slot.process = self._spawn(slot.engine, slot.worker_id)
        except Exception as error:  # a border: whatever it is, trying again at once and for ever would not mend it
            log.exception("worker %s could not be started", slot.worker_id)
            slot.restarts += 1
            self._count_death(slot, f"it could not be started: {error}", now_s)

    def _bury(self, slot: _Slot, now_s: float) -> None:
        process = slot.process
        assert process is not None  # noqa: S101
        code = process.exit_code()
        how = slot.killed_for or process.last_words()
        death = Death(slot.engine, slot.worker_id, process.pid, how, now_s - slot.spawned_s, process.words())
        process.close()
        slot.process = None
        slot.restarts += 1
        if code == 0 and slot.killed_for is None:  # it was asked to leave
            self._died(slot.worker_id, None)
            return
        log.error("worker %s died: %s", slot.worker_id, how)
        self._died(slot.worker_id, how)
        self._crashed(death)
        if code == EXIT_CANNOT_LOAD:
            slot.is_broken, slot.reason = True, how
            return
        self._count_death(slot, how, now_s)

    def _count_death(self, slot: _Slot, how: str, now_s: float) -> None:
        wait_s = slot.policy.died(now_s, now_s - slot.spawned_s)
        if wait_s is None:
            slot.is_broken = True
            slot.reason = (
                f"{MAX_DEATHS} workers died within {WINDOW_S / 60:.0f} minutes, the last one so: {how}. "
                f"No more are started until it is restarted; a server does so on POST {RESTART}?engine={slot.engine}."
            )
            log.error("breaker open for %s: %s", slot.engine, slot.reason)
        else:
            slot.reason = how
            slot.due_s = now_s + wait_s

    def _judge(self, slot: _Slot, progress: Progress | None, now_s: float) -> None:
        """Alive is not enough: with work in hand the step count must grow, and without it the heart must beat."""
        process = slot.process
        assert process is not None  # noqa: S101
        if progress is not None:
            if progress.steps != slot.progress.steps or not progress.active or not slot.progress.is_ready:
                slot.moved_s = now_s
            if slot.progress.is_ready and not progress.is_ready:
                slot.loads_since_s = now_s  # again, after it was unloaded
            slot.progress = progress
            if progress.is_ready and progress.steps:
                slot.reason = None  # it works again: how its predecessor died is history
        slot.killed_for = self._fault(slot, now_s)
        if slot.killed_for is not None:
            log.error("worker %s is killed: %s", slot.worker_id, slot.killed_for)
            process.kill()

    def _fault(self, slot: _Slot, now_s: float) -> str | None:
        patience, progress = self._patience, slot.progress
        if slot.stopping_since_s is not None and now_s - slot.stopping_since_s > OVERDUE * patience.stop_s:
            return f"it was told to stop and had not after {OVERDUE * patience.stop_s:g} s"
        if not progress.is_ready:
            if now_s - slot.loads_since_s > patience.start_s:
                return f"it had not loaded its engine after {patience.start_s:.0f} s"
            # One that hangs here may hold the store's write lock, and everybody waits. Imports make hearts slow.
            silence_s = SLOW_HEART * patience.silence_s
            is_silent = now_s - progress.beat_s > silence_s
            return f"its heart did not beat for {silence_s:.0f} s while it loaded" if is_silent else None
        if now_s - slot.moved_s > patience.stall_s:
            return f"it made no step for {patience.stall_s:.0f} s with {progress.active} jobs in hand (stall)"
        if progress.committed_s is not None and now_s - progress.committed_s > patience.ceiling_s:
            return f"it made steps, but committed nothing for {patience.ceiling_s:.0f} s (ceiling)"
        if now_s - progress.beat_s > patience.silence_s:
            return f"its heart did not beat for {patience.silence_s:.0f} s"
        return None

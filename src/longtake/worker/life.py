"""A worker from its start to its end: the engine is loaded, spoken with, given up, loaded again. Knows no process.

    loading ─► ready ─► unloaded ─► loading …         unload, or idle for long       load, or something new to speak
                 └────────┴─► the end                 stop, drained, recycled

All of it happens in the thread that calls `run`; orders come from another and are carried out between two beats.
Nothing outside `_speak` holds the engine, nor anything that holds it: only so does unloading give its memory back.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from longtake.config import WorkerSettings
from longtake.core.clock import Clock
from longtake.core.errors import CapacityError, TransientError
from longtake.core.memory import MemoryUse
from longtake.core.stats import Counts, StepStats
from longtake.core.units import format_bytes, parse_size
from longtake.engines.base import Engine
from longtake.jobs.desk import WorkerDesk
from longtake.supervise.answers import DRAIN, LOAD, MEASURE, RELEASE, UNLOAD, Answer
from longtake.worker.heart import Pulse
from longtake.worker.loop import WorkerLoop
from longtake.worker.memory import give_back, memory_use
from longtake.worker.orders import PAUSE, Rest
from longtake.worker.recycling import Recycling

log = logging.getLogger(__name__)
audit = logging.getLogger("longtake.audit")

LOOK_S = 1.0  # how often it looks whether it is idle, has grown, or is asked for while it is unloaded
RETRY_S = 30.0  # an engine that had no room is loaded again after that
UNLOADED_REASON = "the model was unloaded; it goes on when it is loaded again, by order or for the next job"
RECYCLED_REASON = "its worker begins afresh to give memory back; it goes on behind what is spoken"


@dataclass(frozen=True, slots=True)
class _Order:
    word: str
    ticket: str
    before: MemoryUse


class Life:
    """The state machine; `tell`, `wake`, `rest`, `stop` and `pulse` are for any thread."""

    def __init__(
        self,
        load: Callable[[], Engine],
        loop_for: Callable[[Engine, Callable[[], None]], WorkerLoop],
        desk: WorkerDesk,
        settings: WorkerSettings,
        clock: Clock,
        *,
        answer: Callable[[Answer], None],
        news: Callable[[], None],
        blank: StepStats,
    ) -> None:
        """
        Args:
            load: Loads the engine.
            loop_for: (engine, what it is to call between two beats) → a loop that speaks with it.
            answer: Takes an order's answer to whoever asked.
            news: The pulse has changed.
            blank: What is told of this worker while it has no engine.
        """
        self._load = load
        self._loop_for = loop_for
        self._desk = desk
        self._clock = clock
        self._answer = answer
        self._news = news
        self._blank = blank
        minutes, mark = settings.idle_minutes, settings.recycle_rss
        self._idle_s = None if minutes is None else minutes * 60
        self._mark_bytes = None if mark is None else parse_size(mark, "recycle_rss")
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._orders: deque[_Order] = deque()
        self._loop: WorkerLoop | None = None
        self._past = Pulse("loading")  # with what the loops before have counted
        self._counts = Counts()
        self._is_over = False
        self._unloading: _Order | None = None  # the order that the loop ends for
        self._loading: _Order | None = None  # the order that the engine is loaded for
        self._passed_over: frozenset[str] | None = frozenset()  # queued jobs that it is not loaded for; None: all now
        self._not_before_s = float("-inf")  # it is loaded by itself
        self._busy_s = self._looked_s = clock.monotonic_s()
        self._recycling: Recycling | None = None
        self._ordered_rest = Rest()

    # From any thread

    def wake(self) -> None:
        """There may be work."""
        self._changed.set()
        with self._lock:
            if self._loop is not None:
                self._loop.wake()

    def stop(self) -> None:
        """End after the running beat, with every job released."""
        self._is_over = True
        self._changed.set()
        with self._lock:
            if self._loop is not None:
                self._loop.stop()

    def rest(self, rest: Rest) -> None:
        """How far to rest from now on, whichever engine is loaded."""
        with self._lock:
            self._ordered_rest = rest
            if self._loop is not None:
                self._loop.rest(rest)

    def tell(self, word: str, ticket: str) -> None:
        """An order; it is carried out between two beats. To be measured needs no waiting."""
        use = memory_use()
        if word == MEASURE:
            self._answer(Answer(ticket, use, use))
            return
        self._orders.append(_Order(word, ticket, use))
        self.wake()

    def pulse(self) -> Pulse:
        with self._lock:
            past, loop = self._past, self._loop
            if loop is None:
                return past
            return replace(
                past,
                steps=past.steps + loop.steps,
                active=loop.active,
                cache_hits=past.cache_hits + loop.reuse.hits,
                cache_misses=past.cache_misses + loop.reuse.misses,
            )

    def figures(self) -> StepStats:
        """What is counted, with what the loops before have counted."""
        with self._lock:
            latest = self._blank if self._loop is None else self._loop.figures.latest
            return replace(
                latest,
                worker_id=self._blank.worker_id,
                state=self._past.state,
                counts=self._counts if self._loop is None else self._counts + latest.counts,
            )

    # Its own thread

    def run(self) -> None:
        """
        Raises:
            LongtakeError: The engine cannot be loaded, or is beyond use.
        """
        self._speak()
        while not self._is_over:
            self._give_up()
            self._stay_unloaded()
            if not self._is_over:
                self._load_again()

    def _speak(self) -> None:
        """Load the engine and speak with it until it is to go."""
        self._become("loading")
        engine = self._load()
        loop = self._loop_for(engine, self._attend)
        self._busy_s = self._clock.monotonic_s()
        self._recycling = None if self._mark_bytes is None else Recycling(self._mark_bytes, self._busy_s)
        with self._lock:
            self._loop = loop
            loop.rest(self._ordered_rest)
            self._past = replace(self._past, state="ready")
        self._news()
        if self._loading is not None:
            self._carried_out(self._loading)
            self._loading = None
        if self._is_over:
            loop.stop()
        loop.run()
        while not loop.settle() and not self._is_over:  # the heart renews what was not released
            self._changed.wait(LOOK_S)
            self._changed.clear()
        counted = self.pulse()
        with self._lock:
            self._loop = None
            self._past = replace(counted, active=0)
            self._counts += loop.figures.latest.counts
        engine.close()

    def _load_again(self) -> None:
        """Others may have taken the room meanwhile, or hold the store: that is no reason to end."""
        try:
            self._speak()
        except (CapacityError, TransientError) as error:
            log.warning("the engine cannot be loaded now: %s", error)
            if self._loading is not None:
                self._carried_out(self._loading, error.message)
                self._loading = None
            self._not_before_s = self._clock.monotonic_s() + RETRY_S

    def _give_up(self) -> None:
        """The loop and its engine have gone; so does what was kept for them."""
        # Whoever orders it does not want it back at once for the very jobs that were put back.
        self._passed_over = frozenset() if self._unloading is None else None
        give_back(is_engine_gone=True)
        self._become("unloaded")
        use = memory_use()
        log.info("unloaded: %s resident", format_bytes(use.rss_bytes))
        if self._unloading is not None:
            self._carried_out(self._unloading)
            self._unloading = None

    def _stay_unloaded(self) -> None:
        """Until the engine is asked for."""
        while not self._is_over and not self._is_asked_for():
            self._changed.wait(LOOK_S)
            self._changed.clear()

    def _is_asked_for(self) -> bool:
        while self._orders:
            order = self._orders.popleft()
            if order.word == LOAD:
                self._loading = order
                return True
            if order.word == DRAIN:
                self._is_over = True
            elif order.word == RELEASE:
                give_back(is_engine_gone=True)
            self._carried_out(order)
        if self._clock.monotonic_s() < self._not_before_s or self._ordered_rest.word == PAUSE:
            return False
        try:
            queued = self._desk.queued()
        except TransientError as error:
            log.warning("the store cannot be read now: %s", error)
            return False
        # One that is paused and resumed is asked for anew.
        self._passed_over = queued if self._passed_over is None else self._passed_over & queued
        return bool(queued - self._passed_over)

    def _attend(self) -> None:
        """Between two beats: what was ordered, then what is due by itself."""
        loop = self._loop
        assert loop is not None  # noqa: S101  (it calls)
        while self._orders and self._unloading is None:  # what comes behind that order finds no engine
            self._carry_out(self._orders.popleft(), loop)
        now_s = self._clock.monotonic_s()
        if loop.is_busy:
            self._busy_s = now_s
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        if self._idle_s is not None and now_s - self._busy_s >= self._idle_s:
            audit.info("actor=worker action=unload result=idle for %.0f s", now_s - self._busy_s)
            loop.stop()
        elif self._recycling is not None:
            rss_bytes = memory_use().rss_bytes
            if self._recycling.is_due(rss_bytes, loop.held_bytes, now_s):
                audit.info("actor=worker action=recycle result=leaves with %d bytes resident", rss_bytes)
                self._is_over = True
                loop.stop(RECYCLED_REASON)

    def _carry_out(self, order: _Order, loop: WorkerLoop) -> None:
        if order.word == UNLOAD:
            self._unloading = order
            loop.stop(UNLOADED_REASON)
        elif order.word == DRAIN:
            self._is_over = True
            loop.drain()
        else:
            if order.word == RELEASE:
                loop.release()
                give_back(is_engine_gone=False)
            self._carried_out(order)

    def _carried_out(self, order: _Order, error: str | None = None) -> None:
        if order.ticket:
            self._answer(Answer(order.ticket, order.before, memory_use(), error))

    def _become(self, state: str) -> None:
        with self._lock:
            self._past = replace(self._past, state=state)
        self._news()

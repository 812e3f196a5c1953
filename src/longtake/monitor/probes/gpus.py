"""Looks at the cards once a second, in a thread of its own: a driver that hangs holds up nobody.

    no driver        told as absent, asked for again now and then
    a card is lost   told as lost, the others go on; the driver is asked anew now and then whether it is back
    a call hangs     told as silent from the third second on, until the driver answers again

Knows no series and no policy.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

from longtake.core.clock import Clock
from longtake.monitor.probes.nvml import NvmlSession, load_nvml
from longtake.monitor.probes.records import Card, GpuReading, GpuState

log = logging.getLogger(__name__)

PERIOD_S = 1.0
THOROUGH_EVERY = 10  # looks
RETRY_S = 60.0
SILENT_AFTER_S = 3.0

Action = Callable[[NvmlSession], Any]


class GpuWatch:
    """`reading` is safe from any thread and never blocks; so are `do` and `close`."""

    def __init__(
        self,
        clock: Clock,
        load: Callable[[], Any] = load_nvml,
        *,
        period_s: float = PERIOD_S,
        retry_s: float = RETRY_S,
        silent_after_s: float = SILENT_AFTER_S,
    ) -> None:
        """
        Args:
            load: Gives the module `pynvml`.
            retry_s: How often a driver that is absent, or a card that is lost, is asked for again.
        """
        self._clock = clock
        self._load = load
        self._period_s = period_s
        self._retry_s = retry_s
        self._silent_after_s = silent_after_s
        self._reading = GpuReading(GpuState.STARTING, clock.monotonic_s())
        self._asked_s: float | None = None  # since when the driver owes an answer
        self._actions: SimpleQueue[tuple[Action, Future[Any]]] = SimpleQueue()
        self._news = threading.Event()
        self._is_closing = False
        self._pynvml: Any = None
        self._session: NvmlSession | None = None
        self._opened_s = float("-inf")
        self._looks = 0
        self._xids: dict[str, tuple[int, int]] = {}
        self._seen: dict[str, Card] = {}  # by UUID: a new session may not count a lost card any more
        self._thread = threading.Thread(target=self._run, name="gpus", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def reading(self) -> GpuReading:
        """The latest look; while the driver is silent, the last one that it answered, and said to be that."""
        reading, asked_s = self._reading, self._asked_s
        if asked_s is None or self._clock.monotonic_s() - asked_s < self._silent_after_s:
            return reading
        waited_s = self._clock.monotonic_s() - asked_s
        return replace(
            reading, state=GpuState.SILENT, reason=f"the driver has not answered for {waited_s:.0f} s; it is waited for"
        )

    def do(self, action: Action) -> Future[Any]:
        """Have something done with the session by the thread that owns it, at its next turn.

        The future fails with ConnectionError where there is no session, else with what the action raised.
        """
        done: Future[Any] = Future()
        self._actions.put((action, done))
        self._news.set()
        return done

    def close(self, timeout_s: float = 2.0) -> bool:
        """Stop looking; whether the driver let go in time. One that hangs is left to itself."""
        self._is_closing = True
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # The thread

    def _run(self) -> None:
        due_s = self._clock.monotonic_s()
        while not self._is_closing:
            self._asked_s = self._clock.monotonic_s()
            try:
                self._look()
                self._act()
            except Exception:  # a border: whatever a driver comes up with, who looks at it goes on
                log.exception("looking at the cards failed")
                self._drop("looking at the cards failed; the log has the error")
            self._asked_s = None
            due_s = max(due_s + self._period_s, self._clock.monotonic_s())
            self._news.wait(max(0.0, due_s - self._clock.monotonic_s()))
            self._news.clear()
        self._act()
        if self._session is not None:
            self._session.close()

    def _look(self) -> None:
        now_s = self._clock.monotonic_s()
        is_wanting = self._session is None or any(card.is_lost for card in self._reading.cards)
        if is_wanting and now_s - self._opened_s >= self._retry_s:
            self._opened_s = now_s
            self._open()
        if self._session is None:
            self._reading = replace(self._reading, at_s=now_s)
            return
        try:
            cards = self._session.read(is_thorough=self._looks % THOROUGH_EVERY == 0)
        except self._pynvml.NVMLError as error:
            self._drop(f"the driver failed: {error}")
            return
        self._looks += 1
        self._tell_lost(cards := self._with_missing(cards))
        self._reading = GpuReading(
            GpuState.OK, self._clock.monotonic_s(), driver_version=self._session.driver_version, cards=cards
        )

    def _open(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
        try:
            self._pynvml = self._pynvml or self._load()
        except ImportError as error:
            self._reading = GpuReading(GpuState.ABSENT, self._clock.monotonic_s(), f"no nvidia-ml-py: {error}")
            return
        nvml = self._pynvml
        try:
            self._session = NvmlSession(nvml, self._xids)
        except (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded) as error:
            self._fail(GpuState.ABSENT, f"no NVIDIA driver: {error}")
        except nvml.NVMLError as error:
            self._fail(GpuState.FAILED, f"the driver does not answer: {error}")

    def _fail(self, state: GpuState, reason: str) -> None:
        if self._reading.state is not state:
            log.log(logging.INFO if state is GpuState.ABSENT else logging.WARNING, "graphics cards: %s", reason)
        self._reading = GpuReading(state, self._clock.monotonic_s(), reason, cards=self._with_missing(()))

    def _drop(self, reason: str) -> None:
        """End the session; the next one is opened when it is due."""
        session, self._session = self._session, None
        self._opened_s = self._clock.monotonic_s()
        self._fail(GpuState.FAILED, reason)
        if session is not None:
            session.close()

    def _with_missing(self, cards: tuple[Card, ...]) -> tuple[Card, ...]:
        """Also the cards that were there before and are not counted any more, as lost; behind the others."""
        self._seen |= {card.uuid: card for card in cards if card.uuid is not None}
        here = {card.uuid for card in cards}
        missing = [card for uuid, card in self._seen.items() if uuid not in here]
        taken = {card.index for card in cards}
        found = list(cards)
        for card in missing:
            index = card.index if card.index not in taken else max(taken) + 1
            taken.add(index)
            xid, xids = self._xids.get(card.uuid or "", (card.xid, card.xids))
            found.append(Card(index, card.uuid, card.name, is_lost=True, xid=xid, xids=xids))
        return tuple(found)

    def _tell_lost(self, cards: tuple[Card, ...]) -> None:
        before = {card.uuid for card in self._reading.cards if card.is_lost}
        for card in cards:
            if card.is_lost and card.uuid not in before:
                log.error("card %d (%s) is lost; it is looked for again now and then", card.index, card.name)
            elif not card.is_lost and card.uuid in before:
                log.warning("card %d (%s) is back", card.index, card.name)

    def _act(self) -> None:
        while True:
            try:
                action, done = self._actions.get_nowait()
            except Empty:
                return
            if not done.set_running_or_notify_cancel():
                continue
            try:
                if self._session is None:
                    raise ConnectionError(self._reading.reason or "there is no driver")
                done.set_result(action(self._session))
            except Exception as error:  # a border: it belongs to who asked
                done.set_exception(error)

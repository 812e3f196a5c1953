"""The heartbeat: renews leases and reports progress while the loop is busy. Proves progress, not life."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass

from longtake.core.errors import LongtakeError
from longtake.jobs.desk import WorkerDesk

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pulse:
    """How far the worker is."""

    state: str
    steps: int = 0
    active: int = 0
    cache_hits: int = 0
    cache_misses: int = 0


class Heart:
    """A thread that beats until it is stopped. A beat that cannot be written is told and tried again at the next."""

    def __init__(self, desk: WorkerDesk, pulse: Callable[[], Pulse], period_s: float) -> None:
        self._desk = desk
        self._pulse = pulse
        self._period_s = period_s
        self._now = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def start(self) -> None:
        """The first beat is made here, so that the worker is known before it does anything."""
        self.beat()
        self._thread.start()

    def beat_now(self) -> None:
        """Do not wait for the period: something worth telling has changed."""
        self._now.set()

    def stop(self) -> None:
        self._is_stopping = True
        self._now.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_stopping:
            self._now.wait(self._period_s)
            self._now.clear()
            if not self._is_stopping:
                self.beat()

    def beat(self) -> None:
        """One beat, here and now. From the heart's own thread, or while that does not run."""
        pulse = self._pulse()
        try:
            self._desk.heartbeat(**asdict(pulse))
        except Exception as error:  # a border: a heart that stops for one odd beat would cost a healthy worker its life
            log.warning("heartbeat not written: %s", error, exc_info=not isinstance(error, LongtakeError))

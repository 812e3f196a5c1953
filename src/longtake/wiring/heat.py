"""Carries out what the heat policy says: tells the workers, the jobs that wait, and the log. For the host alone.

    level      workers            queued jobs     jobs that were paused for heat
    normal     go                 as they were    go on
    no starts  begin no new job   are told why    stay paused
    paused     speak nothing      are told why    stay paused

A job that its user has paused is never touched. What a dead host left paused goes on like the rest.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence

from longtake.config import HeatSettings
from longtake.core.clock import Clock
from longtake.core.errors import LongtakeError
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from longtake.monitor.heat import HEAT_REASON, Heat, HeatLevel, HeatPolicy, HeatStatus, Thresholds
from longtake.monitor.probes.gpus import GpuWatch
from longtake.monitor.probes.records import GpuReading, GpuState
from longtake.supervise.answers import WAKE
from longtake.worker.orders import GO, HOLD, PAUSE, Rest

log = logging.getLogger(__name__)

LOOK_S = 1.0
TELL_AGAIN_S = 5.0  # a worker may have been started, or have had no room for orders
_WORDS = {HeatLevel.NORMAL: GO, HeatLevel.HOLD: HOLD, HeatLevel.PAUSE: PAUSE}


class HeatKeeper:
    """One thread; `status` and `close` from any."""

    def __init__(
        self,
        gpus: GpuWatch,
        store: JobStore,
        engines: Sequence[str],
        tell: Callable[[str, str], None],
        settings: HeatSettings,
        clock: Clock,
    ) -> None:
        """
        Args:
            engines: Those that may heat a card. The others are left alone.
            tell: (engine, order) sends it to the engine's worker, if one lives.
        """
        self._gpus = gpus
        self._store = store
        self._engines = tuple(engines)
        self._tell = tell
        self._clock = clock
        self._thresholds = Thresholds(
            settings.hold_celsius, settings.go_celsius, settings.pause_celsius, settings.rest_s
        )
        self._policy = HeatPolicy(self._thresholds)
        self._is_on = settings.policy
        self._heat = Heat()
        self._since_s: float | None = None
        self._actions: Counter[str] = Counter()
        self._told_s = float("-inf")
        self._has_ordered = False
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heat", daemon=True)

    @property
    def status(self) -> HeatStatus:
        limits = self._thresholds if self._is_on else None
        return HeatStatus(self._heat, self._since_s, dict(self._actions), limits)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._is_closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._is_closing.is_set():
            try:
                self.look()
            except LongtakeError as error:
                log.warning("the heat policy cannot tell the job store now: %s", error)
            except Exception:  # a border: who minds the heat does not die of it
                log.exception("the heat policy stumbled")
            self._is_closing.wait(LOOK_S)

    def look(self) -> None:
        """One look at the cards, and what follows from it; the thread does this, tests do it by hand."""
        reading = self._gpus.reading()
        if reading.state is GpuState.STARTING:
            return  # what is paused is not resumed before anybody knows how hot it is
        heat = self._judge(reading)
        before, self._heat = self._heat.level, heat
        if heat.level is not before:
            self._change(heat)
        now_s = self._clock.monotonic_s()
        if self._has_ordered and now_s - self._told_s >= TELL_AGAIN_S:
            self._order(heat)
        for engine in self._engines:
            self._store.explain_queued(engine, HEAT_REASON, heat.reason)
        if heat.level is HeatLevel.NORMAL:
            self._resume()

    def _judge(self, reading: GpuReading) -> Heat:
        if not self._is_on or reading.state is GpuState.ABSENT:
            return Heat()
        is_known = reading.state is GpuState.OK
        return self._policy.look(reading.cards if is_known else None, self._clock.monotonic_s())

    def _change(self, heat: Heat) -> None:
        self._actions[_WORDS[heat.level]] += 1
        self._since_s = self._clock.wall_s()
        if heat.level is HeatLevel.NORMAL:
            log.warning("heat: the cards have cooled; jobs go on")
        else:
            what = "running jobs are paused" if heat.level is HeatLevel.PAUSE else "no new jobs start"
            log.warning("heat: %s: %s", what, heat.reason)
        self._has_ordered = True
        self._order(heat)

    def _order(self, heat: Heat) -> None:
        self._told_s = self._clock.monotonic_s()
        order = Rest(_WORDS[heat.level], heat.reason).to_order()
        for engine in self._engines:
            self._tell(engine, order)

    def _resume(self) -> None:
        for job in self._store.jobs_in(State.PAUSED):
            if (job.reason or "").startswith(HEAT_REASON):
                log.info("the cards have cooled: job goes on", extra={"job": job.id})
                self._store.resume(job.id)
                self._actions["resumed"] += 1
                self._tell(job.spec.engine, WAKE)

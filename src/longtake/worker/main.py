"""The child's entrance and composition root: ``python -m longtake.worker.main``, told by its parent what to be."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from longtake.cache import PassageCache
from longtake.config import EngineSettings, Settings
from longtake.core.clock import Clock, SystemClock
from longtake.core.errors import CapacityError, InputError, LongtakeError
from longtake.core.stats import StepStats
from longtake.core.units import format_bytes
from longtake.engines.base import Engine, EngineAbout
from longtake.engines.registry import about
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.logs.clean import secrets_in
from longtake.logs.setup import logging_to
from longtake.supervise.answers import ORDERS, WAKE, write_answer
from longtake.supervise.supervisor import EXIT_CANNOT_LOAD
from longtake.worker.figures import Reporter
from longtake.worker.heart import Heart
from longtake.worker.life import Life
from longtake.worker.loop import WorkerLoop
from longtake.worker.memory import budget_bytes, watch
from longtake.worker.orders import RESTS, Assignment, Rest, follow_orders, read_assignment

log = logging.getLogger("longtake.worker.main")  # it runs as __main__

EXIT_ENGINE_FAILED = 4
EXIT_STUCK = 5


def main() -> int:
    """Read what to be; gives the exit code."""
    faulthandler.enable()  # a crash inside a C library leaves its stacks on standard error
    assignment = read_assignment(sys.stdin)
    settings = assignment.settings
    _step_back(settings.worker.niceness)  # before there are threads: Linux has a niceness and a policy for each
    folder = DataFolder(settings.data, floor_bytes=settings.disk_floor_mib << 20)
    path = folder.logs / f"worker-{assignment.engine}.log"
    secrets = secrets_in(settings.model_dump())
    with logging_to(path, settings.logs, job_log=folder.job_log, secrets=secrets):
        try:
            _work(assignment, folder)
        except LongtakeError as error:
            # The last line on standard error is the reason that the supervisor shows.
            log.exception("worker ends")
            print(error.message, file=sys.stderr)
            return EXIT_CANNOT_LOAD if isinstance(error, InputError | CapacityError) else EXIT_ENGINE_FAILED
    return 0


def _step_back(niceness: int) -> None:
    """Give way to the server and to other programs; 0 changes nothing."""
    os.nice(niceness)
    if niceness and sys.platform == "linux":
        # Without it the encoders, which wake a thousand times a second, delayed the server's answers by tens of ms.
        with suppress(OSError):  # where that is forbidden
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _work(assignment: Assignment, folder: DataFolder) -> None:
    """Load the engine and speak until told to stop."""
    settings = assignment.settings
    cache = PassageCache(folder.cache, bound_bytes=settings.worker.cache_mib << 20, has_room=folder.has_room_to_spare)
    folder.make_room = cache.give_back
    db = Database(folder.database, when_full=folder.release_reserve)
    clock = SystemClock()
    desk = WorkerDesk(
        db,
        assignment.worker_id,
        assignment.engine,
        os.getpid(),
        only_job=assignment.only_job,
        lease_s=settings.worker.lease_s,
        clock=clock,
    )
    life = Life(
        partial(_load_engine, assignment, folder),
        partial(_build_loop, desk, folder, settings, clock, cache),
        desk,
        settings.worker,
        clock,
        answer=partial(write_answer, folder.run, assignment.engine),
        news=lambda: heart.beat_now(),
        blank=StepStats(
            assignment.worker_id, assignment.engine, os.getpid(), clock.boot_id, clock.monotonic_s(), "loading"
        ),
    )
    heart = Heart(desk, life.pulse, settings.worker.heartbeat_s)
    reporter = Reporter(folder.run, life.figures, clock)
    heart.start()
    reporter.start()
    signal.signal(signal.SIGTERM, partial(_obey_signal, life))
    hands: dict[str, Callable[[str], None]] = {word: partial(life.tell, word) for word in ORDERS}
    hands |= {word: partial(_let_rest, life, word) for word in RESTS}
    hands[WAKE] = lambda _: life.wake()
    follow_orders(sys.stdin, hands, partial(_leave, life, settings.worker.stop_timeout_s))
    life.run()
    heart.stop()
    heart.beat()  # the last counts
    reporter.stop()
    desk.sign_off()
    db.close()


def _load_engine(assignment: Assignment, folder: DataFolder) -> Engine:
    known = about(assignment.engine)
    return known.load(_given(assignment.settings.engine) | _voices(known, folder))


def _build_loop(
    desk: WorkerDesk,
    folder: DataFolder,
    settings: Settings,
    clock: Clock,
    cache: PassageCache,
    engine: Engine,
    attend: Callable[[], None],
) -> WorkerLoop:
    """A loop for an engine that was just loaded: what its requests may hold is measured beside it."""
    budget = budget_bytes(settings.engine.memory_budget, engine.budget_bytes)
    desk.tell_budget(budget)
    log.info("worker %s speaks with %s, budget %s", desk.worker_id, engine.info.name, format_bytes(budget))
    return WorkerLoop(
        engine,
        desk,
        folder,
        settings.worker,
        clock,
        budget_bytes=budget,
        cache=cache,
        pressure=watch(engine, budget, settings.worker.memory_floor_mib << 20, clock),
        attend=attend,
    )


def _obey_signal(life: Life, *_: object) -> None:
    """The first one ends it in good order, a second one does not wait: nothing is lost either way."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(EXIT_STUCK))
    life.stop()


def _let_rest(life: Life, word: str, reason: str) -> None:
    life.rest(Rest.from_order(word, reason))


def _leave(life: Life, patience_s: float) -> None:
    """Told to stop, or the parent is gone: whatever the loop is busy with, the process outlives neither for long."""
    life.stop()
    timer = threading.Timer(patience_s, os._exit, (EXIT_STUCK,))
    timer.daemon = True
    timer.start()


def _given(settings: EngineSettings) -> dict[str, str]:
    """What was asked for, without what was left to the engine."""
    return {name: value for name, value in settings.model_dump().items() if value not in (None, "auto")}


def _voices(engine: EngineAbout, folder: DataFolder) -> dict[str, str]:
    """Where the recordings lie, for an engine that speaks with them."""
    return {"voices": str(folder.voices)} if engine.info.speaks_recordings else {}


if __name__ == "__main__":
    sys.exit(main())

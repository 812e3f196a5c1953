"""What the supervisor says of a worker, for readyz, metrics and people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class WorkerState(StrEnum):
    STARTING = "starting"  # the process lives, the engine is loading
    READY = "ready"
    UNLOADED = "unloaded"  # the process lives without its engine, and loads it again for the next job
    WAITING = "waiting"  # it died and is started again after a back-off
    BROKEN = "broken"  # it died too often; the breaker is open until someone restarts it
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker as the supervisor sees it.

    Attributes:
        engine: What it serves.
        reason: How its predecessor died, or why it is not ready; None when all is well.
        restarts: Since the supervisor started.
        steps: Its step count, from its latest heartbeat.
        worker_id: Of the process that fills the place now; empty when none does.
    """

    engine: str
    state: WorkerState
    pid: int | None
    reason: str | None
    restarts: int
    steps: int
    worker_id: str = ""

    @property
    def can_serve(self) -> bool:
        """It speaks what comes, if need be once its engine is loaded again."""
        return self.state in (WorkerState.READY, WorkerState.UNLOADED)


@dataclass(frozen=True, slots=True)
class Death:
    """A worker that ended without being asked.

    Attributes:
        how: The signal or exit code with its last line, or what it was killed for.
        words: The end of its standard error.
    """

    engine: str
    worker_id: str
    pid: int
    how: str
    lived_s: float
    words: str

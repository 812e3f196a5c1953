"""What the server is built on, and what its routes share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from longtake import report
from longtake.config import AlertSettings, ServerSettings
from longtake.core.clock import Clock
from longtake.core.disk import Cleaned
from longtake.intake import Intake
from longtake.jobs.folder import DataFolder
from longtake.jobs.store import JobStore
from longtake.monitor import Machine, Metrics
from longtake.server.hop import Hop
from longtake.supervise import Mending, WorkerState, WorkerStatus
from longtake.wire.doctor import Examined

_FIRST_WAIT_S, _LONGEST_WAIT_S, _GROWTH = 0.01, 0.2, 1.15


@dataclass(frozen=True, slots=True)
class Backend:
    """The house behind the routes.

    Attributes:
        workers: How the workers are; must be quick and safe from any thread.
        wake: Tells the worker of an engine that there is work; called on the event loop, so it must not block.
        report: What a health report is gathered from.
        mending: What may be asked of the workers; None when they are not ours.
        clean: Frees what nobody needs of the data folder, with the cache or without; called in a thread of the store's
            hop. None when the folder is not ours.
        alerts: Where alerts go, and when.
        machine: Cards, host and heat.
        examine: What the doctor finds, in some seconds; called in a thread of its own. None where there is no doctor.
    """

    store: JobStore
    folder: DataFolder
    intake: Intake
    workers: Callable[[], Sequence[WorkerStatus]]
    wake: Callable[[str], None]
    clock: Clock
    report: report.Sources
    machine: Machine
    mending: Mending | None = None
    clean: Callable[[bool], Cleaned] | None = None
    alerts: AlertSettings = field(default_factory=AlertSettings)
    examine: Callable[[], Sequence[Examined]] | None = None

    def worker(self, engine: str) -> WorkerStatus | None:
        """The worker of that engine that is best off; None when there is none."""
        order = list(WorkerState)
        order.sort(key=lambda state: state not in (WorkerState.READY, WorkerState.UNLOADED))
        mine = [status for status in self.workers() if status.engine == engine]
        return min(mine, key=lambda status: order.index(status.state), default=None)


@dataclass(frozen=True, slots=True)
class Context:
    """What every router is built from."""

    backend: Backend
    settings: ServerSettings
    in_store: Hop
    metrics: Metrics


class Beat:
    """The pace of waiting for news of a job: often at first, five times a second after a second and a half."""

    def __init__(self) -> None:
        self._wait_s = _FIRST_WAIT_S

    async def wait(self) -> None:
        await asyncio.sleep(self._wait_s)
        self._wait_s = min(self._wait_s * _GROWTH, _LONGEST_WAIT_S)

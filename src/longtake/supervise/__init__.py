"""Keeps worker processes alive and honest: judges them by progress, restarts them with back-off, breaks a crash loop.

Knows no job, no engine and no HTTP: a worker is a process, a step count and a name.
"""

from longtake.supervise.mending import Mended, Mending
from longtake.supervise.process import WorkerProcess
from longtake.supervise.status import WorkerState, WorkerStatus
from longtake.supervise.supervisor import Patience, Process, Progress, Supervisor

__all__ = [
    "Mended",
    "Mending",
    "Patience",
    "Process",
    "Progress",
    "Supervisor",
    "WorkerProcess",
    "WorkerState",
    "WorkerStatus",
]

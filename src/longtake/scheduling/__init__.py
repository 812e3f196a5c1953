"""Which request starts next. Pure Python: no tensor, no clock, no file, no job store."""

from longtake.scheduling.scheduler import Candidate, Scheduler, Wait

__all__ = ["Candidate", "Scheduler", "Wait"]

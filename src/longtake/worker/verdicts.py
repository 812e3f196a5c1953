"""What was decided of jobs and is not written yet: a store that is full or busy is asked again at the next beat."""

from __future__ import annotations

import logging
from collections.abc import Callable

from longtake.core.errors import DiskFullError, LeaseLostError, TransientError
from longtake.jobs.records import Claim

log = logging.getLogger(__name__)

Verdict = Callable[[], object]  # a call of the desk


class Verdicts:
    """The loop's thread owns it."""

    def __init__(self) -> None:
        self._open: list[tuple[Claim, Verdict]] = []

    def add(self, claim: Claim, verdict: Verdict) -> None:
        """To be written by `settle`."""
        self._open.append((claim, verdict))

    def settle(self) -> bool:
        """Write them, as far as the store can be written now; gives whether none is open."""
        verdicts, self._open = self._open, []
        for claim, verdict in verdicts:
            try:
                verdict()
            except LeaseLostError:
                tell_lost(claim)
            except (TransientError, DiskFullError) as error:
                log.warning("verdict not written yet: %s", error, extra={"job": claim.job.id})
                self._open.append((claim, verdict))
        return not self._open


def tell_lost(claim: Claim) -> None:
    """Say that another has the job by now."""
    log.warning("lease lost: the job is another's now", extra={"job": claim.job.id, "token": claim.token})

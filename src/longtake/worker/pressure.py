"""How much of its budget a worker may use now: another program may have taken memory since the budget was measured.

    free < floor          short: nothing more starts, and the loop puts the youngest job back, one at a look
    free ≥ 2 × floor      for a while: as much more may be held as is free beyond the floor, up to the ceiling
    memory ran out        the ceiling comes down to less than what was held then, for good

One request alone always goes on, however short memory is: its next commit is never far, and what a kernel kills then
goes on behind it. Knows no job and no engine.
"""

from __future__ import annotations

from collections.abc import Callable

from longtake.core.clock import Clock

CALM_S = 10.0  # so long there must have been enough before more is held again


class Pressure:
    """The loop's thread owns it.

    Attributes:
        limit_bytes: What may be held now.
        free_bytes: At the latest look.
        is_low: Less than the floor was free then.
    """

    def __init__(self, budget_bytes: int, free: Callable[[], int], floor_bytes: int, clock: Clock) -> None:
        """
        Args:
            free: What is free now, where requests hold their bytes.
        """
        self._ceiling_bytes = budget_bytes
        self._free = free
        self.floor_bytes = floor_bytes
        self._clock = clock
        self._calm_at_s = float("-inf")
        self.limit_bytes = budget_bytes
        self.free_bytes = budget_bytes
        self.is_low = False

    @property
    def is_short(self) -> bool:
        """Less may be held than could be."""
        return self.limit_bytes < self._ceiling_bytes

    @property
    def is_calm(self) -> bool:
        """Memory has not run short for a while."""
        return self._clock.monotonic_s() >= self._calm_at_s

    def look(self, used_bytes: int) -> None:
        """
        Args:
            used_bytes: What requests hold.
        """
        self.free_bytes = self._free()
        self.is_low = self.free_bytes < self.floor_bytes
        if self.is_low:
            self._wait()
            self.limit_bytes = 0
        elif self.is_short and self.is_calm and self.free_bytes >= 2 * self.floor_bytes:
            self.limit_bytes = min(self._ceiling_bytes, used_bytes + self.free_bytes - self.floor_bytes)

    def run_out(self, held_bytes: int, least_bytes: int) -> None:
        """A device had no room for what it was said to hold.

        Args:
            held_bytes: By all requests then.
            least_bytes: By the smallest of those that it happened to; nothing of the ceiling goes when it was alone.
        """
        self._wait()
        if held_bytes > least_bytes:
            self._ceiling_bytes = min(self._ceiling_bytes, held_bytes - least_bytes)
        self.limit_bytes = min(self.limit_bytes, self._ceiling_bytes)

    def _wait(self) -> None:
        self._calm_at_s = self._clock.monotonic_s() + CALM_S

"""When a dead worker is started again. Pure: time is handed in."""

from __future__ import annotations

from collections import deque

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 30.0
STABLE_S = 60.0  # a worker that lived this long has earned a fresh start
MAX_DEATHS = 5
WINDOW_S = 600.0


class RestartPolicy:
    """Back-off that doubles, and a breaker that opens after MAX_DEATHS deaths within WINDOW_S."""

    def __init__(self) -> None:
        self._deaths: deque[float] = deque()
        self._wait_s = FIRST_WAIT_S

    def died(self, now_s: float, lived_s: float) -> float | None:
        """Note a death; gives the seconds to wait before the next start, or None when the breaker opens."""
        if lived_s >= STABLE_S:
            self._wait_s = FIRST_WAIT_S
        self._deaths.append(now_s)
        while self._deaths and now_s - self._deaths[0] > WINDOW_S:
            self._deaths.popleft()
        if len(self._deaths) >= MAX_DEATHS:
            return None
        wait_s, self._wait_s = self._wait_s, min(2 * self._wait_s, LONGEST_WAIT_S)
        return wait_s

    def reset(self) -> None:
        """Someone has mended the cause."""
        self._deaths.clear()
        self._wait_s = FIRST_WAIT_S

"""A clock that stands until a test turns it."""

from __future__ import annotations


class HandClock:
    def __init__(self) -> None:
        self.boot_id = "boot-a"
        self.now_s = 1000.0
        self.wall_shift_s = 0.0  # somebody has set the clock on the wall

    def wall_s(self) -> float:
        return 1_700_000_000.0 + self.wall_shift_s + self.now_s

    def monotonic_s(self) -> float:
        return self.now_s

    def reboot(self) -> None:
        """The machine starts anew, and its monotonic clock with it."""
        self.boot_id += "+"
        self.now_s = 1.0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

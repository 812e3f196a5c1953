"""A clock that stands until a test turns it."""

from __future__ import annotations


class HandClock:
    def __init__(self) -> None:
        self.boot_id = "boot-a"
        self.now_s = 1000.0

    def wall_s(self) -> float:
        return 1_700_000_000.0 + self.now_s

    def monotonic_s(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

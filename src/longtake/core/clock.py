"""Time, injected. Leases are kept on the machine's monotonic clock, which all processes of one boot share."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """Where a room reads time from; tests hand in a virtual one."""

    @property
    def boot_id(self) -> str:
        """Names this boot of this machine: monotonic readings of another boot mean nothing."""
        ...

    def wall_s(self) -> float:
        """Seconds since the epoch: for people and for sorting, never for deadlines."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on the machine-wide monotonic clock: for leases, stalls, rates."""
        ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The real one."""

    @property
    def boot_id(self) -> str:
        return _boot_id()

    def wall_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@functools.cache
def _boot_id() -> str:
    linux = Path("/proc/sys/kernel/random/boot_id")
    if linux.exists():
        return linux.read_text().strip()
    import psutil  # only here: the command line must start fast

    # Elsewhere the boot's wall time, rounded: two readings of one boot may differ by less than a second.
    return f"boot-{round(psutil.boot_time() / 10)}"

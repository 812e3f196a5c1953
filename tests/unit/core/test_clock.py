from __future__ import annotations

import subprocess
import sys
import time

from longtake.core.clock import SystemClock


def test_processes_of_one_boot_share_clock_and_boot_id() -> None:
    """Leases rest on this."""
    code = "from longtake.core.clock import SystemClock as C; print(C().monotonic_s(), C().boot_id)"
    before = SystemClock().monotonic_s()
    said, boot_id = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert before <= float(said) <= SystemClock().monotonic_s()
    assert boot_id == SystemClock().boot_id


def test_sleep_sleeps() -> None:
    clock = SystemClock()
    before = clock.monotonic_s()
    clock.sleep(0.02)
    assert clock.monotonic_s() - before >= 0.02
    assert abs(clock.wall_s() - time.time()) < 5

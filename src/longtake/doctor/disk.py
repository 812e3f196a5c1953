"""The disk of the data folder: how much room it has, and how long a write takes to be durable."""

from __future__ import annotations

import os
import statistics
import time

from longtake.cache import PassageCache
from longtake.config import Settings
from longtake.core.errors import CapacityError
from longtake.core.units import format_bytes
from longtake.jobs.folder import DataFolder

ROOMY_BYTES = 1 << 30
SLOW_SYNC_S = 0.25  # a stretch of speech is durable every few seconds, and each takes two of these
_BLOCK_BYTES, _BLOCKS, _SYNCS = 1 << 20, 16, 9


def data_folder(settings: Settings) -> str:
    """
    Raises:
        DiskFullError: A long job has no room.
    """
    folder = DataFolder(settings.data, floor_bytes=settings.disk_floor_mib << 20)
    free = folder.free_bytes()
    # A job gets the cache's room, too; but a check makes no use of it.
    folder.require_room(max(0, ROOMY_BYTES - PassageCache(folder.cache).usage().used_bytes), "A long job")
    return f"{folder.root}, {format_bytes(free)} free"


def speed(settings: Settings) -> str:
    """Writes 16 MiB, then some small stretches, in a file without a name.

    Raises:
        CapacityError: It takes too long until a small write is durable.
    """
    folder = DataFolder(settings.data, floor_bytes=settings.disk_floor_mib << 20)
    folder.require_room(_BLOCK_BYTES * _BLOCKS, "Measuring the disk")
    path = folder.root / f"doctor-{os.getpid()}"
    with path.open("xb", buffering=0) as file:
        path.unlink()
        began_s = time.perf_counter()
        for _ in range(_BLOCKS):
            file.write(os.urandom(_BLOCK_BYTES))
        os.fsync(file.fileno())
        rate = _BLOCKS * _BLOCK_BYTES / (time.perf_counter() - began_s) / 1e6
        waits_s = []
        for _ in range(_SYNCS):
            file.write(bytes(4096))
            began_s = time.perf_counter()
            os.fsync(file.fileno())
            waits_s.append(time.perf_counter() - began_s)
    wait_s = statistics.median(waits_s)
    told = f"{rate:.0f} MB/s, a small write is durable after {1000 * wait_s:.1f} ms (at most {1000 * max(waits_s):.0f})"
    if wait_s > SLOW_SYNC_S:
        raise CapacityError(f"{told}; more than {1000 * SLOW_SYNC_S:.0f} ms hold up speaking.")
    return told

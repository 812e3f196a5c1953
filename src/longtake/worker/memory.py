"""How many bytes the engine's requests may hold, what the process holds, and giving that back. What is free on a device
of its own is the engine's to know."""

from __future__ import annotations

import gc
import logging
import sys

from longtake.core.clock import Clock
from longtake.core.memory import SHARE_OF_FREE, MemoryUse, free_host_bytes, rss_bytes, trim
from longtake.core.units import format_bytes, parse_size
from longtake.engines.base import Engine
from longtake.worker.pressure import Pressure

log = logging.getLogger(__name__)


def budget_bytes(asked: str | None, device_bytes: int | None = None) -> int:
    """What was asked for, but no more than is free; by itself half of what is free in host memory.

    Args:
        device_bytes: `Engine.budget_bytes`; None: requests hold host memory.

    Raises:
        InputError: ``asked`` is no size.
    """
    wanted = None if asked is None else parse_size(asked, "memory_budget")
    most = free_host_bytes() if device_bytes is None else device_bytes
    if wanted is None:
        return int(most * SHARE_OF_FREE) if device_bytes is None else most
    if wanted > most:
        log.warning(
            "--memory-budget is %s, and only %s are free beside the model: that is the budget",
            format_bytes(wanted),
            format_bytes(most),
        )
    return min(wanted, most)


def watch(engine: Engine, budget: int, floor_bytes: int, clock: Clock) -> Pressure:
    """Looks after a budget where the engine's requests hold it.

    Args:
        floor_bytes: Of host memory. On a device of its own the engine leaves free what a beat needs, and memory is
            short when that is no longer there: its own requests take no more than `DEVICE_SHARE` of the rest.
    """

    def free() -> int:
        on_device = engine.budget_bytes
        return free_host_bytes() if on_device is None else on_device

    return Pressure(budget, free, floor_bytes if engine.budget_bytes is None else 1, clock)


def memory_use() -> MemoryUse:
    """What this process holds now."""
    device = None
    if _has_torch():
        from longtake.nn.memory import device_use

        device = device_use()
    return MemoryUse(rss_bytes(), *(device or ()))


def give_back(*, is_engine_gone: bool) -> None:
    """Return freed memory to the system.

    Args:
        is_engine_gone: No model is left in this process, and nothing that it needs for the next beat.
    """
    if _has_torch():
        from longtake.nn import memory

        memory.give_back_all() if is_engine_gone else memory.give_back()
    else:
        gc.collect()
        trim()


def _has_torch() -> bool:
    """Whether the engine has brought it: espeak comes without."""
    return "torch" in sys.modules

"""How many bytes the engine's requests may hold. What is free on a device of its own is the engine's to know."""

from __future__ import annotations

import logging
import re

from longtake.core.errors import InputError
from longtake.core.memory import free_host_bytes
from longtake.core.units import format_bytes

log = logging.getLogger(__name__)

SHARE_OF_FREE = 0.5  # of host memory: the encoder, the store and everyone else on the machine live there, too
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]i?)?b?", re.IGNORECASE)


def budget_bytes(asked: str | None, device_bytes: int | None = None) -> int:
    """What was asked for, but no more than is free; by itself half of what is free in host memory.

    Args:
        device_bytes: `Engine.budget_bytes`; None: requests hold host memory.

    Raises:
        InputError: ``asked`` is no size.
    """
    wanted = None if asked is None else parse_size(asked)
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


def parse_size(text: str) -> int:
    """``20GiB`` → 21474836480; ``500MB`` → 500000000.

    Raises:
        InputError: It is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"The size {text!r} is not understood. Write it like 20GiB or 500MB.",
            code="invalid_size",
            param="memory_budget",
        )
    return int(float(match[1]) * _UNITS[(match[2] or "").lower()])

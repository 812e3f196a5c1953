"""How many bytes the engine's requests may hold in host memory. Device memory is the engine's own affair."""

from __future__ import annotations

import re

import psutil

from longtake.core.errors import InputError

SHARE_OF_FREE = 0.5
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]i?)?b?", re.IGNORECASE)


def budget_bytes(asked: str | None) -> int:
    """What was asked for, or half of what is free.

    Raises:
        InputError: ``asked`` is no size.
    """
    if asked is None:
        return int(psutil.virtual_memory().available * SHARE_OF_FREE)
    return parse_size(asked)


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

"""Gives back to the system what was freed. Knows no model."""

from __future__ import annotations

import contextlib
import ctypes
import gc

import torch


def give_back() -> None:
    """Return freed memory to the system: torch keeps a device's, and the C library keeps the host's in its arenas."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc: it keeps less by itself
        ctypes.CDLL(None).malloc_trim(0)

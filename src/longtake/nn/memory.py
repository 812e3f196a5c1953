"""Gives back to the system what was freed. Knows no model."""

from __future__ import annotations

import contextlib
import gc

import torch

from longtake.core.memory import trim


def give_back() -> None:
    """Return freed memory to the system: torch keeps a device's, and the C library keeps the host's in its arenas."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
    trim()


def give_back_all() -> None:
    """The same once no model is left, with the workspaces of cuBLAS, some 10 to 70 MB a device.

    Never beside a living model: a captured graph writes into the workspace that it was captured with. They come before
    the caches, because it is to torch's cache that they are returned.
    """
    gc.collect()
    if torch.cuda.is_available():
        with contextlib.suppress(AttributeError):  # not public; torch's own graphs are kept apart by it
            torch._C._cuda_clearCublasWorkspaces()
    give_back()


def device_use() -> tuple[int, int] | None:
    """Bytes in tensors, and bytes that torch has of the devices for them; None without a device."""
    if torch.cuda.is_available():
        devices = range(torch.cuda.device_count())
        return sum(map(torch.cuda.memory_allocated, devices)), sum(map(torch.cuda.memory_reserved, devices))
    if torch.backends.mps.is_available():
        return torch.mps.current_allocated_memory(), torch.mps.driver_allocated_memory()
    return None

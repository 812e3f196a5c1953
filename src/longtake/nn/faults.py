"""What a RuntimeError of torch means: no room, a broken device, or neither; and what room there is. Knows no model."""

from __future__ import annotations

import torch

# torch.OutOfMemoryError is CUDA's; host, Metal and the libraries below torch have words instead.
_NO_ROOM = ("out of memory", "not enough memory", "can't allocate memory", "status_alloc_failed")
_BROKEN = ("cuda error", "cudnn error", "cublas_status", "cudnn_status", "device-side assert", "cuda driver error")


def is_out_of_memory(error: BaseException) -> bool:
    """Something was not allocated; what was there before is whole."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _NO_ROOM)


def is_device_fault(error: BaseException) -> bool:
    """The device is beyond use for this process: every later call would fail, too."""
    if not isinstance(error, RuntimeError) or is_out_of_memory(error):
        return False
    return isinstance(error, torch.AcceleratorError) or any(words in str(error).lower() for words in _BROKEN)


def free_device_bytes(device: torch.device) -> int | None:
    """What is free in a device's own memory, what torch keeps for itself included; None where it has none: the CPU, and
    Metal, which shares the host's."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def taken_device_bytes(device: torch.device) -> tuple[int | None, int | None]:
    """What tensors take of a device's own memory, and what torch keeps there for them; None where it has none."""
    if device.type != "cuda":
        return None, None
    return torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)

"""Numbers on their way between host and device, so that neither waits for the other. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def to_device(host: Tensor, device: torch.device) -> Tensor:
    """The tensor there. On CUDA the host goes on at once, and may do with its tensor what it likes."""
    if device.type != "cuda" or host.device.type != "cpu":
        return host.to(device)
    # A copy of ordinary memory would be waited for. Torch keeps pinned memory until the device has read it.
    return host.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True, slots=True, eq=False)
class Fetched:
    """What the device had when it was fetched."""

    _hosts: tuple[Tensor, ...]
    _ready: torch.cuda.Event | None

    def wait(self) -> tuple[Tensor, ...]:
        """Once the device has come so far: the tensors, on the host."""
        if self._ready is not None:
            self._ready.synchronize()
        return self._hosts


class Mirror:
    """Tensors of a device, whose contents are fetched to the host again and again.

    Args:
        copies: What was fetched stays true until so many more fetches were begun.
    """

    def __init__(self, tensors: Sequence[Tensor], *, copies: int) -> None:
        self._tensors = tuple(tensors)
        is_cuda = self._tensors[0].device.type == "cuda"
        self._hosts = [
            tuple(torch.empty_like(each, device="cpu", pin_memory=is_cuda) for each in self._tensors)
            for _ in range(copies)
        ]
        self._ready = [torch.cuda.Event() if is_cuda else None for _ in range(copies)]  # type: ignore[no-untyped-call]
        self._next = 0

    def fetch(self) -> Fetched:
        """Begin to fetch what the device will have when it has done all it was told so far."""
        hosts, ready = self._hosts[self._next], self._ready[self._next]
        self._next = (self._next + 1) % len(self._hosts)
        for host, tensor in zip(hosts, self._tensors, strict=True):
            host.copy_(tensor, non_blocking=ready is not None)
        if ready is not None:
            ready.record()
        return Fetched(hosts, ready)

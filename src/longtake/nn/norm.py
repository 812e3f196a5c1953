"""RMS norms, with their statistics in float32. Knows no model."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class RMSNorm(nn.RMSNorm):
    """`torch.nn.RMSNorm` with a gain; in float32 on a CPU in four operations, where torch takes nine (ADR 14)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__(width, eps)
        self._eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return (x * rms_scale(x, self._eps)).mul_(self.weight) if is_quick(x) else super().forward(x)


def rms_norm(x: Tensor, eps: float) -> Tensor:
    """The norm without a gain."""
    return x * rms_scale(x, eps) if is_quick(x) else F.rms_norm(x, x.shape[-1:], None, eps)


def is_quick(x: Tensor) -> bool:
    """Whether `rms_scale` is quicker here than what torch has, which on CUDA is one kernel."""
    return x.dtype == torch.float32 and x.device.type == "cpu"


def rms_scale(x: Tensor, eps: float) -> Tensor:
    """What the last dimension is to be multiplied with to have a mean square of 1: (…, 1)."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return torch.addcmul(_number(eps, x.device), length, length, value=1 / x.shape[-1]).rsqrt_()


@functools.cache
def _number(value: float, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(value, device=device)

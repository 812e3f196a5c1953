"""``x W^T + b`` with what can be fused with it, for inference: no gradients. Knows no model.

In float32 and bfloat16 a CPU has two libraries for it: MKL, which `torch.nn.functional.linear` takes in float32, and
oneDNN. Measured with one thread (ADR 14): oneDNN takes 0.5 to 0.9 of MKL's time for the products of a codec, and 0.3 to
0.7 of it when the weight was *packed* before, that is laid out in the blocks in which its kernels read it. Otherwise
they are laid out anew in each call, which reads and writes the whole weight once more.

Shape suffixes: C channels in, D channels out; what stands before them is any shape (…).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

# Rows for which the blocks are chosen. The same blocks are chosen for 2 to 512 rows, and for 1 row others that are slow
# for more.
_ROWS = 16
# oneDNN's call takes 15 µs more than MKL's: below so many numbers it costs more than it saves at two rows.
_LEAST_NUMBERS = 1 << 18


class Packable(ABC):
    """A module that can bring its weights into the form in which they are quickest to speak with, for good."""

    @abstractmethod
    def pack(self) -> None:
        """Do so. The function of the module stays what it was, up to rounding; its parameters may be gone, and with
        them what was loaded. To be called once everything is loaded and merged; a second call does nothing."""

    @property
    def packed_bytes(self) -> int:
        """Bytes that the module itself holds beside its parameters."""
        return 0


class Affine(nn.Linear, Packable):
    """`torch.nn.Linear` with names and shapes as there, until its weight is packed; then there is no ``weight``.

    Args:
        is_narrow: It is called for a row or two at a time and no fusion is asked of it: pack it only if it is large.
    """

    def __init__(self, channels: int, out_channels: int, *, bias: bool = True, is_narrow: bool = False) -> None:
        super().__init__(channels, out_channels, bias=bias)
        self._is_narrow = is_narrow
        self._packed: Tensor | None = None
        self._packed_bytes = 0

    def forward(self, x_C: Tensor) -> Tensor:
        """(…, D) of (…, C)."""
        if self._packed is None and self._is_narrow:
            return F.linear(x_C, self.weight, self.bias)
        return affine(x_C, self._matrix, self.bias)

    def gelu(self, x_C: Tensor) -> Tensor:
        """The same, then GELU by the error function."""
        return affine(x_C, self._matrix, self.bias, is_gelu=True)

    def add_to(self, other_D: Tensor, x_C: Tensor) -> Tensor:
        """The same, added to another tensor of its shape."""
        return affine_plus(other_D, x_C, self._matrix, self.bias)

    @property
    def _matrix(self) -> Tensor:
        return self.weight if self._packed is None else self._packed

    @property
    def packed_bytes(self) -> int:
        return self._packed_bytes

    def pack(self) -> None:
        weight: Tensor | None = self.weight
        if weight is None or not can_pack(weight):
            return
        if self._is_narrow and weight.dtype == torch.float32 and weight.numel() < _LEAST_NUMBERS:
            return
        self._packed, self._packed_bytes = packed(weight), weight.nbytes
        self.register_parameter("weight", None)


def pack_all(module: nn.Module) -> None:
    """Pack the module and all within, from the outside in."""
    for part in list(module.modules()):
        if isinstance(part, Packable):
            part.pack()


def affine(x_C: Tensor, weight_DC: Tensor, bias_D: Tensor | None, *, is_gelu: bool = False) -> Tensor:
    """``x W^T + b``, then perhaps GELU by the error function. The weight may be packed."""
    if _goes_to_onednn(x_C, weight_DC):
        fused: tuple[str, list[float], str] = ("gelu", [], "none") if is_gelu else ("none", [], "")
        return torch.ops.mkldnn._linear_pointwise.default(x_C, weight_DC, bias_D, *fused)  # type: ignore[no-any-return]
    y_D = F.linear(x_C, weight_DC, bias_D)
    return F.gelu(y_D) if is_gelu else y_D


def affine_plus(other_D: Tensor, x_C: Tensor, weight_DC: Tensor, bias_D: Tensor | None) -> Tensor:
    """``other + x W^T + b``. The weight may be packed."""
    if _goes_to_onednn(x_C, weight_DC):
        return torch.ops.mkldnn._linear_pointwise.binary(x_C, other_D, weight_DC, bias_D, "add")  # type: ignore[no-any-return]
    return other_D + F.linear(x_C, weight_DC, bias_D)


def can_pack(weight: Tensor) -> bool:
    """Whether this machine computes with packed weights of this kind."""
    return weight.device.type == "cpu" and _ONEDNN.get(weight.dtype, False)


@torch.inference_mode(False)
def packed(weight_DC: Tensor) -> Tensor:
    """A copy of the weight in oneDNN's blocks, for `affine` and `affine_plus` only."""
    # The operator keeps a weight that lies in memory in its order already, instead of copying it.
    blocks: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight_DC.detach().contiguous(), _ROWS)
    return blocks


def _goes_to_onednn(x_C: Tensor, weight_DC: Tensor) -> bool:
    # In bfloat16 `linear` takes oneDNN by itself.
    return weight_DC.is_mkldnn or (
        x_C.dtype == torch.float32 and x_C.device.type == "cpu" and _ONEDNN.get(torch.float32, False)
    )


def _does_onednn_work(dtype: torch.dtype) -> bool:
    """Whether its operators exist and do what they did. They are not public, although compiled models are made of them,
    and in bfloat16 they need a processor that has it."""
    x_C, weight_DC, bias_D = torch.ones(1, 2, 3), torch.full((4, 3), 2.0), torch.ones(4)
    x_C, weight_DC, bias_D = (each.to(dtype) for each in (x_C, weight_DC, bias_D))
    try:
        if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        linear = torch.ops.mkldnn._linear_pointwise
        blocks = packed(weight_DC)
        plain = linear.default(x_C, weight_DC, bias_D, "none", [], "")
        fast = linear.default(x_C, blocks, bias_D, "none", [], "")
        active = linear.default(x_C, blocks, None, "gelu", [], "none")
        more = linear.binary(x_C, plain, blocks, bias_D, "add")
    except (AttributeError, RuntimeError):
        return False
    seven = torch.full((1, 2, 4), 7.0, dtype=dtype)
    is_right = torch.equal(plain, seven) and torch.equal(fast, seven) and torch.equal(more, 2 * seven)
    return is_right and torch.allclose(active.float(), F.gelu(seven.float() - 1), rtol=0.01)


_ONEDNN = {dtype: _does_onednn_work(dtype) for dtype in (torch.float32, torch.bfloat16)}

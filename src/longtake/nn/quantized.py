"""``x W^T + b`` with W in 8 or 4 bits, for inference. Knows no model.

Only the weights are quantized. The product is made in one of two ways:

* by torch's own kernels for such weights, the ones that torchao calls. They read each weight once, and take activations
  in bfloat16: what comes in another type is rounded to it, and so is what comes out. For the few rows of a step.
* block by block: some rows of W are brought to the type of the activations and multiplied as usual. For the many rows
  of a prompt, and wherever there is no such kernel. A block takes a megabyte or so, never the whole matrix.

Measured in docs/adr/0019-quantized-weights.md.

Shape suffixes: N rows of activations, C channels in, D channels out, R channels out of a block.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from longtake.core.errors import InvariantError
from longtake.nn.affine import Packable
from longtake.nn.scheme import INT8, Scheme

_FEW = {"int8": 32, "int4": 128}  # rows of activations up to which the kernels are quicker than blocks
# On CUDA the kernel for int8 makes each number of the product by itself, and reads its row of the matrix for it
# (aten/src/ATen/native/cuda/int8mm.cu), where blocks cost the same for few rows and for many. Counted, not measured.
_FEW_INT8_ON_CUDA = 4
# Numbers of a block: what a core keeps near itself, and what keeps a device busy.
_HOST_BLOCK, _DEVICE_BLOCK = 1 << 18, 1 << 22
_LARGEST_TILE = 64
_INT8_LARGEST, _INT4_LARGEST, _INT4_MIDDLE = 127, 15, 8


class QuantizedAffine(nn.Module, Packable):
    """`torch.nn.Linear` with a quantized weight.

    | parameter | |
    |---|---|
    | weight, weight_scale | as in the table at `Scheme`; `pack` brings int4 into an order that belongs to the device |
    | bias | D, in the type of the model; or None |
    """

    bias: nn.Parameter | None

    def __init__(self, channels: int, out_channels: int, scheme: Scheme, *, bias: nn.Parameter | None = None) -> None:
        super().__init__()
        self.in_features, self.out_features, self.scheme = channels, out_channels, scheme
        kind = torch.int8 if scheme == INT8 else torch.uint8
        weight = torch.empty(scheme.weight_shape(out_channels, channels), dtype=kind)
        scale = torch.empty(scheme.scale_shape(out_channels, channels), dtype=torch.bfloat16)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.weight_scale = nn.Parameter(scale, requires_grad=False)
        self.bias = bias
        self._most_rows = 0  # of activations, for which the product is the kernel's
        self._tile_rows = 0  # of the CPU's int4 kernel, once the weight is in its order

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Moves it, but never to another type: the scales are what they are in bfloat16."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.weight_scale.data = self.weight_scale.data.bfloat16()
        return self

    def forward(self, x_C: Tensor) -> Tensor:
        """(…, D) of (…, C), in the type of the activations."""
        x_NC = x_C.reshape(-1, self.in_features)
        y_ND = self._by_kernel(x_NC) if len(x_NC) <= self._most_rows else self._by_blocks(x_NC)
        if self.bias is not None:
            y_ND += self.bias
        return y_ND.view(*x_C.shape[:-1], self.out_features)

    @torch.no_grad()
    def quantize_from(self, weight_DC: Tensor) -> None:
        """Write a matrix into the parameters; to be done before `pack`.

        Raises:
            InvariantError: It has another shape.
        """
        if weight_DC.shape != (self.out_features, self.in_features):
            raise InvariantError(
                f"A matrix of {tuple(weight_DC.shape)} was given for {(self.out_features, self.in_features)}."
            )
        for first, last in _blocks(*weight_DC.shape, weight_DC.device):
            self.weight[first:last], self.weight_scale[first:last] = quantize(weight_DC[first:last], self.scheme)

    def pack(self) -> None:
        if self._most_rows:
            return
        kind = self.weight.device.type
        if self.scheme == INT8:
            few = _FEW_INT8_ON_CUDA if kind == "cuda" else _FEW[self.scheme.name]
            self._most_rows = few if self.in_features % 32 == 0 and _has_int8_kernel(kind) else 0
        elif kind == "cpu" and (rows := _tile_rows()) and self.out_features % rows == 0:
            for first in range(0, self.out_features, rows):
                tile = slice(first, first + rows)
                self.weight[tile] = _to_tile(_unpacked(self.weight[tile])).reshape(rows, -1)
            self._turn_scale()
            self._most_rows, self._tile_rows = _FEW[self.scheme.name], rows
        elif kind == "cuda" and (depth := _tile_depth(self.out_features, self.in_features)):
            tiles = torch.ops.aten._convert_weight_to_int4pack(self.weight, depth)
            self.weight = nn.Parameter(tiles, requires_grad=False)
            self._turn_scale()
            self._most_rows = sys.maxsize  # what lies so cannot be read otherwise

    def _turn_scale(self) -> None:
        """The int4 kernels want it by groups first."""
        self.weight_scale = nn.Parameter(self.weight_scale.transpose(0, 1).contiguous(), requires_grad=False)

    def _by_kernel(self, x_NC: Tensor) -> Tensor:
        x, aten = x_NC.bfloat16().contiguous(), torch.ops.aten
        if self.scheme == INT8:
            y_ND = aten._weight_int8pack_mm(x, self.weight, self.weight_scale)
        else:
            kernel = aten._weight_int4pack_mm_for_cpu if self._tile_rows else aten._weight_int4pack_mm
            y_ND = kernel(x, self.weight, self.scheme.group_of(self.in_features), self.weight_scale)
        found: Tensor = y_ND.to(x_NC.dtype)
        return found

    def _by_blocks(self, x_NC: Tensor) -> Tensor:
        y_ND = x_NC.new_empty(len(x_NC), self.out_features)
        for first, last in _blocks(self.out_features, self.in_features, x_NC.device):
            y_ND[:, first:last] = F.linear(x_NC, self.rows(first, last).to(x_NC.dtype))
        return y_ND

    def rows(self, first: int, last: int) -> Tensor:
        """Rows of the matrix that the products are made with, (R, C) float32; when it is packed for the CPU, from one
        tile's border to another's. Packed for CUDA it cannot be had."""
        if not self._tile_rows:
            return dequantize(self.weight[first:last], self.weight_scale[first:last], self.scheme)
        tiles = self.weight[first:last].view(-1, self.in_features, self._tile_rows // 2)
        numbers_RC = _from_tiles(tiles)
        return _dequantize_int4(numbers_RC, self.weight_scale[:, first:last].transpose(0, 1))


def quantize(weight_DC: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor]:
    """Numbers and scales as stored; see `Scheme`. A row that is not finite gets a scale that is not finite."""
    weight_DC = weight_DC.float()
    if scheme == INT8:
        scale_D = _rounded_up(weight_DC.abs().amax(1) / _INT8_LARGEST)
        numbers = (weight_DC / scale_D.float()[:, None]).round_().clamp_(-_INT8_LARGEST, _INT8_LARGEST)
        return numbers.to(torch.int8), scale_D
    rows, columns = weight_DC.shape
    groups = weight_DC.view(rows, -1, scheme.group_of(columns))
    low, high = groups.aminmax(dim=-1)
    scale = _rounded_up((high - low) / _INT4_LARGEST)
    zero = (low + _INT4_MIDDLE * scale.float()).bfloat16()
    numbers = (groups - zero.float()[..., None]) / scale.float()[..., None]
    numbers = numbers.round_().add_(_INT4_MIDDLE).clamp_(0, _INT4_LARGEST).to(torch.uint8).view(rows, columns)
    return numbers[:, ::2] << 4 | numbers[:, 1::2], torch.stack((scale, zero), -1)


def dequantize(weight: Tensor, scale: Tensor, scheme: Scheme) -> Tensor:
    """(D, C) float32 of what `quantize` gives."""
    if scheme == INT8:
        return weight.float().mul_(scale.float()[:, None])
    return _dequantize_int4(_unpacked(weight), scale)


def _dequantize_int4(numbers_DC: Tensor, scale_DG2: Tensor) -> Tensor:
    scale, zero = scale_DG2.float().contiguous().unsqueeze(2).unbind(-1)
    groups = numbers_DC.float().view(*scale_DG2.shape[:2], -1)
    return torch.addcmul(zero - _INT4_MIDDLE * scale, groups, scale).view(numbers_DC.shape)


def _unpacked(weight: Tensor) -> Tensor:
    return torch.stack((weight >> 4, weight & 15), -1).flatten(1)


def _rounded_up(scale: Tensor) -> Tensor:
    """To bfloat16, so that the largest number still has its place; of nothing but zeros 1."""
    least = torch.finfo(torch.bfloat16).tiny
    rounded = (scale * (1 + torch.finfo(torch.bfloat16).eps / 2)).bfloat16()
    return torch.where(scale < least, torch.ones_like(rounded), rounded)


def _blocks(rows: int, columns: int, device: torch.device) -> list[tuple[int, int]]:
    """First row and the one after the last; borders are multiples of all tiles that there are."""
    numbers = _HOST_BLOCK if device.type == "cpu" else _DEVICE_BLOCK
    count = max(_LARGEST_TILE, numbers // columns // _LARGEST_TILE * _LARGEST_TILE)
    return [(first, min(first + count, rows)) for first in range(0, rows, count)]


# The kernels. None of them is public, and what they need differs between processors and versions: each is tried once.


@functools.cache
def _has_int8_kernel(kind: str) -> bool:
    """Whether it exists on that device and gives the right numbers."""
    weight_DC = torch.arange(-64, 64, dtype=torch.int8, device=kind).repeat(32, 1)
    scale_D = torch.full((32,), 0.5, dtype=torch.bfloat16, device=kind)
    x_NC = torch.eye(3, 128, dtype=torch.bfloat16, device=kind)
    try:
        y_ND = torch.ops.aten._weight_int8pack_mm(x_NC, weight_DC, scale_D)
    except (AttributeError, RuntimeError):  # NotImplementedError is one
        return False
    return torch.equal(y_ND, 0.5 * weight_DC[:, :3].T.bfloat16())


@functools.cache
def _tile_rows() -> int:
    """Rows of a tile of the CPU's int4 kernel, which depends on its vectors; 0: there is none that we know.

    A tile lies column by column; a byte has a number of its first half of rows below one of its second half.
    """
    numbers_DC = torch.randint(0, 16, (_LARGEST_TILE, 64), generator=torch.Generator().manual_seed(0))
    scale_GD2 = torch.tensor([0.5, 0.25], dtype=torch.bfloat16).expand(2, _LARGEST_TILE, 2).contiguous()
    x_NC = torch.eye(3, 64, dtype=torch.bfloat16)
    try:
        theirs = torch.ops.aten._convert_weight_to_int4pack_for_cpu(numbers_DC.int(), 1)
        y_ND = torch.ops.aten._weight_int4pack_mm_for_cpu(x_NC, theirs, 32, scale_GD2)
    except (AttributeError, RuntimeError):
        return 0
    is_right = torch.equal(y_ND.float(), (numbers_DC[:, :3].T - _INT4_MIDDLE) * 0.5 + 0.25)
    for rows in (_LARGEST_TILE, 32) if is_right else ():
        tiles = torch.cat([_to_tile(part) for part in torch.split(numbers_DC.to(torch.uint8), rows)])
        if torch.equal(tiles.flatten(), theirs.flatten()):
            return rows
    return 0


def _to_tile(numbers_RC: Tensor) -> Tensor:
    """(C, R / 2) bytes."""
    low, high = numbers_RC.T.chunk(2, dim=1)
    return high << 4 | low


def _from_tiles(tiles: Tensor) -> Tensor:
    """(R, C) numbers of tiles that lie behind each other."""
    return torch.cat((tiles & 15, tiles >> 4), -1).transpose(1, 2).flatten(0, 1).contiguous()


@functools.cache
def _tile_depth(rows: int, columns: int) -> int:
    """How many tiles of 16 columns CUDA's int4 kernel takes at once in such a matrix; 0: there is no kernel for it."""
    depth = next((depth for depth in (8, 4, 2) if columns % (16 * depth) == 0), 0)
    if not depth or rows % 8 or torch.cuda.get_device_capability() < (8, 0):
        return 0
    numbers_DC = torch.randint(0, 16, (8, 16 * depth * 2), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    weight = (numbers_DC[:, ::2] << 4 | numbers_DC[:, 1::2]).cuda()
    scale_GD2 = torch.tensor([0.5, 0.25], dtype=torch.bfloat16).expand(depth, 8, 2).contiguous().cuda()
    x_NC = torch.eye(3, 32 * depth, dtype=torch.bfloat16).cuda()
    try:
        theirs = torch.ops.aten._convert_weight_to_int4pack(weight, depth)
        y_ND = torch.ops.aten._weight_int4pack_mm(x_NC, theirs, 32, scale_GD2)
    except (AttributeError, RuntimeError):
        return 0
    return depth if torch.equal(y_ND.cpu().float(), (numbers_DC[:, :3].T - _INT4_MIDDLE) * 0.5 + 0.25) else 0

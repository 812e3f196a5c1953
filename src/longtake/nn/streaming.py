"""Causal layers that run on a stream piece by piece, for many streams at once. Knows no model and no sample rate.

Every layer has three verbs, after Kyutai's moshi: make a state, reset some of its slots, step some of its slots. The
state is passed in and never kept by a layer. A whole sequence at once is one step from a zero state, so what is
streamed and what is not share every line.

Shape suffixes: B rows of a batch, S slots, N numbers of one slot's state, T time, C channels in, D channels out,
K kernel, P past. Tensors are channels-last (time before channels): the matrix products need that, and a recording of
one channel looks the same both ways.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from longtake.core.errors import InvariantError
from longtake.nn.affine import Packable, affine, can_pack, packed

Shape = tuple[int, int]
Rows = torch.Tensor | slice | None

_VIEWS_KEPT = 64
# A depthwise convolution of so many numbers is quicker as one product per tap: what a call of conv2d costs by itself
# is then more than what it works. Not with few channels, along which the product runs.
_FEW_NUMBERS, _MANY_CHANNELS = 1 << 15, 32


class StreamState:
    """What a streaming module remembers of each of its streams. A slot is one stream.

    | tensor | shape | meaning |
    |---|---|---|
    | ``numbers_SN`` | slots, numbers | all of it, one row for each slot; zeros are a stream that has not begun |
    | ``parts[i]`` | slots, P, C | a view of it, what layer i remembers, in the order in which the layers run |

    One tensor for all layers, so that resetting, saving, gathering or scattering slots is one kernel and not one for
    each of some seventy layers. To be used by one thread.
    """

    def __init__(self, shapes: list[Shape], slots: int, dtype: torch.dtype, device: torch.device | str) -> None:
        self._shapes = shapes
        self._sizes = [math.prod(shape) for shape in shapes]
        self.numbers_SN = torch.zeros(slots, sum(self._sizes), dtype=dtype, device=device)
        self.parts = self.split(self.numbers_SN)
        self._views: dict[tuple[int, int], list[torch.Tensor]] = {}

    @property
    def slots(self) -> int:
        return self.numbers_SN.shape[0]

    @property
    def bytes(self) -> int:
        return self.numbers_SN.nbytes

    def split(self, numbers_BN: torch.Tensor) -> list[torch.Tensor]:
        """Views of whole rows, one for each layer: [B, P, C]."""
        pieces = torch.split(numbers_BN, self._sizes, 1)
        return [piece.view(piece.shape[0], *shape) for piece, shape in zip(pieces, self._shapes, strict=True)]

    def view(self, rows: slice) -> list[torch.Tensor]:
        """`split` of neighbouring slots, where they lie. Views are kept: making seventy takes as long as a layer."""
        place = rows.start, rows.stop
        if place not in self._views:
            if len(self._views) >= _VIEWS_KEPT:
                self._views.clear()
            self._views[place] = self.split(self.numbers_SN[rows])
        return self._views[place]

    def reset(self, rows: Rows = None) -> None:
        """Make those slots fresh streams; see `Streaming.step`."""
        if rows is None:
            self.numbers_SN.zero_()
        elif isinstance(rows, slice):
            self.numbers_SN[rows].zero_()
        else:
            self.numbers_SN.index_fill_(0, rows, 0)

    def copy_out(self, row: int) -> torch.Tensor:
        """A copy of one slot, for `copy_in`: [N], on the CPU, in the state's dtype. Waits for the device."""
        return self.numbers_SN[row].to("cpu", copy=True)

    def copy_in(self, row: int, saved_N: torch.Tensor) -> None:
        """Put what `copy_out` gave into a slot of a state of the same module, else raise an InvariantError."""
        mine = self.numbers_SN[row]
        if saved_N.shape != mine.shape or saved_N.dtype != mine.dtype:
            raise InvariantError(
                f"A saved stream of {tuple(saved_N.shape)} {saved_N.dtype} does not fit a slot of"
                f" {tuple(mine.shape)} {mine.dtype}: it was saved by another model or precision."
            )
        mine.copy_(saved_N)


class Streaming(nn.Module, ABC):
    """A layer, or layers in a row, with a state."""

    @abstractmethod
    def state_shapes(self) -> list[Shape]:
        """Shape [P, C] of what each layer remembers of one stream, in the order in which `run` takes the parts."""

    @abstractmethod
    def run(self, x_BTC: torch.Tensor, parts: Iterator[torch.Tensor], last: bool = False) -> torch.Tensor:
        """Work on the next piece of B streams. Takes its parts [B, P, C] from the iterator and updates them in place.

        Args:
            last: The streams end with this piece: it may have any length. A layer with a stride then pads its own
                input on the right with zeros to a multiple of the stride.
        """

    def init_state(self, slots: int, dtype: torch.dtype, device: torch.device | str = "cpu") -> StreamState:
        """A state of ``slots`` fresh streams."""
        return StreamState(self.state_shapes(), slots, dtype, device)

    # Without no_grad a trainable weight would tie the state of all frames so far into one autograd graph.
    @torch.no_grad()
    def step(self, x_BTC: torch.Tensor, state: StreamState, rows: Rows = None, last: bool = False) -> torch.Tensor:
        """Work on the next piece of some streams. Other slots are not touched.

        Args:
            x_BTC: The piece, with the state's dtype and device.
            rows: The slot of each row of the batch, int64 [B], each at most once (not checked: that would wait for the
                device). A ``slice(first, end)`` of slots, or None, for all slots: then the state is updated
                where it lies; otherwise its rows are gathered and scattered once.
            last: See `run`. The slots are to be reset before they are used again.

        Returns:
            [B, T', D], the same dtype and device.

        Raises:
            InvariantError: Batch, dtype or length do not fit the state or the strides.
        """
        batch = rows.stop - rows.start if isinstance(rows, slice) else state.slots if rows is None else rows.shape[0]
        if x_BTC.shape[0] != batch or x_BTC.dtype != state.numbers_SN.dtype or not x_BTC.shape[1]:
            raise InvariantError(
                f"A piece of {tuple(x_BTC.shape)} {x_BTC.dtype} does not fit a step of {batch} rows in"
                f" {state.numbers_SN.dtype} (and must not be empty)."
            )
        if rows is None:
            return self._run_all(x_BTC, state.parts, last)
        if isinstance(rows, slice):
            return self._run_all(x_BTC, state.view(rows), last)
        numbers_BN = state.numbers_SN.index_select(0, rows)
        y_BTD = self._run_all(x_BTC, state.split(numbers_BN), last)
        state.numbers_SN.index_copy_(0, rows, numbers_BN)
        return y_BTD

    def _run_all(self, x_BTC: torch.Tensor, parts: list[torch.Tensor], last: bool) -> torch.Tensor:
        y_BTD = self.run(x_BTC, left := iter(parts), last)
        if next(left, None) is not None:
            raise InvariantError("The state is not one of this module: it has parts that no layer took.")
        return y_BTD


class StreamingConv1d(Streaming, Packable):
    """A causal convolution.

    Remembers its last (kernel - 1) * dilation - (stride - 1) inputs, so that the first output of each piece sees
    exactly the inputs before it. Parameters have the names and shapes of `torch.nn.Conv1d`.

    Raises:
        InvariantError: (At birth) the kernel spans less than a stride, or ``groups`` is neither 1 nor all channels.
    """

    def __init__(
        self, channels: int, out_channels: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.past = (kernel - 1) * dilation - (stride - 1)
        if self.past < 0 or groups not in (1, channels) or (groups > 1 and out_channels != channels):
            raise InvariantError(f"No such convolution: {channels=} {out_channels=} {kernel=} {stride=} {groups=}.")
        self.channels, self.kernel, self.stride, self.dilation = channels, kernel, stride, dilation
        self.is_depthwise = groups == channels > 1
        self.weight = nn.Parameter(torch.empty(out_channels, channels // groups, kernel))
        self.bias = nn.Parameter(torch.empty(out_channels))
        _lay_out(self, (0, 1, 2) if self.is_depthwise else (0, 2, 1))
        self._packed: torch.Tensor | None = None
        self._taps_KC: torch.Tensor | None = None  # of a packed depthwise one

    @property
    def packed_bytes(self) -> int:
        if self._taps_KC is not None:
            return self._taps_KC.nbytes
        return 0 if self._packed is None else self.weight_bytes

    def pack(self) -> None:
        if self._packed is not None or self._taps_KC is not None or not can_pack(self.weight):
            return
        if self.is_depthwise:
            self._taps_KC = self.weight.detach()[:, 0].t().contiguous()
            return
        self._packed, self.weight_bytes = packed(self._matrix), self.weight.nbytes
        self.register_parameter("weight", None)

    @property
    def _matrix(self) -> torch.Tensor:
        return self.weight.transpose(1, 2).flatten(1) if self._packed is None else self._packed

    def state_shapes(self) -> list[Shape]:
        return [(self.past, self.channels)]

    def run(self, x_BTC: torch.Tensor, parts: Iterator[torch.Tensor], last: bool = False) -> torch.Tensor:
        past_BPC = next(parts)
        short = -x_BTC.shape[1] % self.stride
        if short and not last:
            raise InvariantError(f"{x_BTC.shape[1]} inputs are not a multiple of the stride {self.stride}.")
        seen_BTC = torch.cat([past_BPC, x_BTC], 1)
        past_BPC.copy_(seen_BTC[:, seen_BTC.shape[1] - self.past :])
        if short:
            seen_BTC = F.pad(seen_BTC, (0, 0, 0, short))
        return self._convolve_depthwise(seen_BTC) if self.is_depthwise else self._convolve(seen_BTC)

    def add_scaled(self, x_BTC: torch.Tensor, scale_BT1: torch.Tensor, parts: Iterator[torch.Tensor]) -> torch.Tensor:
        """``x + run(x * scale)``, of a depthwise one of stride and dilation 1 that was packed, with a copy less."""
        past_BPC = next(parts)
        batch, time, channels = x_BTC.shape
        seen_BTC = x_BTC.new_empty(batch, self.past + time, channels)
        seen_BTC[:, : self.past] = past_BPC
        torch.mul(x_BTC, scale_BT1, out=seen_BTC[:, self.past :])
        past_BPC.copy_(seen_BTC[:, time:])
        taps_KC = self._taps_KC
        if taps_KC is None or channels < _MANY_CHANNELS or x_BTC.numel() > _FEW_NUMBERS:
            return self._convolve_depthwise(seen_BTC).add_(x_BTC)
        y_BTC = x_BTC + self.bias
        if time == 1:
            return y_BTC.add_((seen_BTC * taps_KC).sum(1, keepdim=True))
        for tap in range(self.kernel):
            y_BTC.addcmul_(seen_BTC[:, tap : tap + time], taps_KC[tap])
        return y_BTC

    def _convolve(self, seen_BTC: torch.Tensor) -> torch.Tensor:
        # One matrix product: 1.2 to 4 times as fast as conv1d for one frame, as that sorts the weights on each call.
        span = (self.kernel - 1) * self.dilation + 1
        window_BTCK = seen_BTC.unfold(1, span, self.stride)[..., :: self.dilation]
        window_BTX = window_BTCK.transpose(2, 3).flatten(2)
        return affine(window_BTX.contiguous(), self._matrix, self.bias)

    def _convolve_depthwise(self, seen_BTC: torch.Tensor) -> torch.Tensor:
        # As an image of height 1 in channels-last order: no transpose, 2 to 4 times as fast as conv1d.
        image_BC1T = seen_BTC.unsqueeze(1).permute(0, 3, 1, 2)
        stride, dilation = (1, self.stride), (1, self.dilation)
        out = F.conv2d(image_BC1T, self.weight.unsqueeze(2), self.bias, stride, 0, dilation, self.channels)
        return out.squeeze(2).transpose(1, 2)


class StreamingConvTranspose1d(Streaming, Packable):
    """A causal transposed convolution whose kernel is two strides long: each input gives rise to two blocks of outputs.

    The second block of an input overlaps with the first one of the next. Remembers the second block of its last input
    (without bias). Parameters have the names and shapes of `torch.nn.ConvTranspose1d`.
    """

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.out_channels, self.stride = out_channels, stride
        self.weight = nn.Parameter(torch.empty(channels, out_channels, 2 * stride))
        self.bias = nn.Parameter(torch.empty(out_channels))
        _lay_out(self, (2, 1, 0))
        self._packed: torch.Tensor | None = None
        self._bias_X: torch.Tensor | None = None  # of a packed one

    @property
    def packed_bytes(self) -> int:
        return 0 if self._packed is None else self.weight_bytes

    def pack(self) -> None:
        if self._packed is not None or not can_pack(self.weight):
            return
        self._bias_X = self._wide_bias()
        self._packed, self.weight_bytes = packed(self._matrix), self.weight.nbytes
        self.register_parameter("weight", None)

    @property
    def _matrix(self) -> torch.Tensor:
        return self.weight.permute(2, 1, 0).flatten(0, 1) if self._packed is None else self._packed

    def _wide_bias(self) -> torch.Tensor:
        """The bias for each output of an input's first block, and none for the second, which meets another's first."""
        return F.pad(self.bias.detach().repeat(self.stride), (0, self.stride * self.out_channels))

    def state_shapes(self) -> list[Shape]:
        return [(self.stride, self.out_channels)]

    def run(self, x_BTC: torch.Tensor, parts: Iterator[torch.Tensor], last: bool = False) -> torch.Tensor:
        tail_BPD = next(parts)
        bias_X = self._wide_bias() if self._bias_X is None else self._bias_X
        blocks = affine(x_BTC, self._matrix, bias_X).view(*x_BTC.shape[:2], 2, self.stride, self.out_channels)
        first, second = blocks.unbind(2)  # [B, T, stride, D] each
        out = torch.empty_like(first, memory_format=torch.contiguous_format)
        torch.add(first[:, 0], tail_BPD, out=out[:, 0])
        if first.shape[1] > 1:
            torch.add(first[:, 1:], second[:, :-1], out=out[:, 1:])
        tail_BPD.copy_(second[:, -1])
        return out.flatten(1, 2)


class StreamingChain(Streaming):
    """Layers one after another.

    Args:
        named: The children, by the names that the checkpoint gives them.
        order: The layers as they run; None: the children as given. Chains within are taken apart, since on a small
            model the calls through their levels would be felt. A child that is replaced later is therefore not run.
    """

    def __init__(self, named: Mapping[str, nn.Module], order: Iterable[nn.Module] | None = None) -> None:
        super().__init__()
        for name, child in named.items():
            self.add_module(name, child)
        self._order = tuple(layer for child in order or named.values() for layer in _taken_apart(child))

    def state_shapes(self) -> list[Shape]:
        return [shape for layer in self._order for shape in layer.state_shapes()]

    def run(self, x_BTC: torch.Tensor, parts: Iterator[torch.Tensor], last: bool = False) -> torch.Tensor:
        for layer in self._order:
            x_BTC = layer.run(x_BTC, parts, last)
        return x_BTC


def nest(path: str, layer: Streaming) -> Streaming:
    """The layer, so many levels down: with path ``conv.conv`` its weight is named ``conv.conv.weight``."""
    for name in reversed(path.split(".")):
        layer = StreamingChain({name: layer})
    return layer


def _taken_apart(layer: nn.Module) -> tuple[Streaming, ...]:
    if isinstance(layer, StreamingChain):
        return layer._order
    if not isinstance(layer, Streaming):
        raise InvariantError(f"{type(layer).__name__} is not a streaming layer.")
    return (layer,)


def _lay_out(layer: StreamingConv1d | StreamingConvTranspose1d, order: tuple[int, int, int]) -> None:
    """Let the weight keep its checkpoint's shape, but lie in memory in the order in which the product reads it.

    Copies into the weight and moves of the module keep that. A loader that puts its own tensor in place of the weight
    (``assign=True``) does not, hence the hook. A weight that lies otherwise gives the same numbers, more slowly.
    """

    def arrange(*_: object) -> None:
        # `order` is its own inverse in all cases here.
        layer.weight.data = layer.weight.data.permute(order).contiguous().permute(order)

    arrange()
    layer.register_load_state_dict_post_hook(arrange)  # type: ignore[no-untyped-call]

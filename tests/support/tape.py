"""CUDA graphs without CUDA: work is recorded as the tensor operations it consists of, and those are what is told again.

Python is not part of a recording, so whatever a recording should read anew in each step, and was fixed when it was
recorded, is wrong here as it would be there. What waits for the device cannot be recorded, here as there.
"""

from __future__ import annotations

import ctypes
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from longtake.engines.vibevoice.decoding.graphs import TableAttend
from longtake.nn.capture import Work
from longtake.nn.decoder import rotate
from longtake.nn.decoder_config import DecoderConfig
from longtake.nn.kv import CAPACITY, KEYS, POSITION, VALUES, _Row

_WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero")


class Tape:
    """Implements `Recorder`. ``recorded`` counts; who sets ``has_room`` to False gets no more."""

    def __init__(self) -> None:
        self.recorded = 0
        self.told = 0
        self.has_room = True

    def record(self, work: Work) -> Work:
        for _ in range(2):
            work()
        if not self.has_room:
            raise torch.OutOfMemoryError("out of memory")
        with _Recording() as recording:
            work()
        self.recorded += 1

        def tell() -> None:
            self.told += 1
            recording.tell()

        return tell

    def forget(self) -> None:
        pass


class _Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(word in func.name() for word in _WAITS):
            raise RuntimeError(f"{func.name()} waits for the device and cannot be recorded")
        out = func(*args, **(kwargs or {}))
        self._calls.append((func, args, kwargs or {}, out))
        return out

    def tell(self) -> None:
        made: dict[int, Tensor] = {}

        def now(value: Any) -> Any:
            return made.get(id(value), value) if isinstance(value, Tensor) else value

        for func, args, kwargs, then in self._calls:
            out = func(*tree_map(now, args), **tree_map(now, kwargs))
            for old, new in zip(tree_flatten(then)[0], tree_flatten(out)[0], strict=True):
                if isinstance(old, Tensor):
                    made[id(old)] = new


def table_attend(config: DecoderConfig) -> TableAttend:
    """What `nn.flash.FlashDecode` does, with the attention of `KVStore`, which is the truth, on the host."""
    sizes = [config.num_hidden_layers, config.num_attention_heads, config.num_key_value_heads, config.head_dim]
    return partial(_attend, sizes=sizes)


@torch.library.custom_op("longtake_tests::attend_by_table", mutates_args=())  # a single operation for the tape
def _attend(layer: int, qkv_NXD: Tensor, cos_NP: Tensor, sin_NP: Tensor, table_NC: Tensor, sizes: list[int]) -> Tensor:
    layers, heads, kv_heads, size = sizes
    qk, v_NKD = torch.split(qkv_NXD, [heads + kv_heads, kv_heads], 1)
    q_NAD, k_NKD = torch.split(rotate(qk, cos_NP, sin_NP), [heads, kv_heads], 1)
    out = []
    for n, entry in enumerate(table_NC.tolist()):
        capacity, position = entry[CAPACITY], entry[POSITION]
        if not 0 <= position < capacity:
            raise RuntimeError(f"device-side assert: position {position} of {capacity}")
        shape = (2, layers, kv_heads, capacity, size)
        row = _Row(_at(entry[KEYS], shape, qkv_NXD.dtype), capacity)
        if row.addresses[VALUES] != entry[VALUES]:
            raise RuntimeError("illegal memory access: the values are not behind the keys")
        out.append(row.attend(layer, position, q_NAD[n : n + 1], k_NKD[n : n + 1], v_NKD[n : n + 1]))
    return torch.cat(out)


def _at(address: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    count = torch.Size(shape).numel()
    return torch.frombuffer((ctypes.c_char * (count * dtype.itemsize)).from_address(address), dtype=dtype).view(shape)

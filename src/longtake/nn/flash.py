"""One token of many rows attends to all before it, wherever the rows lie. Knows no store and no model.

`KVStore.attend` is the truth that these are held against. There, each row is a call of its own; here all rows are one,
and where they lie, how long they are and how far they have come is read from a table on the device. So the same
launches, recorded once in a CUDA graph, serve rows that grow, come and go.

To be imported only where Triton is installed: it comes with torch's builds for CUDA.

Shape suffixes: N rows, A query heads, K key/value heads, X = A + 2 K, D size of a head, P = D / 2 pairs that the rotary
embedding turns, C columns of the table.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from longtake.nn.flash_kernels import attend_split, combine, rotate_and_store
from longtake.nn.kv import TABLE_COLUMNS

_BLOCK_BYTES = 128  # of one channel of a block: 64 positions of two bytes; more do not fit beside each other
_MOST_SPLITS = 64
_LEAST_GROUP = 16  # rows of the smallest product that tensor cores do
_PROGRAMS_A_CORE = 2


class FlashDecode:
    """Rotates, stores and attends for one token of each row, in three launches a layer.

    Args:
        kv_dtype: What the rows hold: the queries' type, or int8.
        splits: Pieces into which each row is cut, that run side by side; None: as many as keep the device busy.
    """

    def __init__(
        self, *, heads: int, kv_heads: int, head_dim: int, kv_dtype: torch.dtype, splits: int | None = None
    ) -> None:
        self._heads, self._kv_heads, self._head_dim = heads, kv_heads, head_dim
        self._kv_type = _TYPES[kv_dtype]
        self._splits = splits

    def attend(self, layer: int, qkv_NXD: Tensor, cos_NP: Tensor, sin_NP: Tensor, table_NC: Tensor) -> Tensor:
        """Store keys and values of a token at the position that the table gives its row, and let it see up to there.

        Nothing here waits for the device or looks at what the table says: that rows are open and positions within them
        is for who fills it. A table's row may come twice only if nobody reads what it gives.

        Args:
            qkv_NXD: Heads of queries, keys and values, not rotated yet.
            cos_NP, sin_NP: float32.
            table_NC: int64, see `nn/kv`.

        Returns:
            (N, A, D), type and device of `qkv_NXD`.
        """
        rows, heads, kv_heads, size = len(qkv_NXD), self._heads, self._kv_heads, self._head_dim
        q_NAD = qkv_NXD.new_empty(rows, heads, size)
        rotate_and_store[(rows, heads + 2 * kv_heads)](
            qkv_NXD, cos_NP, sin_NP, table_NC, q_NAD, layer, heads, kv_heads, size, self._kv_type, TABLE_COLUMNS
        )
        splits = self._splits or _splits_for(rows * kv_heads, qkv_NXD.device)
        # What each split has: the sum of values, and behind it the largest score and the sum of weights.
        parts = torch.empty(rows, heads, splits, size + 2, dtype=torch.float32, device=qkv_NXD.device)
        group = max(_LEAST_GROUP, triton.next_power_of_2(heads // kv_heads))
        attend_split[(rows, kv_heads, splits)](
            q_NAD, table_NC, parts, layer, size**-0.5, heads, kv_heads, size, group, splits, self._kv_type,
            TABLE_COLUMNS, _BLOCK_BYTES // qkv_NXD.itemsize,
        )  # fmt: skip
        out_NAD = torch.empty_like(q_NAD)
        combine[(rows * heads,)](parts, out_NAD, size, splits)
        return out_NAD


def _splits_for(programs: int, device: torch.device) -> int:
    """A power of two, as the kernels want it; the same for the same batch, so that a graph can hold it."""
    cores = torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
    wanted = triton.cdiv(_PROGRAMS_A_CORE * cores, programs)
    return min(_MOST_SPLITS, int(triton.next_power_of_2(wanted)))


_TYPES: dict[torch.dtype, Any] = {
    torch.float32: tl.float32,
    torch.float16: tl.float16,
    torch.bfloat16: tl.bfloat16,
    torch.int8: tl.int8,
}

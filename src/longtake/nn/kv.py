"""Keys and values of the sequences being decoded, and attention over them. Knows no weights, no engine, no admission.

Shape suffixes: N tokens of the flattened batch, T tokens of one segment, L tokens of a row that are visible,
A query heads, K key/value heads, G = A / K query heads that share one of them, D size of a head.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from longtake.core.errors import InvariantError
from longtake.nn import kv_int8
from longtake.nn.decoder_config import MASK_CELLS
from longtake.nn.kv_int8 import Int8Row

# What a kernel must know of a row, in a table of int64: addresses of its keys and of its values, each (layers, K,
# capacity, D); for rows of 8 bits those of a bfloat16 scale for each position, (layers, K, capacity), else 0; how many
# positions there are, and at which one the token stands.
KEYS, VALUES, KEY_SCALES, VALUE_SCALES, CAPACITY, POSITION = range(6)
TABLE_COLUMNS = 6


@dataclass(frozen=True, slots=True)
class Segment:
    """`count` consecutive tokens of the flattened batch, that stand in `row` at `start` … `start + count - 1`.

    A batch is the list of its segments, in the order of its tokens. `start` may lie anywhere up to the row's end:
    0 begins the row anew, and what stood at `start` and behind it is gone.
    """

    row: int
    start: int
    count: int

    @property
    def end(self) -> int:
        return self.start + self.count


class KVStore:
    """Rows of keys and values; each belongs to one sequence, grows on its own and is freed at once.

    | state of a row | shape | |
    |---|---|---|
    | keys, values | layers, K, capacity, D, each | allocated by `open_row`, never moved, never cleared |
    | filled | int | tokens from the left that count; a segment cannot begin behind them, so nothing stale is read |

    One thread uses it: the one that owns the device.

    Args:
        dtype: Type of what is stored, or torch.int8 (see `Int8Row`); queries must have it too, or any with int8.
        device: Where the rows live.
    """

    def __init__(
        self, *, layers: int, kv_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        self._shape = (layers, kv_heads, head_dim)
        self._dtype = dtype
        self._device = torch.device(device)
        self._rows: dict[int, _Row | Int8Row] = {}
        self._next_row = 0
        if self._device.type == "cuda":
            # Torch prefers cuDNN's attention on an H100 and its like. It is built anew for each length of a row (torch,
            # cudnn/MHA.cpp), some 30 ms of the host each, and in each step every row is a token longer.
            torch.backends.cuda.enable_cudnn_sdp(False)

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    @staticmethod
    def row_bytes(*, layers: int, kv_heads: int, head_dim: int, dtype: torch.dtype, capacity: int) -> int:
        """Bytes that a row of so many tokens takes."""
        if dtype == torch.int8:
            return kv_int8.row_bytes(layers=layers, kv_heads=kv_heads, head_dim=head_dim, capacity=capacity)
        return 2 * layers * kv_heads * head_dim * dtype.itemsize * capacity

    @property
    def used_bytes(self) -> int:
        """Bytes of all open rows, filled or not."""
        return sum(row.used_bytes for row in self._rows.values())

    def open_row(self, capacity: int) -> int:
        """Allocate an empty row for `capacity` tokens; its number is never given out again.

        Raises:
            InvariantError: The capacity is not positive.
            torch.OutOfMemoryError, MemoryError: The device has no room: admission was wrong.
        """
        if capacity < 1:
            raise InvariantError(f"A KV row was opened for {capacity} tokens; it needs room for at least one.")
        layers, kv_heads, head_dim = self._shape
        # A tensor born in inference mode could not be written to outside of it.
        with torch.inference_mode(False):
            kv = _allocate((2, layers, kv_heads, capacity, head_dim), self._dtype, self._device)
            row: _Row | Int8Row = _Row(kv, capacity)
            if self._dtype == torch.int8:
                row = Int8Row(kv, _allocate((2, layers, kv_heads, capacity), torch.bfloat16, self._device))
        number = self._next_row
        self._next_row += 1
        self._rows[number] = row
        return number

    def close_row(self, row: int) -> None:
        """Free the row.

        Raises:
            InvariantError: There is no such row, or it was closed before.
        """
        self._row(row)
        del self._rows[row]

    def attend(self, layer: int, q_NAD: Tensor, k_NKD: Tensor, v_NKD: Tensor, segments: Sequence[Segment]) -> Tensor:
        """Store the keys and values of all segments, then let each query see positions 0 to its own of its row.

        A segment of T > 1 tokens that does not begin its row needs a mask, of `MASK_CELLS` at the most.

        Returns:
            (N, A, D), type and device of the queries.

        Raises:
            InvariantError: A row is not open, a segment does not fit its row or leaves a hole in it, or the segments do
                not add up to N. Nothing is written then.
        """
        self._check(segments, len(q_NAD))
        out_TAD = []
        first = 0
        for segment in segments:
            last = first + segment.count
            row = self._rows[segment.row]
            part = slice(first, last)
            out_TAD.append(row.attend(layer, segment.start, q_NAD[part], k_NKD[part], v_NKD[part]))
            first = last
        return out_TAD[0] if len(out_TAD) == 1 else torch.cat(out_TAD)

    def table(self, segments: Sequence[Segment]) -> list[tuple[int, ...]]:
        """Of segments of one token each, what a kernel must know to store them and attend by itself: `TABLE_COLUMNS`.

        The tokens count as stored from here on.

        Raises:
            InvariantError: As `attend`, and if a segment is longer.
        """
        self._check(segments, len(segments))
        found: list[tuple[int, ...]] = []
        for segment in segments:
            row = self._rows[segment.row]
            row.filled = segment.end
            found.append((*row.addresses, row.capacity, segment.start))
        return found

    def _check(self, segments: Sequence[Segment], tokens: int) -> None:
        filled: dict[int, int] = {}
        for segment in segments:
            row = self._row(segment.row)
            end = filled.get(segment.row, row.filled)
            if segment.count < 1 or not 0 <= segment.start <= end:
                raise InvariantError(f"{segment} must hold a token and begin within the {end} tokens that its row has.")
            if segment.end > row.capacity:
                raise InvariantError(f"{segment} ends behind the {row.capacity} tokens that its row was opened for.")
            filled[segment.row] = segment.end
        total = sum(segment.count for segment in segments)
        if not segments or total != tokens:
            raise InvariantError(f"{len(segments)} segments describe {total} tokens, the batch has {tokens}.")

    def _row(self, number: int) -> _Row | Int8Row:
        try:
            return self._rows[number]
        except KeyError:
            raise InvariantError(f"KV row {number} is not open; open are {sorted(self._rows)}.") from None


class _Row:
    """See the table at `KVStore`."""

    def __init__(self, kv: Tensor, capacity: int) -> None:
        self.layers = list(zip(kv[0].unbind(), kv[1].unbind(), strict=True))
        self.addresses = (kv[0].data_ptr(), kv[1].data_ptr(), 0, 0)  # the first columns of a table
        self.used_bytes = kv.nbytes
        self.capacity = capacity
        self.filled = 0

    def attend(self, layer: int, start: int, q_TAD: Tensor, k_TKD: Tensor, v_TKD: Tensor) -> Tensor:
        end = start + len(q_TAD)
        k_KCD, v_KCD = self.layers[layer]
        k_KCD[:, start:end] = k_TKD.transpose(0, 1)
        v_KCD[:, start:end] = v_TKD.transpose(0, 1)
        self.filled = end
        return _attend(q_TAD, k_KCD[:, :end], v_KCD[:, :end])


def _allocate(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory that is not written yet.

    On the host each row is a mapping of its own: it takes memory page by page as it is written, and gives all of it
    back when it is closed. From the C library's heap, rows of mixed length kept a third of the budget for good
    (measured, docs/adr/0015-kv-pool.md).
    """
    if device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    size = math.prod(shape) * dtype.itemsize
    try:
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"{size} bytes for keys and values: {error}") from error
    return torch.frombuffer(pages, dtype=dtype).view(shape)  # holds the mapping as long as it lives


def _attend(q_TAD: Tensor, k_KLD: Tensor, v_KLD: Tensor) -> Tensor:
    """Attention of the last T of L positions; the kernel reads each key once per group, never a copy per head."""
    tokens, heads, size = q_TAD.shape
    kv_heads, visible, _ = k_KLD.shape
    if tokens == 1:
        # One token sees all there is, so the heads of a group can stand where the kernel expects positions.
        q_1KGD = q_TAD.reshape(1, kv_heads, -1, size)
        return F.scaled_dot_product_attention(q_1KGD, k_KLD[None], v_KLD[None]).reshape(1, heads, size)
    if visible > tokens and tokens * visible > MASK_CELLS:
        return _attend_in_pieces(q_TAD, k_KLD, v_KLD, max(1, MASK_CELLS // visible))
    q_KGTD = q_TAD.reshape(tokens, kv_heads, -1, size).permute(1, 2, 0, 3)
    group = q_KGTD.shape[1]
    k_KGLD = k_KLD[:, None].expand(-1, group, -1, -1)  # stride 0: a view
    v_KGLD = v_KLD[:, None].expand(-1, group, -1, -1)
    mask_TL = None
    if visible > tokens:
        # `is_causal` aligns the triangle top left, which is right only for a segment that begins its row.
        mask_TL = torch.ones(tokens, visible, dtype=torch.bool, device=q_TAD.device).tril(visible - tokens)
    out_KGTD = F.scaled_dot_product_attention(q_KGTD, k_KGLD, v_KGLD, attn_mask=mask_TL, is_causal=mask_TL is None)
    return out_KGTD.permute(2, 0, 1, 3).reshape(tokens, heads, size)


def _attend_in_pieces(q_TAD: Tensor, k_KLD: Tensor, v_KLD: Tensor, count: int) -> Tensor:
    """The same, so many queries at once; none of them sees what stands behind the last of its piece."""
    before = k_KLD.shape[1] - len(q_TAD)
    pieces = []
    for first in range(0, len(q_TAD), count):
        last = min(first + count, len(q_TAD))
        pieces.append(_attend(q_TAD[first:last], k_KLD[:, : before + last], v_KLD[:, : before + last]))
    return torch.cat(pieces)

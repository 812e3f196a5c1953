"""A row of keys and values in 8 bits: half of the memory, at the price of a rounding. Knows no weights, no store.

Each key and each value is written as int8 with a scale of its own: q · scale, q from -127 to 127. What is read is
brought to float32 block by block, never a whole row; the scales are multiplied into the scores and the weights of the
softmax, which are 1 / D as many.

Shape suffixes: T tokens, L tokens of a row, B of them in a block, A query heads, K key/value heads, D size of a head,
R = A / K · T rows of queries that share a key head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_BLOCK_NUMBERS = 1 << 20  # of keys, of values, and of scores
_LEAST_BLOCK = 256
_LARGEST = 127


class Int8Row:
    """| state | shape | |
    |---|---|---|
    | numbers | 2 (keys, values), layers, K, capacity, D | int8, one piece of memory; never cleared |
    | scales | 2, layers, K, capacity | bfloat16 |
    | filled | int | as in `nn.kv.KVStore` |
    """

    def __init__(self, numbers: Tensor, scales: Tensor) -> None:
        self.numbers, self.scales = numbers, scales
        self.addresses = tuple(side.data_ptr() for each in (numbers, scales) for side in each)
        self.used_bytes = numbers.nbytes + scales.nbytes
        self.capacity = numbers.shape[3]
        self.filled = 0

    @property
    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """(keys, values) of each layer as they lie there."""
        return list(zip(self.numbers[0].unbind(), self.numbers[1].unbind(), strict=True))

    def attend(self, layer: int, start: int, q_TAD: Tensor, k_TKD: Tensor, v_TKD: Tensor) -> Tensor:
        """Store keys and values from `start` on, then let each query see positions 0 to its own."""
        end = start + len(q_TAD)
        for side, new_TKD in enumerate((k_TKD, v_TKD)):
            numbers_KTD, scale_KT = to_int8(new_TKD.transpose(0, 1))
            self.numbers[side, layer, :, start:end] = numbers_KTD
            self.scales[side, layer, :, start:end] = scale_KT
        self.filled = end
        return _attend(q_TAD, self.numbers[:, layer, :, :end], self.scales[:, layer, :, :end])


def row_bytes(*, layers: int, kv_heads: int, head_dim: int, capacity: int) -> int:
    """Bytes that a row of so many tokens takes."""
    return 2 * layers * kv_heads * capacity * (head_dim + torch.bfloat16.itemsize)


def to_int8(x_D: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers (…, D) and scales (…) of vectors (…, D). What is not finite stays so, by its scale."""
    x_D = x_D.float()
    largest = x_D.abs().amax(-1)
    # Rounded up, so that the largest keeps its place; what is nothing but zeros divides by no zero.
    scale = (largest * ((1 + torch.finfo(torch.bfloat16).eps) / _LARGEST)).bfloat16()
    scale = torch.where(largest < torch.finfo(torch.bfloat16).tiny, torch.ones_like(scale), scale)
    numbers_D = (x_D / scale.float()[..., None]).round_().clamp_(-_LARGEST, _LARGEST)
    return numbers_D.to(torch.int8), scale


def _attend(q_TAD: Tensor, numbers_2KLD: Tensor, scale_2KL: Tensor) -> Tensor:
    """Softmax over blocks: sums are kept relative to the largest score so far (Milakov and Gimelshein, 2018)."""
    tokens, heads, size = q_TAD.shape
    _, kv_heads, visible, _ = numbers_2KLD.shape
    q_KRD = q_TAD.float().reshape(tokens, kv_heads, -1, size).permute(1, 2, 0, 3).flatten(1, 2) / math.sqrt(size)
    rows = q_KRD.shape[1]
    most_KR1 = q_KRD.new_full((kv_heads, rows, 1), -math.inf)
    sum_KR1 = torch.zeros_like(most_KR1)
    out_KRD = torch.zeros_like(q_KRD)
    own_T1 = torch.arange(visible - tokens, visible, device=q_TAD.device)[:, None]
    count = max(_LEAST_BLOCK, _BLOCK_NUMBERS // (kv_heads * max(size, rows)))
    for first in range(0, visible, count):
        last = min(first + count, visible)
        score_KRB = q_KRD @ numbers_2KLD[0, :, first:last].float().transpose(1, 2)
        score_KRB *= scale_2KL[0, :, None, first:last].float()
        if last > visible - tokens + 1:
            is_later_TB = torch.arange(first, last, device=q_TAD.device) > own_T1
            score_KRB.view(kv_heads, -1, *is_later_TB.shape).masked_fill_(is_later_TB, -math.inf)
        new_KR1 = torch.maximum(most_KR1, score_KRB.amax(-1, keepdim=True))
        weight_KRB = score_KRB.sub_(new_KR1).exp_()
        shrink_KR1 = (most_KR1 - new_KR1).exp_()
        sum_KR1 = sum_KR1 * shrink_KR1 + weight_KRB.sum(-1, keepdim=True)
        weight_KRB *= scale_2KL[1, :, None, first:last].float()
        out_KRD = out_KRD * shrink_KR1 + weight_KRB @ numbers_2KLD[1, :, first:last].float()
        most_KR1 = new_KR1
    out_KGTD = (out_KRD / sum_KR1).view(kv_heads, -1, tokens, size)
    return out_KGTD.permute(2, 0, 1, 3).reshape(tokens, heads, size).to(q_TAD.dtype)

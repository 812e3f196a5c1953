"""The Triton kernels of `nn/flash`, where it is said what they are given.

Shape suffixes: G query heads of a group, padded to what tensor cores take, L positions of a block, S splits of a row,
D size of a head. Arguments in capitals are fixed when a kernel is compiled; KV is the type of what the rows hold.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["layer"])
def rotate_and_store(
    qkv, cos, sin, table, q_out, layer,
    A: tl.constexpr, K: tl.constexpr, D: tl.constexpr, KV: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    """A program for each head of each row: queries are rotated, keys rotated and stored, values stored."""
    row, head = tl.program_id(0), tl.program_id(1)
    P: tl.constexpr = D // 2
    pair = tl.arange(0, P)
    source = qkv + (row * (A + 2 * K) + head) * D
    a = tl.load(source + pair).to(tl.float32)
    b = tl.load(source + P + pair).to(tl.float32)
    if head < A + K:
        c, s = tl.load(cos + row * P + pair), tl.load(sin + row * P + pair)
        # Rounded to the type of the model here, as everywhere else, before anything more is done with them.
        turned = (a * c - b * s).to(qkv.dtype.element_ty).to(tl.float32)
        b = (b * c + a * s).to(qkv.dtype.element_ty).to(tl.float32)
        a = turned
    if head < A:
        target = q_out + (row * A + head) * D
        tl.store(target + pair, a.to(q_out.dtype.element_ty))
        tl.store(target + P + pair, b.to(q_out.dtype.element_ty))
    else:
        is_value = head >= A + K
        kv_head = tl.where(is_value, head - A - K, head - A)
        entry = table + row * COLS
        address = tl.load(entry + tl.where(is_value, 1, 0))
        capacity, position = tl.load(entry + 4), tl.load(entry + 5)
        place = (layer * K + kv_head) * capacity + position
        if KV == tl.int8:
            # As `kv_int8.to_int8`, but that halves are rounded away from zero.
            largest = tl.maximum(tl.max(tl.abs(a)), tl.max(tl.abs(b)))
            scale = tl.where(largest < 1.1754944e-38, 1.0, largest * (1.0078125 / 127)).to(tl.bfloat16)
            scales = tl.load(entry + tl.where(is_value, 3, 2)).to(tl.pointer_type(tl.bfloat16))
            tl.store(scales + place, scale)
            a, b = _nearest(a / scale.to(tl.float32)), _nearest(b / scale.to(tl.float32))
        kv = address.to(tl.pointer_type(KV)) + place * D
        tl.store(kv + pair, a.to(KV))
        tl.store(kv + P + pair, b.to(KV))


@triton.jit
def _nearest(x):
    """What Triton's conversion to int8, which cuts off, makes the nearest number of -127 to 127."""
    return tl.minimum(tl.maximum(tl.where(x < 0, x - 0.5, x + 0.5), -127.0), 127.0)


@triton.jit(do_not_specialize=["layer"])
def attend_split(
    q, table, parts, layer, scale,
    A: tl.constexpr, K: tl.constexpr, D: tl.constexpr, GROUP: tl.constexpr, SPLITS: tl.constexpr, KV: tl.constexpr,
    COLS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A program for each split of each key/value head of each row: a key is read once for all of its group."""
    row, kv_head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    G: tl.constexpr = A // K
    entry = table + row * COLS
    capacity, visible = tl.load(entry + 4), tl.load(entry + 5) + 1
    span = tl.cdiv(tl.cdiv(visible, SPLITS), BLOCK) * BLOCK
    first = split * span
    last = tl.minimum(first + span, visible)
    line = (layer * K + kv_head) * capacity
    # A row begins where an allocation does, so that whole heads are read in pieces of 16 bytes.
    keys = tl.multiple_of(tl.load(entry).to(tl.pointer_type(KV)), 16) + line * D
    values = tl.multiple_of(tl.load(entry + 1).to(tl.pointer_type(KV)), 16) + line * D
    key_scales = tl.load(entry + 2).to(tl.pointer_type(tl.bfloat16)) + line
    value_scales = tl.load(entry + 3).to(tl.pointer_type(tl.bfloat16)) + line

    member, d = tl.arange(0, GROUP), tl.arange(0, D)
    is_member = member < G
    head = kv_head * G + member
    q_GD = tl.load(q + (row * A + head)[:, None] * D + d[None, :], mask=is_member[:, None], other=0.0)
    best_G = tl.full((GROUP,), float("-inf"), tl.float32)
    weight_G = tl.zeros((GROUP,), tl.float32)
    sum_GD = tl.zeros((GROUP, D), tl.float32)
    for begin in range(first, last, BLOCK):
        place_L = begin + tl.arange(0, BLOCK)
        is_seen = place_L < last
        at_LD = place_L[:, None] * D + d[None, :]
        k_LD = tl.load(keys + at_LD, mask=is_seen[:, None], other=0).to(q_GD.dtype)
        score_GL = tl.dot(q_GD, tl.trans(k_LD), input_precision="ieee") * scale
        if KV == tl.int8:
            score_GL *= tl.load(key_scales + place_L, mask=is_seen, other=0.0).to(tl.float32)[None, :]
        score_GL = tl.where(is_seen[None, :], score_GL, float("-inf"))
        better_G = tl.maximum(best_G, tl.max(score_GL, 1))
        shrink_G = tl.exp(best_G - better_G)
        p_GL = tl.exp(score_GL - better_G[:, None])
        weight_G = weight_G * shrink_G + tl.sum(p_GL, 1)
        if KV == tl.int8:
            p_GL *= tl.load(value_scales + place_L, mask=is_seen, other=0.0).to(tl.float32)[None, :]
        v_LD = tl.load(values + at_LD, mask=is_seen[:, None], other=0).to(q_GD.dtype)
        sum_GD = sum_GD * shrink_G[:, None] + tl.dot(p_GL.to(v_LD.dtype), v_LD, input_precision="ieee")
        best_G = better_G
    part_G = parts + ((row * A + head) * SPLITS + split) * (D + 2)
    tl.store(part_G[:, None] + d[None, :], sum_GD, mask=is_member[:, None])
    tl.store(part_G + D, best_G, mask=is_member)
    tl.store(part_G + D + 1, weight_G, mask=is_member)


@triton.jit
def combine(parts, out, D: tl.constexpr, SPLITS: tl.constexpr):
    """A program for each head of each row: its splits, weighted by what they saw; who saw nothing weighs nothing."""
    head = tl.program_id(0)
    s, d = tl.arange(0, SPLITS), tl.arange(0, D)
    part_S = parts + (head * SPLITS + s) * (D + 2)
    best_S = tl.load(part_S + D)
    share_S = tl.exp(best_S - tl.max(best_S, 0))
    weight = tl.sum(share_S * tl.load(part_S + D + 1), 0)
    sum_SD = tl.load(part_S[:, None] + d[None, :])
    tl.store(out + head * D + d, (tl.sum(sum_SD * share_S[:, None], 0) / weight).to(out.dtype.element_ty))

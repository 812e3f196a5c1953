"""Keys and values in 8 bits: exact attention over what was stored, block by block or not, and near to that in full."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from longtake.nn import kv_int8
from longtake.nn.kv import KVStore, Segment
from longtake.nn.kv_int8 import to_int8
from tests.unit.nn.test_kv import HEAD_DIM, KV_HEADS, LAYERS, Qkv, concat, expected, in_pieces, make_qkv

torch.set_num_threads(1)
SHAPE = {"layers": LAYERS, "kv_heads": KV_HEADS, "head_dim": HEAD_DIM}
CUTS = pytest.mark.parametrize("sizes", [[23], [1] * 23, [7, 1, 1, 9, 5], [1, 22], [22, 1]])


@pytest.fixture
def store() -> KVStore:
    return KVStore(**SHAPE, dtype=torch.int8, device="cpu")


def rounded(qkv: Qkv) -> Qkv:
    """What is stored, in full."""
    k, v = ((numbers.float() * scale.float()[..., None]) for numbers, scale in map(to_int8, qkv[1:]))
    return qkv[0], k, v


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


@CUTS
@pytest.mark.parametrize("block", [1, 3, 5, 1 << 20])
def test_any_cut_and_any_block_is_attention_over_what_is_stored(
    store: KVStore, sizes: list[int], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kv_int8, "_BLOCK_NUMBERS", 1)
    monkeypatch.setattr(kv_int8, "_LEAST_BLOCK", block)
    qkv = make_qkv(23)
    ours = in_pieces(store, store.open_row(23), qkv, sizes, layer=1)
    torch.testing.assert_close(ours, expected(rounded(qkv)), atol=1e-5, rtol=1e-4)


def test_it_is_near_to_attention_in_full(store: KVStore) -> None:
    qkv = make_qkv(200)
    error = relative(in_pieces(store, store.open_row(200), qkv, [200]), expected(qkv))
    assert 1e-4 < error < 0.02


def test_scores_of_any_size_are_no_matter(store: KVStore) -> None:
    q, k, v = make_qkv(23)
    qkv = (1e3 * q, 1e3 * k, v)
    ours = in_pieces(store, store.open_row(23), qkv, [10, 13])
    torch.testing.assert_close(ours, expected(rounded(qkv)), atol=1e-4, rtol=1e-3)


def test_a_batch_is_each_row_alone_and_a_row_begun_anew_shows_no_trace(store: KVStore) -> None:
    one, two = make_qkv(5, seed=1), make_qkv(9, seed=2)
    first, second = store.open_row(20), store.open_row(9)
    in_pieces(store, first, make_qkv(20, seed=3), [20])
    together = store.attend(0, *concat(one, two), [Segment(first, 0, 5), Segment(second, 0, 9)])
    alone = store.open_row(5)
    assert torch.equal(together[:5], in_pieces(store, alone, one, [5]))
    torch.testing.assert_close(together[5:], expected(rounded(two)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_queries_of_any_type_get_their_own_back(store: KVStore, dtype: torch.dtype) -> None:
    q, k, v = (part.to(dtype) for part in make_qkv(23))
    ours = in_pieces(store, store.open_row(23), (q, k, v), [20, 3])
    assert ours.dtype == dtype
    assert relative(ours.float(), expected((q.float(), k.float(), v.float()))) < 0.02


def test_a_row_takes_half_of_one_in_bfloat16_and_its_scales(store: KVStore) -> None:
    store.open_row(33)
    assert store.used_bytes == KVStore.row_bytes(**SHAPE, dtype=torch.int8, capacity=33)
    full = KVStore.row_bytes(layers=28, kv_heads=2, head_dim=128, dtype=torch.bfloat16, capacity=1)
    assert KVStore.row_bytes(layers=28, kv_heads=2, head_dim=128, dtype=torch.int8, capacity=1) * 256 == full * 130


def test_numbers_are_off_by_half_a_level_and_what_is_none_stays_none() -> None:
    x = torch.randn(50, 16, generator=torch.Generator().manual_seed(0)) * torch.logspace(-6, 6, 50)[:, None]
    x[7] = 0
    numbers, scale = to_int8(x)
    error = (numbers.float() * scale.float()[:, None] - x).abs()
    assert bool((error <= 0.51 * x.abs().amax(1, keepdim=True) / 127).all())
    bad = torch.ones(2, 16)
    bad[0, 3], bad[1, 4] = math.nan, math.inf
    assert not to_int8(bad)[1].isfinite().any()


def test_what_is_no_number_is_seen_in_what_comes_of_it(store: KVStore) -> None:
    q, k, v = make_qkv(5)
    k[2, 0, 0] = math.nan
    out = in_pieces(store, store.open_row(5), (q, k, v), [5])
    assert out[:2].isfinite().all()
    assert not out[2:, :3].isfinite().any(), "the heads of that group, from there on"
    assert out[:, 3:].isfinite().all()


def test_a_kernel_finds_numbers_and_scales_by_the_table(store: KVStore) -> None:
    row = store.open_row(7)
    in_pieces(store, row, make_qkv(5), [5])
    ((keys, values, key_scales, value_scales, capacity, position),) = store.table([Segment(row, 5, 1)])
    kept = store._rows[row]
    assert isinstance(kept, kv_int8.Int8Row)
    assert (keys, values) == (kept.numbers[0].data_ptr(), kept.numbers[1].data_ptr())
    assert (key_scales, value_scales) == (kept.scales[0].data_ptr(), kept.scales[1].data_ptr())
    assert kept.scales.is_contiguous()
    assert (kept.scales.dtype, capacity, position) == (torch.bfloat16, 7, 5)

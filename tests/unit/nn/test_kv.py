"""The KV store's promises: exact attention, rows that know nothing of each other, no trace of what was there before."""

from __future__ import annotations

import random

import psutil
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from longtake.core.errors import InvariantError
from longtake.nn import kv
from longtake.nn.kv import KVStore, Segment

torch.set_num_threads(1)

LAYERS, HEADS, KV_HEADS, HEAD_DIM = 2, 6, 2, 8
Qkv = tuple[Tensor, Tensor, Tensor]


def make_store(dtype: torch.dtype = torch.float32) -> KVStore:
    return KVStore(layers=LAYERS, kv_heads=KV_HEADS, head_dim=HEAD_DIM, dtype=dtype, device="cpu")


def make_qkv(tokens: int, seed: int = 0) -> Qkv:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(tokens, HEADS, HEAD_DIM, generator=generator) * 2,
        torch.randn(tokens, KV_HEADS, HEAD_DIM, generator=generator) * 2,
        torch.randn(tokens, KV_HEADS, HEAD_DIM, generator=generator),
    )


def attend(store: KVStore, qkv: Qkv, *segments: Segment, layer: int = 0) -> Tensor:
    return store.attend(layer, *qkv, segments)


def expected(qkv: Qkv) -> Tensor:
    """Causal attention of one sequence, head by head and token by token, in float64."""
    q, k, v = (part.double() for part in qkv)
    out = torch.empty_like(q)
    for head in range(HEADS):
        group = head // (HEADS // KV_HEADS)
        for n in range(len(q)):
            weights = (k[: n + 1, group] @ q[n, head] / HEAD_DIM**0.5).softmax(0)
            out[n, head] = weights @ v[: n + 1, group]
    return out.float()


def in_pieces(store: KVStore, row: int, qkv: Qkv, sizes: list[int], layer: int = 0) -> Tensor:
    outs, start = [], 0
    for size in sizes:
        piece = (qkv[0][start : start + size], qkv[1][start : start + size], qkv[2][start : start + size])
        outs.append(attend(store, piece, Segment(row, start, size), layer=layer))
        start += size
    return torch.cat(outs)


def concat(*parts: Qkv) -> Qkv:
    q, k, v = (torch.cat(each) for each in zip(*parts, strict=True))
    return q, k, v


@pytest.mark.parametrize("sizes", [[23], [1] * 23, [7, 1, 1, 9, 5], [1, 22], [22, 1], [2, 21]])
def test_any_cut_gives_causal_attention(sizes: list[int]) -> None:
    store, qkv = make_store(), make_qkv(23)
    torch.testing.assert_close(in_pieces(store, store.open_row(23), qkv, sizes), expected(qkv), atol=1e-5, rtol=0)


@pytest.mark.parametrize("cells", [1, 40, 100])
def test_a_mask_is_never_larger_than_is_said(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    masks: list[int] = []
    whole = F.scaled_dot_product_attention

    def watched(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        masks.append(0 if attn_mask is None else attn_mask.numel())
        return whole(q, k, v, attn_mask=attn_mask, is_causal=is_causal)

    monkeypatch.setattr(kv, "MASK_CELLS", cells)
    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    store, qkv = make_store(), make_qkv(23)
    got = in_pieces(store, store.open_row(23), qkv, [3, 12, 8])
    torch.testing.assert_close(got, expected(qkv), atol=1e-5, rtol=0)
    assert max(masks) <= cells
    assert len(masks) > 3, "and for that there are more of them"


def test_a_batch_of_different_lengths_is_each_row_alone() -> None:
    store, lengths = make_store(), (1, 9, 17, 4)
    sequences = [make_qkv(length + 3, seed) for seed, length in enumerate(lengths)]
    rows = [store.open_row(len(sequence[0])) for sequence in sequences]
    # Prompts in one batch, then steps of which one row takes two tokens at once, in another order.
    prompts = [(q[:-3], k[:-3], v[:-3]) for q, k, v in sequences]
    first = attend(store, concat(*prompts), *(Segment(r, 0, n) for r, n in zip(rows, lengths, strict=True)))
    for out, sequence, length in zip(torch.split(first, list(lengths)), sequences, lengths, strict=True):
        torch.testing.assert_close(out, expected(sequence)[:length], atol=1e-5, rtol=0)
    for order, counts in (((2, 0, 3, 1), (1, 2, 1, 1)), ((1, 3, 0, 2), (2, 1, 1, 2))):
        spans = [(i, store_end(store, rows[i]), count) for i, count in zip(order, counts, strict=True)]
        parts = [tuple(part[start : start + count] for part in sequences[i]) for i, start, count in spans]
        out = attend(store, concat(*parts), *(Segment(rows[i], start, count) for i, start, count in spans))  # type: ignore[arg-type]
        want = [expected(sequences[i])[start : start + count] for i, start, count in spans]
        torch.testing.assert_close(out, torch.cat(want), atol=1e-5, rtol=0)


def store_end(store: KVStore, row: int) -> int:
    return store._rows[row].filled


def test_two_segments_of_one_row_in_one_batch() -> None:
    store, qkv = make_store(), make_qkv(8)
    row = store.open_row(8)
    out = attend(store, qkv, Segment(row, 0, 5), Segment(row, 5, 3))
    torch.testing.assert_close(out, expected(qkv), atol=1e-5, rtol=0)


def test_layers_are_apart() -> None:
    store, one, other = make_store(), make_qkv(6, 1), make_qkv(6, 2)
    row = store.open_row(6)
    for n in range(6):
        for layer, qkv in enumerate((one, other)):
            token = (qkv[0][n : n + 1], qkv[1][n : n + 1], qkv[2][n : n + 1])
            out = attend(store, token, Segment(row, n, 1), layer=layer)
            torch.testing.assert_close(out, expected(qkv)[n : n + 1], atol=1e-5, rtol=0)


def test_a_later_token_does_not_change_an_earlier_one() -> None:
    store, qkv = make_store(), make_qkv(12)
    before = attend(store, qkv, Segment(store.open_row(12), 0, 12))
    for part in qkv:
        part[8:] = 1e4
    after = attend(store, qkv, Segment(store.open_row(12), 0, 12))
    assert torch.equal(before[:8], after[:8])
    assert not torch.equal(before[8:], after[8:])


@pytest.mark.parametrize("sizes", [[6], [1] * 6, [4, 2]])
def test_a_row_begun_anew_shows_no_trace(sizes: list[int]) -> None:
    store, qkv = make_store(), make_qkv(6)
    row = store.open_row(30)
    poison = tuple(torch.full_like(part, torch.nan) for part in make_qkv(30))
    attend(store, poison, Segment(row, 0, 30))  # type: ignore[arg-type]
    assert torch.equal(in_pieces(store, row, qkv, sizes), in_pieces(store, store.open_row(6), qkv, sizes))


def test_what_a_new_beginning_has_left_behind_cannot_be_reached() -> None:
    store = make_store()
    row = store.open_row(10)
    attend(store, make_qkv(8), Segment(row, 0, 8))
    attend(store, make_qkv(2), Segment(row, 0, 2))
    with pytest.raises(InvariantError, match="within the 2 tokens"):
        attend(store, make_qkv(1), Segment(row, 5, 1))


def test_a_row_taken_back_goes_on_as_if_the_rest_had_never_been() -> None:
    store, qkv, other = make_store(), make_qkv(9), make_qkv(9, 5)
    row = store.open_row(9)
    attend(store, concat((qkv[0][:5], qkv[1][:5], qkv[2][:5]), (other[0][5:], other[1][5:], other[2][5:])),
           Segment(row, 0, 9))  # fmt: skip
    out = attend(store, (qkv[0][5:], qkv[1][5:], qkv[2][5:]), Segment(row, 5, 4))
    torch.testing.assert_close(out, expected(qkv)[5:], atol=1e-5, rtol=0)


def test_a_closed_row_is_gone_and_its_bytes_are_free() -> None:
    store = make_store()
    kept, closed = store.open_row(10), store.open_row(7)
    size = {"layers": LAYERS, "kv_heads": KV_HEADS, "head_dim": HEAD_DIM, "dtype": torch.float32}
    assert KVStore.row_bytes(capacity=7, **size) == 2 * LAYERS * KV_HEADS * HEAD_DIM * 4 * 7  # type: ignore[arg-type]
    assert store.used_bytes == KVStore.row_bytes(capacity=17, **size)  # type: ignore[arg-type]
    store.close_row(closed)
    assert store.used_bytes == KVStore.row_bytes(capacity=10, **size)  # type: ignore[arg-type]
    assert store.open_row(3) not in (kept, closed)
    with pytest.raises(InvariantError, match="not open"):
        store.close_row(closed)
    with pytest.raises(InvariantError, match="not open"):
        attend(store, make_qkv(1), Segment(closed, 0, 1))


def test_bytes_of_the_released_models() -> None:
    # 28 KiB and 56 KiB a token: research/vibevoice.md, section 2.
    for kv_heads, kib in ((2, 28), (4, 56)):
        got = KVStore.row_bytes(layers=28, kv_heads=kv_heads, head_dim=128, dtype=torch.bfloat16, capacity=1)
        assert got == kib * 1024


@pytest.mark.parametrize(
    "segments",
    [
        [(99, 0, 4)],  # no such row
        [(0, 3, 4)],  # past the capacity
        [(0, 0, 3), (0, 5, 1)],  # a hole
        [(0, 4, 4)],  # a hole behind the 3 tokens that are there
        [(0, -1, 4)],
        [(0, 0, 4), (0, 4, 0)],
        [(0, 0, 3)],  # too few tokens
        [(0, 0, 5)],  # too many
        [],
    ],
)
def test_a_wrong_batch_is_refused_and_writes_nothing(segments: list[tuple[int, int, int]]) -> None:
    store, qkv = make_store(), make_qkv(4)
    assert store.open_row(6) == 0
    other = store.open_row(6)
    attend(store, (qkv[0][:3], qkv[1][:3], qkv[2][:3]), Segment(0, 0, 3))
    attend(store, (qkv[0][:3], qkv[1][:3], qkv[2][:3]), Segment(other, 0, 3))
    zeros = concat(tuple(torch.zeros_like(part[:1]) for part in qkv), make_qkv(4))  # type: ignore[arg-type]
    with pytest.raises(InvariantError):
        # A good segment stands before the wrong one: it must not have been written either.
        attend(store, zeros if segments else make_qkv(4), *_segments(other, segments))
    for row in (0, other):
        out = attend(store, (qkv[0][3:], qkv[1][3:], qkv[2][3:]), Segment(row, 3, 1))
        torch.testing.assert_close(out, expected(qkv)[3:], atol=1e-5, rtol=0)


def _segments(good: int, wrong: list[tuple[int, int, int]]) -> list[Segment]:
    return [Segment(good, 2, 1), *(Segment(*each) for each in wrong)] if wrong else []


def test_a_row_needs_room() -> None:
    with pytest.raises(InvariantError, match="0 tokens"):
        make_store().open_row(0)


@pytest.mark.parametrize("tokens", [1, 5])
def test_keys_and_values_are_read_in_place(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No copy per query head: what the kernel gets is a view of the row."""
    store, qkv = make_store(), make_qkv(8 + tokens)
    seen: list[Tensor] = []
    row = store.open_row(20)
    attend(store, (qkv[0][:8], qkv[1][:8], qkv[2][:8]), Segment(row, 0, 8))
    kernel = F.scaled_dot_product_attention

    def spy(q: Tensor, k: Tensor, v: Tensor, **options: object) -> Tensor:
        seen.extend((k, v))
        return kernel(q, k, v, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    attend(store, (qkv[0][8:], qkv[1][8:], qkv[2][8:]), Segment(row, 8, tokens))
    assert {tensor.untyped_storage().nbytes() for tensor in seen} == {store.used_bytes}
    assert len({tensor.untyped_storage().data_ptr() for tensor in seen}) == 1


def test_bfloat16() -> None:
    store, qkv = make_store(torch.bfloat16), make_qkv(40)
    short: Qkv = tuple(part.bfloat16() for part in qkv)  # type: ignore[assignment]
    out = in_pieces(store, store.open_row(40), short, [30, 1, 1, 8])
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), expected(short), atol=0.03, rtol=0)


def test_a_row_opened_in_inference_mode_serves_outside_of_it() -> None:
    store, qkv = make_store(), make_qkv(4)
    with torch.inference_mode():
        row = store.open_row(4)
    torch.testing.assert_close(attend(store, qkv, Segment(row, 0, 4)), expected(qkv), atol=1e-5, rtol=0)


# Memory


def resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


def write(store: KVStore, row: int, tokens: int) -> None:
    for k_KCD, v_KCD in store._rows[row].layers:
        k_KCD[:, :tokens] = 1
        v_KCD[:, :tokens] = 1


BIG = 1 << 20  # positions: 2 layers × 2 heads × 8 numbers × 4 bytes × 2 = 256 B each


def test_a_row_takes_memory_as_it_is_written_and_gives_it_back() -> None:
    store = make_store()
    before = resident_bytes()
    row = store.open_row(BIG)
    assert store.used_bytes == 256 * BIG
    assert resident_bytes() - before < 8 << 20, "reserved, and nothing taken"
    write(store, row, BIG // 4)
    assert resident_bytes() - before == pytest.approx(256 * BIG // 4, rel=0.1)
    write(store, row, BIG)
    assert resident_bytes() - before == pytest.approx(256 * BIG, rel=0.1)
    store.close_row(row)
    assert resident_bytes() - before < 8 << 20


def test_rows_of_mixed_length_leave_nothing_behind() -> None:
    """From the heap of the C library a third of the budget stayed taken: rows below 32 MiB are not mapped there."""
    store, chance = make_store(), random.Random(0)
    budget, before, most = 256 << 20, resident_bytes(), 0
    rows: list[int] = []
    for _ in range(150):
        capacity = chance.choice((10_000, 40_000, 150_000, 500_000))
        while store.used_bytes + 256 * capacity > budget:
            store.close_row(rows.pop(chance.randrange(len(rows))))
        rows.append(store.open_row(capacity))
        write(store, rows[-1], capacity)
        most = max(most, resident_bytes() - before - store.used_bytes)
    assert most < 16 << 20, "beside what is reserved"
    for row in rows:
        store.close_row(row)
    assert resident_bytes() - before < 16 << 20


def test_the_host_without_room_says_so() -> None:
    with pytest.raises(MemoryError, match="keys and values"):
        make_store().open_row(1 << 50)


def test_on_cuda_no_attention_is_taken_that_is_built_anew_for_each_length(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(torch.backends.cuda, "enable_cudnn_sdp", asked.append)
    make_store()
    assert not asked, "the host has nothing to do with it"
    KVStore(layers=1, kv_heads=1, head_dim=8, dtype=torch.float32, device="cuda")
    assert asked == [False]

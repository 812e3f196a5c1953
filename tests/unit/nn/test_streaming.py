"""Shapes: B rows, T time, C channels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

from longtake.core.errors import InvariantError
from longtake.nn.affine import Packable, pack_all
from longtake.nn.streaming import (
    Streaming,
    StreamingChain,
    StreamingConv1d,
    StreamingConvTranspose1d,
    StreamState,
    nest,
)

torch.set_num_threads(1)
CHANNELS = 6
LAYERS = {
    "plain": (CHANNELS, 5, 7),
    "strided": (CHANNELS, 4, 8, 4),
    "dilated": (CHANNELS, 4, 3, 1, 5),
    "strided and dilated": (CHANNELS, 4, 3, 2, 3),
    "depthwise": (CHANNELS, CHANNELS, 7, 1, 1, CHANNELS),
    "depthwise, dilated": (CHANNELS, CHANNELS, 3, 1, 2, CHANNELS),
    "no past": (CHANNELS, 3, 4, 4),
    "one place": (CHANNELS, 3, 1),
}


def assert_close(ours: torch.Tensor, expected: torch.Tensor, atol: float = 1e-5, rtol: float = 1e-5) -> None:
    torch.testing.assert_close(ours, expected, atol=atol, rtol=rtol)


def filled(layer: Streaming, seed: int = 0) -> Streaming:
    generator = torch.Generator().manual_seed(seed)
    for weight in layer.parameters():
        weight.data.normal_(0, 0.3, generator=generator)
    return layer


def conv(name: str) -> StreamingConv1d:
    layer = filled(StreamingConv1d(*LAYERS[name]))
    assert isinstance(layer, StreamingConv1d)
    return layer


def mixed() -> Streaming:
    """Down by 4, depthwise, up by 3: one state with parts of three kinds."""
    depthwise = nest("deep.er", StreamingConv1d(4, 4, 7, groups=4))
    layers = {"a": StreamingConv1d(CHANNELS, 4, 8, 4), "b": depthwise, "c": StreamingConvTranspose1d(4, 5, 3)}
    return filled(StreamingChain(layers))


def pieces(batch: int, length: int, seed: int = 1, channels: int = CHANNELS) -> torch.Tensor:
    return torch.randn(batch, length, channels, generator=torch.Generator().manual_seed(seed))


def fresh(layer: Streaming, slots: int = 1) -> StreamState:
    return layer.init_state(slots, torch.float32)


def at_once(layer: Streaming, x: torch.Tensor) -> torch.Tensor:
    return layer.step(x, fresh(layer, x.shape[0]))


def expected(layer: StreamingConv1d, x: torch.Tensor) -> torch.Tensor:
    padded = F.pad(x.transpose(1, 2), (layer.past, 0))
    groups = layer.channels if layer.is_depthwise else 1
    y = F.conv1d(padded, layer.weight, layer.bias, layer.stride, dilation=layer.dilation, groups=groups)
    return y.transpose(1, 2).detach()


@pytest.mark.parametrize("name", LAYERS)
def test_a_convolution_is_the_causal_one(name: str) -> None:
    layer = conv(name)
    x = pieces(2, 24)
    assert_close(at_once(layer, x), expected(layer, x))


@pytest.mark.parametrize("stride", [1, 2, 5, 8])
def test_a_transposed_convolution_is_the_causal_one(stride: int) -> None:
    layer = filled(StreamingConvTranspose1d(CHANNELS, 5, stride))
    x = pieces(2, 9)
    weight, bias = (p.detach() for p in layer.parameters())
    whole = F.conv_transpose1d(x.transpose(1, 2), weight, bias, stride)[..., : 9 * stride]
    assert_close(at_once(layer, x), whole.transpose(1, 2))


@pytest.mark.parametrize("name", ["strided", "strided and dilated", "no past"])
@pytest.mark.parametrize("length", [1, 3, 13, 16])
def test_the_last_piece_is_padded_with_zeros_to_the_stride(name: str, length: int) -> None:
    layer = conv(name)
    x = pieces(1, length)
    padded = F.pad(x, (0, 0, 0, -length % layer.stride))
    assert_close(layer.step(x, fresh(layer), last=True), expected(layer, padded))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.sampled_from([*LAYERS, "mixed"]))
@settings(deadline=None, max_examples=60)
def test_however_a_stream_is_cut_the_output_is_the_same(lengths: list[int], name: str) -> None:
    layer = mixed() if name == "mixed" else conv(name)
    lengths = [4 * length for length in lengths]
    x = pieces(2, sum(lengths))
    state = fresh(layer, 2)
    streamed = torch.cat([layer.step(piece, state) for piece in torch.split(x, lengths, 1)], 1)
    assert_close(streamed, at_once(layer, x))


def test_new_input_never_changes_earlier_output() -> None:
    layer = mixed()
    x = pieces(1, 40)
    before = at_once(layer, x)
    for place in range(0, 40, 4):
        later = x.clone()
        later[:, place:] = 9.0
        after = at_once(layer, later)
        done = place // 4 * 3
        assert_close(after[:, :done], before[:, :done])
        assert not torch.allclose(after[:, done : done + 3], before[:, done : done + 3]), "and it is used at once"


def test_a_step_of_some_rows_leaves_the_others_bit_for_bit() -> None:
    layer = mixed()
    state = fresh(layer, 5)
    layer.step(pieces(5, 12), state)
    before = state.numbers_SN.clone()
    layer.step(pieces(2, 8, seed=2), state, torch.tensor([3, 1]))
    assert torch.equal(state.numbers_SN[[0, 2, 4]], before[[0, 2, 4]])
    assert (state.numbers_SN[[1, 3]] != before[[1, 3]]).any(1).all()


def test_rows_go_to_their_own_slots_and_batched_is_as_alone() -> None:
    layer = mixed()
    state = fresh(layer, 5)
    first, second = pieces(5, 12), pieces(3, 8, seed=2)
    rows = torch.tensor([4, 0, 2])
    layer.step(first, state)
    together = layer.step(second, state, rows)
    for place, row in enumerate(rows.tolist()):
        alone = fresh(layer)
        layer.step(first[row : row + 1], alone)
        assert_close(layer.step(second[place : place + 1], alone)[0], together[place])
        assert_close(alone.numbers_SN[0], state.numbers_SN[row])


def test_all_rows_in_place_are_as_all_rows_by_number() -> None:
    layer = mixed()
    states = fresh(layer, 3), fresh(layer, 3)
    for seed in range(3):
        x = pieces(3, 8, seed)
        in_place = layer.step(x, states[0])
        assert_close(layer.step(x, states[1], torch.arange(3)), in_place)
    assert_close(states[0].numbers_SN, states[1].numbers_SN)


def test_a_slot_that_was_reset_is_fresh_and_the_others_go_on() -> None:
    layer = mixed()
    state = fresh(layer, 3)
    layer.step(pieces(3, 12), state)
    before = state.numbers_SN.clone()
    state.reset(torch.tensor([1]))
    assert torch.equal(state.numbers_SN[[0, 2]], before[[0, 2]])
    x = pieces(1, 8, seed=2)
    assert torch.equal(layer.step(x, state, torch.tensor([1])), at_once(layer, x))
    state.reset()
    assert not state.numbers_SN.any()


def test_a_saved_slot_goes_on_elsewhere_bit_for_bit() -> None:
    layer = mixed()
    state, other = fresh(layer, 3), fresh(layer, 4)
    layer.step(pieces(3, 12), state)
    saved = state.copy_out(2)
    layer.step(pieces(4, 4, seed=5), other)
    bystanders = other.numbers_SN[1:].clone()
    other.copy_in(0, saved)
    assert torch.equal(other.numbers_SN[1:], bystanders)
    x = pieces(1, 8, seed=2)
    expected_next = layer.step(x, state, torch.tensor([2]))
    assert torch.equal(layer.step(x, other, torch.tensor([0])), expected_next)
    assert not torch.equal(saved, state.copy_out(2)), "what was saved is a copy, not a view"


@pytest.mark.parametrize("change", [lambda s: s[:-1], lambda s: s.double(), lambda s: s[None]])
def test_what_another_model_saved_is_refused(change) -> None:  # type: ignore[no-untyped-def]
    state = fresh(mixed(), 2)
    with pytest.raises(InvariantError, match="does not fit"):
        state.copy_in(0, change(state.copy_out(1)))


def test_a_state_counts_its_bytes() -> None:
    state = mixed().init_state(3, torch.bfloat16)
    per_slot = 4 * CHANNELS + 6 * 4 + 3 * 5
    assert (state.slots, state.bytes) == (3, 3 * per_slot * 2)
    assert [tuple(part.shape) for part in state.parts] == [(3, 4, CHANNELS), (3, 6, 4), (3, 3, 5)]


@pytest.mark.parametrize(
    ("x", "rows"),
    [
        (pieces(2, 4), None),
        (pieces(2, 4), torch.tensor([0])),
        (pieces(3, 4).double(), None),
        (pieces(3, 0), None),
        (pieces(3, 6), None),
    ],
    ids=["too few for all", "more than rows", "dtype", "empty", "not a multiple of the stride"],
)
def test_what_does_not_fit_is_refused(x: torch.Tensor, rows: torch.Tensor | None) -> None:
    layer = mixed()
    with pytest.raises(InvariantError):
        layer.step(x, fresh(layer, 3), rows)


def test_a_state_of_a_longer_module_is_refused() -> None:
    with pytest.raises(InvariantError, match="no layer took"):
        conv("strided").step(pieces(1, 4), fresh(mixed()))


@pytest.mark.parametrize("sizes", [(4, 4, 2, 4), (4, 4, 3, 1, 1, 2), (4, 8, 3, 1, 1, 4)])
def test_a_convolution_that_it_cannot_be_is_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(InvariantError, match="No such convolution"):
        StreamingConv1d(*sizes)


def test_frames_are_not_tied_into_one_graph() -> None:
    layer = mixed()
    state = fresh(layer)
    assert not layer.step(pieces(1, 8), state).requires_grad
    assert not state.numbers_SN.requires_grad


def _weights(layer: Streaming) -> Iterator[torch.Tensor]:
    yield from (weight.detach() for weight in layer.parameters() if weight.dim() == 3)


@pytest.mark.parametrize("assign", [False, True])
def test_weights_keep_their_order_in_memory_through_loading_and_moving(assign: bool) -> None:
    layer, source = mixed(), mixed()
    order = [weight.stride() for weight in _weights(layer)]
    assert not any(weight.is_contiguous() for weight in _weights(layer) if weight.shape[1] > 1)
    plain = {name: weight.contiguous() for name, weight in source.state_dict().items()}
    layer.load_state_dict(plain, assign=assign)
    assert [weight.stride() for weight in _weights(layer)] == order
    layer.to(torch.bfloat16).to(torch.float32)
    assert [weight.stride() for weight in _weights(layer)] == order
    layer.to_empty(device="meta")
    assert [weight.stride() for weight in _weights(layer)] == order


def test_weights_in_another_order_give_the_same() -> None:
    layer = mixed()
    x = pieces(1, 8)
    before = at_once(layer, x)
    for weight in layer.parameters():
        weight.data = weight.data.contiguous()
    assert_close(at_once(layer, x), before)


def test_a_nested_layer_is_named_by_its_path() -> None:
    names = [name for name, _ in mixed().named_parameters()]
    assert names == ["a.weight", "a.bias", "b.deep.er.weight", "b.deep.er.bias", "c.weight", "c.bias"]


def test_a_chain_takes_streaming_layers_only() -> None:
    with pytest.raises(InvariantError, match="Linear is not a streaming layer"):
        StreamingChain({"a": torch.nn.Linear(1, 1)})


def test_packed_layers_are_as_before() -> None:
    for layer in [mixed(), *(conv(name) for name in LAYERS)]:
        x, expected_y = pieces(2, 24), at_once(layer, pieces(2, 24))
        pack_all(layer)
        assert_close(at_once(layer, x), expected_y)
        state = fresh(layer, 2)
        assert_close(torch.cat([layer.step(piece, state) for piece in torch.split(x, 8, 1)], 1), expected_y)


def test_what_is_packed_is_not_there_twice() -> None:
    layer = mixed()
    before = sum(weight.nbytes for weight in layer.parameters())
    pack_all(layer)
    held = sum(part.packed_bytes for part in layer.modules() if isinstance(part, Packable))
    taps = 4 * 7 * 4  # of the depthwise one, in another order
    assert sum(weight.nbytes for weight in layer.parameters()) + held == before + taps


@pytest.mark.parametrize(("channels", "time"), [(6, 24), (32, 1), (32, 24), (64, 2000)])
def test_a_scaled_sum_is_made_of_its_parts(channels: int, time: int) -> None:
    """One product per tap for few numbers, a convolution for many or narrow ones."""
    layer = filled(StreamingConv1d(channels, channels, 7, groups=channels))
    assert isinstance(layer, StreamingConv1d)
    state, other = fresh(layer, 2), fresh(layer, 2)
    pack_all(layer)
    for seed in range(3):
        x, scale = pieces(2, time, seed, channels), pieces(2, time, seed + 9, 1)
        expected_y = x + layer.step(x * scale, state)
        with torch.no_grad():
            ours = layer.add_scaled(x, scale, iter(other.parts))
        assert_close(ours, expected_y)
    assert_close(other.numbers_SN, state.numbers_SN)


def test_neighbours_are_stepped_where_they_lie() -> None:
    layer = mixed()
    states = fresh(layer, 5), fresh(layer, 5)
    for seed, (first, end) in enumerate([(1, 3), (0, 5), (1, 3), (4, 5)]):
        x = pieces(end - first, 8, seed)
        ours = layer.step(x, states[0], slice(first, end))
        assert_close(layer.step(x, states[1], torch.arange(first, end)), ours)
        assert_close(states[0].numbers_SN, states[1].numbers_SN)
    states[0].reset(slice(1, 3))
    assert not states[0].numbers_SN[1:3].any()
    assert states[0].numbers_SN[[0, 3, 4]].any(1).all()


def test_views_of_neighbours_are_kept_and_not_without_end() -> None:
    state = fresh(mixed(), 80)
    assert state.view(slice(0, 2)) is state.view(slice(0, 2))
    for first in range(79):
        state.view(slice(first, first + 1))
    assert len(state._views) <= 64


def test_a_slice_of_another_size_is_refused() -> None:
    layer = mixed()
    with pytest.raises(InvariantError):
        layer.step(pieces(2, 4), fresh(layer, 3), slice(0, 3))

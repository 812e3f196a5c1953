"""Packed or not, fused or not, with oneDNN or without: the same numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from longtake.nn import affine as module
from longtake.nn.affine import Affine, affine, affine_plus, can_pack, pack_all, packed

torch.set_num_threads(1)
DTYPES = [torch.float32, torch.bfloat16]


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer(channels: int, out: int, *, bias: bool = True, is_narrow: bool = False) -> Affine:
    made = Affine(channels, out, bias=bias, is_narrow=is_narrow).requires_grad_(False)
    made.weight.copy_(numbers(out, channels, seed=1) / channels**0.5)
    if bias:
        made.bias.copy_(numbers(out, seed=2))
    return made


def assert_near(ours: Tensor, expected: Tensor, dtype: torch.dtype = torch.float32) -> None:
    assert ours.dtype == dtype
    atol, rtol = (1e-5, 1e-5) if dtype == torch.float32 else (0.05, 0.02)
    torch.testing.assert_close(ours.float(), expected, atol=atol, rtol=rtol)


@pytest.mark.parametrize("has_onednn", [True, False])
def test_a_product_is_linear(has_onednn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_onednn:
        monkeypatch.setattr(module, "_ONEDNN", {})
    weight, bias = numbers(5, 6, seed=1), torch.arange(5.0)
    for x in (numbers(3, 7, 6), numbers(1, 1, 6), numbers(4, 9, 6)[:, 2:7], numbers(3, 7, 6).transpose(0, 1)):
        expected = F.linear(x, weight, bias)
        assert_near(affine(x, weight, bias), expected)
        assert_near(affine(x, weight, bias, is_gelu=True), F.gelu(expected))
        other = numbers(*expected.shape, seed=3)
        assert_near(affine_plus(other, x, weight, bias), other + expected)
        assert_near(affine(x.bfloat16(), weight.bfloat16(), bias.bfloat16()), expected, torch.bfloat16)


@pytest.mark.parametrize("rows", [1, 2, 3, 16, 100])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_packed_weight_gives_the_same_for_any_number_of_rows(dtype: torch.dtype, rows: int) -> None:
    made, x, other = layer(48, 80), numbers(rows, 48), numbers(rows, 80, seed=3)
    exact = made(x), made.gelu(x), made.add_to(other, x)
    made.to(dtype)
    if not can_pack(made.weight):
        pytest.skip("this processor does not compute in it")
    made.pack()
    x, other = x.to(dtype), other.to(dtype)
    for ours, expected in zip((made(x), made.gelu(x), made.add_to(other, x)), exact, strict=True):
        assert_near(ours, expected, dtype)


def test_what_is_packed_has_no_weight_beside_it_and_counts_its_bytes() -> None:
    made = layer(48, 80)
    made.pack()
    assert made.weight is None
    assert [name for name, _ in made.named_parameters()] == ["bias"]
    assert made.packed_bytes == 48 * 80 * 4
    x = numbers(2, 48)
    before = made(x)
    made.pack()
    assert torch.equal(made(x), before), "a second call does nothing"


def test_packing_never_writes_to_what_it_was_made_of() -> None:
    weight = numbers(64, 64)
    kept, blocks = weight.clone(), packed(weight)
    before = affine(numbers(3, 64), blocks, None)
    assert torch.equal(weight, kept)
    weight.zero_()
    assert torch.equal(affine(numbers(3, 64), blocks, None), before)


def test_a_small_weight_of_few_rows_is_left_alone() -> None:
    small, large, wide = (
        layer(256, 256, is_narrow=True),
        layer(1024, 256, is_narrow=True),
        layer(256, 256),
    )
    for made in (small, large, wide):
        made.pack()
    assert small.weight is not None
    assert large.weight is None
    assert wide.weight is None


def test_what_cannot_be_packed_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    half = layer(48, 80).half()
    half.pack()
    assert half.weight is not None
    with torch.device("meta"):
        ghost = Affine(48, 80)
    ghost.pack()
    assert ghost.weight is not None
    monkeypatch.setattr(module, "_ONEDNN", {})
    plain = layer(48, 80)
    plain.pack()
    assert plain.weight is not None


def test_all_within_are_packed() -> None:
    net = nn.Sequential(layer(48, 80), nn.Sequential(layer(80, 16)))
    x = numbers(4, 48)
    before = net(x)
    pack_all(net)
    assert not [name for name, _ in net.named_parameters() if name.endswith("weight")]
    assert_near(net(x), before)


def test_an_operator_that_does_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is private: another version of torch may do with it what it likes."""
    assert module._does_onednn_work(torch.float32)
    monkeypatch.setattr(module, "packed", lambda weight: weight + 1)
    assert not module._does_onednn_work(torch.float32)


def test_it_may_be_packed_in_inference_mode_and_used_outside() -> None:
    made = layer(48, 80)
    x = numbers(2, 48)
    before = made(x)
    with torch.inference_mode():
        made.pack()
    assert_near(made(x), before)

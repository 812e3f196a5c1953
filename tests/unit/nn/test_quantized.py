"""The same product by kernels and by blocks, and as near to the matrix as its scheme allows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from longtake.core.errors import InputError, InvariantError
from longtake.nn import quantized as module
from longtake.nn.quantized import QuantizedAffine, dequantize, quantize
from longtake.nn.scheme import INT4, INT8, SCHEMES, Scheme

torch.set_num_threads(1)
BOTH = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=str)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer(channels: int, out: int, scheme: Scheme, *, bias: bool = False) -> QuantizedAffine:
    given_bias = torch.nn.Parameter(numbers(out, seed=2), requires_grad=False) if bias else None
    made = QuantizedAffine(channels, out, scheme, bias=given_bias)
    made.quantize_from(numbers(out, channels, seed=1) / channels**0.5)
    return made


def steps(weight_DC: Tensor, scheme: Scheme) -> Tensor:
    """What one level of the scheme is worth in each row or group, as wide as the matrix."""
    if scheme == INT8:
        return (weight_DC.abs().amax(1, keepdim=True) / 127).expand_as(weight_DC)
    group = scheme.group_of(weight_DC.shape[1])
    low, high = weight_DC.view(len(weight_DC), -1, group).aminmax(dim=-1, keepdim=True)
    return ((high - low) / 15).expand(-1, -1, group).reshape(weight_DC.shape)


@BOTH
@given(st.integers(1, 5), st.sampled_from([32, 64, 96, 160]), st.floats(1e-6, 1e4), st.integers(0, 99))
def test_no_number_is_off_by_more_than_half_a_level(
    scheme: Scheme, rows: int, columns: int, scale: float, seed: int
) -> None:
    weight_DC = numbers(rows, columns, seed=seed) * scale
    error = (dequantize(*quantize(weight_DC, scheme), scheme) - weight_DC).abs()
    # Scales are rounded up to bfloat16 (1/128), and of int4 the zero, too.
    allowed = 0.51 * steps(weight_DC, scheme) + (weight_DC.abs().amax() / 256 if scheme == INT4 else 0)
    assert bool((error <= allowed).all())


@BOTH
def test_what_is_stored_has_the_shape_and_the_bytes_that_the_scheme_says(scheme: Scheme) -> None:
    for rows, columns in ((7, 64), (128, 160), (3, 32)):
        weight, scale = quantize(numbers(rows, columns), scheme)
        assert (weight.shape, scale.shape) == (scheme.weight_shape(rows, columns), scheme.scale_shape(rows, columns))
        assert weight.nbytes + scale.nbytes == scheme.bytes(rows, columns)
    assert INT8.bytes(1536, 8960) == 1536 * 8960 + 2 * 1536
    assert INT4.bytes(1536, 8960) * 8 == 4.5 * 1536 * 8960


@BOTH
def test_rows_of_zeros_are_zeros_and_rows_that_are_no_numbers_stay_so(scheme: Scheme) -> None:
    weight_DC = numbers(4, 64)
    weight_DC[1] = 0
    weight_DC[2, 5], weight_DC[3, 6] = float("nan"), float("-inf")
    weight, scale = quantize(weight_DC, scheme)
    assert torch.equal(dequantize(weight, scale, scheme)[1], torch.zeros(64))
    assert scale.flatten(1).isfinite().all(1).tolist() == [True, True, False, False] if scheme == INT4 else [True] * 4
    assert [bool(row.isfinite().all()) for row in scale] == [True, True, False, False]


@BOTH
def test_rows_cut_apart_are_quantized_as_together(scheme: Scheme) -> None:
    weight_DC = numbers(10, 64)
    together, scale = quantize(weight_DC, scheme)
    parts = [quantize(part, scheme) for part in torch.split(weight_DC, [3, 7])]
    assert torch.equal(torch.cat([weight for weight, _ in parts]), together)
    assert torch.equal(torch.cat([each for _, each in parts]), scale)


def test_columns_that_no_group_divides_are_refused() -> None:
    assert [INT4.group_of(columns) for columns in (128, 160)] == [64, 32]
    with pytest.raises(InputError, match="multiple of 32") as refused:
        quantize(numbers(2, 48), INT4)
    assert refused.value.code == "cannot_quantize"
    with pytest.raises(InvariantError, match=r"\(5, 64\)"):
        layer(64, 4, INT8).quantize_from(numbers(5, 64))


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("channels", "out"), [(64, 128), (160, 64), (64, 320), (96, 70), (1536, 192)])
def test_packed_or_not_the_product_is_that_with_the_dequantized_matrix(
    scheme: Scheme, dtype: torch.dtype, channels: int, out: int
) -> None:
    made = layer(channels, out, scheme, bias=True)
    weight = made.rows(0, out)
    assert made.bias is not None
    made.bias.data = made.bias.to(dtype)
    for is_packed in (False, True):
        if is_packed:
            made.pack()
            made.pack()
        for rows in (1, 2, 5, 32, 33, 140):
            x = numbers(rows, channels, seed=rows).to(dtype)
            ours = made(x[None])
            assert (ours.dtype, ours.shape) == (dtype, (1, rows, out))
            atol = 1e-4 if dtype == torch.float32 and not is_packed else 0.02
            torch.testing.assert_close(
                ours[0].float(), F.linear(x.float(), weight, made.bias.float()), atol=atol, rtol=atol
            )


@BOTH
def test_here_are_kernels(scheme: Scheme) -> None:
    """On the processors on which this is tested. Elsewhere they are tried, and blocks take their place."""
    made = layer(64, 128, scheme)
    made.pack()
    assert made._most_rows == module._FEW[scheme.name]


@BOTH
def test_without_a_kernel_packing_changes_nothing(scheme: Scheme, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_has_int8_kernel", lambda kind: False)
    monkeypatch.setattr(module, "_tile_rows", lambda: 0)
    made, x = layer(64, 128, scheme), numbers(3, 64)
    before = made(x)
    made.pack()
    assert torch.equal(made(x), before)


def test_a_kernel_that_gives_other_numbers_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    aten = torch.ops.aten
    for probe in (module._has_int8_kernel, module._tile_rows):
        probe.cache_clear()
    try:
        monkeypatch.setattr(aten, "_weight_int8pack_mm", lambda x, w, s: torch.zeros(len(x), len(w)))
        monkeypatch.setattr(aten, "_weight_int4pack_mm_for_cpu", lambda x, w, g, s: torch.zeros(len(x), len(w)))
        assert not module._has_int8_kernel("cpu")
        assert not module._tile_rows()
    finally:
        for probe in (module._has_int8_kernel, module._tile_rows):
            probe.cache_clear()


@BOTH
def test_rows_do_not_know_each_other(scheme: Scheme) -> None:
    made = layer(1536, 192, scheme)
    made.pack()
    x = numbers(32, 1536)
    together = made(x)
    for rows in (1, 2, 16):
        assert torch.equal(made(x[:rows]), together[:rows])


@BOTH
def test_packing_takes_no_more_memory(scheme: Scheme) -> None:
    made = layer(160, 128, scheme)
    expected = scheme.bytes(128, 160)
    for _ in range(2):
        assert sum(each.nbytes for each in made.parameters()) + made.packed_bytes == expected
        made.pack()


@pytest.mark.parametrize(("kind", "rows"), [("cpu", 32), ("cuda", 4)])
def test_where_the_int8_kernel_reads_the_matrix_for_each_row_it_gets_fewer(
    monkeypatch: pytest.MonkeyPatch, kind: str, rows: int
) -> None:
    monkeypatch.setattr(module, "_has_int8_kernel", lambda asked: asked == kind)
    made = layer(64, 64, INT8)
    del made.weight
    made.weight = SimpleNamespace(device=torch.device(kind))  # type: ignore[assignment]
    made.pack()
    assert made._most_rows == rows

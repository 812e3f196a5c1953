"""Quantized models: which matrices, from which numbers, how many bytes; and that they speak as any other does."""

from __future__ import annotations

import functools
import shutil
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from longtake.core.errors import InputError
from longtake.engines.base import Loads
from longtake.engines.vibevoice.about import INFO, VibeVoiceAbout
from longtake.engines.vibevoice.load import load_engine
from longtake.engines.vibevoice.network.model import VibeVoiceModel, allocate, build_meta
from longtake.engines.vibevoice.network.quantization import Quantization, read_config, read_dtype
from longtake.engines.vibevoice.planning.footprint import DECODER, SIZES, kv_bytes, weights
from longtake.engines.vibevoice.trace import read_trace
from longtake.engines.vibevoice.weights.checkpoint import load_model
from longtake.engines.vibevoice.weights.lora import merge_lora
from longtake.engines.vibevoice.weights.random_model import build_random
from longtake.engines.vibevoice.weights.shapes import CONFIGS
from longtake.nn.affine import pack_all
from longtake.nn.quantized import QuantizedAffine, dequantize, quantize
from longtake.nn.scheme import INT4, INT8
from tests.support import golden
from tests.support.checkpoints import TOKENIZER, write_checkpoint
from tests.unit.engines.vibevoice.conftest import Bench, Said, ask, build_bench
from tests.unit.engines.vibevoice.test_footprint import held_by
from tests.unit.engines.vibevoice.test_lora import tensors_of
from tests.unit.engines.vibevoice.test_lora import write as write_adapter

KINDS = [Quantization(scheme, has_head) for scheme in (INT8, INT4) for has_head in (False, True)]
EACH = pytest.mark.parametrize("kind", KINDS, ids=str)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_checkpoint(tmp_path_factory.mktemp("toy") / "model")
    shutil.copy(TOKENIZER, folder)
    return folder


def load(folder: Path, kind: Quantization | None, **more: Any) -> VibeVoiceModel:
    return load_model(folder, dtype=torch.float32, device="cpu", quantization=kind, **more)


@pytest.mark.parametrize(
    ("asked", "kind", "rest"),
    [
        ("auto", None, "auto"),
        ("fp16", None, "fp16"),
        ("int8", KINDS[0], "auto"),
        ("int4+head", KINDS[3], "auto"),
        ("int8+bf16", KINDS[0], "bf16"),
        ("int8+head+fp32", KINDS[1], "fp32"),
    ],
)
def test_what_is_asked_for_is_understood(asked: str, kind: Quantization | None, rest: str) -> None:
    assert read_dtype(asked) == (kind, rest)
    assert kind is None or read_dtype(str(kind)) == (kind, "auto")


@pytest.mark.parametrize("asked", ["", "int9", "bf16+int8", "int8+", "int8+bf16+head", "int8+bf16+fp32", "fp32+head"])
def test_what_cannot_be_understood_is_told(asked: str) -> None:
    with pytest.raises(InputError, match=r"int8\+head\+bf16") as refused:
        read_dtype(asked)
    assert (refused.value.code, refused.value.param) == ("unknown_dtype", "dtype")


@EACH
def test_what_is_written_down_is_read_again(kind: Quantization) -> None:
    assert read_config(kind.to_config()) == kind
    for change in ({"quant_method": "gptq"}, {"group_size": 16}, {"scheme": "int3"}, {"head": "yes"}, {"more": 1}):
        assert read_config(kind.to_config() | change) is None


@EACH
@pytest.mark.parametrize("dtype", SIZES)
@pytest.mark.parametrize("size", CONFIGS)
def test_every_part_is_as_large_as_planned(size: str, dtype: str, kind: Quantization) -> None:
    config = replace(CONFIGS[size], quantization=kind)
    model = build_meta(config)
    types = {"fp32": (torch.float32, None), "fp16": (torch.float16, torch.float32), "bf16": (torch.bfloat16, None)}
    allocate(model, dtype=types[dtype][0], device="meta", codec_dtype=types[dtype][1])
    assert weights(config, SIZES[dtype]) == held_by(model)


@EACH
def test_a_model_that_is_really_built_takes_what_is_planned_packed_or_not(kind: Quantization) -> None:
    model = build_random("small", dtype=torch.bfloat16, device="cpu", quantization=kind)
    planned = weights(replace(CONFIGS["small"], quantization=kind), SIZES["bf16"])
    assert held_by(model) == planned
    pack_all(model)
    assert held_by(model)[DECODER] == planned[DECODER]


@EACH
def test_only_what_may_be_is_quantized_and_of_the_numbers_in_the_file(kind: Quantization, toy: Path) -> None:
    """The fused matrices row by row: each of them as it would be alone."""
    model, exact = load(toy, kind), load(toy, None)
    numbers = exact.state_dict()
    quantized = {name for name, part in model.named_modules() if isinstance(part, QuantizedAffine)}
    assert len(quantized) == 3 * 4 + (4 * 2 if kind.has_head else 0)
    file = golden.toy_weights()
    for name, tensor in model.state_dict().items():
        module, _, last = name.rpartition(".")
        if module not in quantized or last == "bias":
            assert torch.equal(tensor, numbers[name]), name
    attention = model.language_model.get_submodule("layers.1.self_attn.qkv_proj")
    assert isinstance(attention, QuantizedAffine)
    for part, first, last_row in (("q", 0, 64), ("k", 64, 96), ("v", 96, 128)):
        alone = quantize(file[f"model.language_model.layers.1.self_attn.{part}_proj.weight"], kind.scheme)
        rows = slice(first, last_row)
        assert torch.equal(attention.weight[rows], alone[0])
        assert torch.equal(attention.weight_scale[rows], alone[1])


def test_an_adapter_is_merged_before(toy: Path, tmp_path: Path) -> None:
    shape = {"layers.1.self_attn.k_proj": (32, 64), "layers.0.mlp.down_proj": (64, 160)}
    adapter = write_adapter(tmp_path, tensors_of(shape))
    exact = load(toy, None)
    merge_lora(exact, adapter)
    engine = load_engine(INFO, voices=tmp_path, model=str(toy), device="cpu", dtype="int8+fp32", adapter=str(adapter))
    for name in ("layers.1.self_attn.qkv_proj", "layers.0.mlp.down_proj"):
        matrix = exact.language_model.get_submodule(name).weight
        ours = engine.model.language_model.get_submodule(name)
        assert isinstance(matrix, torch.Tensor)
        assert torch.equal(ours.weight, quantize(matrix, INT8)[0])  # type: ignore[arg-type]


def test_no_more_than_one_matrix_is_there_in_full(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[weakref.ref[torch.Tensor]] = []
    original = QuantizedAffine.quantize_from

    def watched(self: QuantizedAffine, weight_DC: torch.Tensor) -> None:
        assert all(each() is None for each in seen)
        seen.append(weakref.ref(weight_DC))
        original(self, weight_DC)

    monkeypatch.setattr(QuantizedAffine, "quantize_from", watched)
    load(toy, KINDS[1])
    assert len(seen) == 20


def test_a_weight_that_is_no_number_is_told_though_it_is_quantized(tmp_path: Path) -> None:
    tensors = dict(golden.toy_weights())
    name = "model.language_model.layers.1.mlp.up_proj.weight"
    tensors[name] = tensors[name].clone()
    tensors[name][5, 7] = float("nan")
    folder = write_checkpoint(tmp_path / "model", tensors)
    shutil.copy(TOKENIZER, folder)
    for dtype in ("int8", "int4"):
        with pytest.raises(InputError, match=r"layers\.1\.mlp\.gate_up_proj\.weight_scale") as refused:
            load_engine(INFO, voices=tmp_path, model=str(folder), device="cpu", dtype=dtype)
        assert refused.value.code == "bad_checkpoint"


def test_each_way_to_quantize_is_another_model(toy: Path, tmp_path: Path) -> None:
    for model in ("random:tiny", str(toy)):
        prints = {
            load_engine(INFO, voices=tmp_path, model=model, device="cpu", dtype=dtype)._weights.fingerprint
            for dtype in ("fp32", "bf16", "int8", "int8+bf16", "int8+head", "int4")
        }
        assert len(prints) == 4, "the type of all else is not in it"


@functools.cache
def packed(kind: Quantization | None) -> VibeVoiceModel:
    torch.set_num_threads(1)
    model = build_random("tiny", dtype=torch.float32, device="cpu", quantization=kind)
    pack_all(model)
    return model


@pytest.fixture(params=[*((kind, False) for kind in KINDS), (None, True), (KINDS[0], True)], ids=str)
def quantized_bench(request: pytest.FixtureRequest) -> Bench:
    """Matrices quantized, keys and values, or both."""
    kind, has_int8_kv = request.param
    return build_bench(packed(kind), has_int8_kv=has_int8_kv)


def relative(ours: Said, theirs: Said) -> float:
    """Of what was spoken: mean difference of latents and features by their mean size."""
    a, b = (read_trace(said.trace).features_F192 for said in (ours, theirs))
    assert a.shape == b.shape
    return float(np.abs(a - b).mean() / np.abs(b).mean())


def test_it_speaks_about_the_same(quantized_bench: Bench, bench: Bench) -> None:
    request = ask(expected_s=3.0)
    (exact,), (said,) = bench.speak(request), quantized_bench.speak(request)
    error = relative(said, exact)
    assert 1e-4 < error < 0.5, error
    assert said.pcm.std() / exact.pcm.std() == pytest.approx(1.0, abs=0.15)


def test_nobody_notices_who_shares_the_batch(quantized_bench: Bench) -> None:
    """Up to the rounding of activations to bfloat16: a last bit of float32 that differs may turn one there."""
    requests = [ask(f"{n}", speakers=1 + n % 3, expected_s=0.8 + 0.3 * n, seed=n) for n in range(INFO.max_active)]
    alone = [quantized_bench.speak(request)[0] for request in requests]
    for ours, theirs in zip(quantized_bench.speak(*requests), alone, strict=True):
        assert relative(ours, theirs) < 5e-3


@pytest.mark.parametrize("cut", [1, 5, 11])
def test_resumed_is_uninterrupted(quantized_bench: Bench, cut: int) -> None:
    """Up to the rounding of the kernels: what was spoken a row at a time is read again many rows at a time."""
    request = ask(expected_s=2.0)
    (whole,) = quantized_bench.speak(request)
    said = {"r": Said()}
    quantized_bench.engine.start(request)
    for _ in range(cut):
        quantized_bench.beat(said)
    trace = quantized_bench.engine.trace("r")
    quantized_bench.engine.stop("r")
    (rest,) = quantized_bench.speak(replace(request, trace=trace))
    assert relative(Said(trace=trace + rest.trace), whole) < 0.02


def test_a_request_reserves_what_its_keys_and_values_take(quantized_bench: Bench) -> None:
    request = ask(expected_s=2.0)
    cost = quantized_bench.engine.cost(request).used_bytes
    quantized_bench.engine.start(request)
    assert quantized_bench.runner.kv.used_bytes == cost
    quantized_bench.engine.stop(request.id)
    assert quantized_bench.is_empty()


def test_keys_and_values_in_8_bits_are_asked_for_and_planned(tmp_path: Path) -> None:
    engine = load_engine(INFO, voices=tmp_path, model="random:tiny", device="cpu", dtype="fp32", kv_dtype="int8")
    assert engine._runner.kv.dtype == torch.int8
    decoder = CONFIGS["1.5b"].decoder
    assert kv_bytes(decoder, 10, 1) * 256 == kv_bytes(decoder, 10, 2) * 130
    about = VibeVoiceAbout()
    least = [about.least_bytes(60.0, 5.0, Loads("vibevoice-1.5b", "bf16", kv)) for kv in ("auto", "int8")]
    assert least[1] * 256 == least[0] * 130
    with pytest.raises(InputError, match="auto or int8") as refused:
        load_engine(INFO, voices=tmp_path, model="random:tiny", kv_dtype="int4")
    assert refused.value.param == "kv_dtype"


def test_a_passage_is_cut_alike_whatever_the_matrices_are(toy: Path) -> None:
    """Keys and values are those of the type of all else."""
    about = VibeVoiceAbout()
    least = {dtype: about.least_bytes(60.0, 5.0, Loads("random:small", dtype)) for dtype in ("fp32", "bf16")}
    for dtype in least:
        assert about.least_bytes(60.0, 5.0, Loads("random:small", f"int8+head+{dtype}")) == least[dtype]
    for dtype in ("int4", "nonsense"):
        assert about.least_bytes(60.0, 5.0, Loads("random:small", dtype)) == least["bf16"], "may be the smaller one"


def test_dequantized_is_what_the_reference_is_about(toy: Path) -> None:
    """int4 has 16 levels: a mean error of a quarter of one, which is an eighth of what the numbers are."""
    matrix = golden.toy_weights()["model.language_model.layers.0.mlp.gate_proj.weight"]
    errors = [(dequantize(*quantize(matrix, s), s) - matrix).norm() / matrix.norm() for s in (INT8, INT4)]
    assert float(errors[0]) < 0.008
    assert 0.03 < float(errors[1]) < 0.12

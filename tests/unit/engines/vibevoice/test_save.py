"""A checkpoint that was saved quantized is the one that is quantized while it is loaded, bit for bit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from longtake.core.errors import InputError, NotFoundError
from longtake.engines.vibevoice.about import INFO
from longtake.engines.vibevoice.load import load_engine
from longtake.engines.vibevoice.planning.footprint import SIZES, weights
from longtake.engines.vibevoice.weights import save
from longtake.engines.vibevoice.weights.checkpoint import load_model
from longtake.engines.vibevoice.weights.config_file import load_config
from longtake.engines.vibevoice.weights.save import save_quantized
from longtake.engines.vibevoice.weights.shapes import config_of
from tests.support import golden
from tests.support.checkpoints import TOKENIZER, write_checkpoint
from tests.unit.engines.vibevoice.test_lora import tensors_of
from tests.unit.engines.vibevoice.test_lora import write as write_adapter

LAYER = "model.language_model.layers.1."


def source(folder: Path, *, hf: bool = False, shards: int = 1, is_tied: bool = True) -> Path:
    tensors = dict(golden.toy_weights())
    if not is_tied:
        tensors["lm_head.weight"] = tensors["model.language_model.embed_tokens.weight"] + 0.5
    made = write_checkpoint(folder, tensors, hf=hf, shards=shards)
    shutil.copy(TOKENIZER, made)
    return made


def numbers(folder: Path, dtype: str | None = None, adapter: Path | None = None) -> dict[str, torch.Tensor]:
    engine = load_engine(
        INFO,
        voices=folder,
        model=str(folder),
        device="cpu",
        dtype="fp32" if dtype is None else f"{dtype}+fp32",
        adapter=None if adapter is None else str(adapter),
    )
    return engine.model.state_dict()


@pytest.mark.parametrize("dtype", ["int8", "int4+head"])
@pytest.mark.parametrize(("hf", "shards", "is_tied"), [(False, 1, True), (True, 3, True), (False, 2, False)])
def test_saved_and_loaded_is_quantized_while_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, hf: bool, shards: int, is_tied: bool
) -> None:
    monkeypatch.setattr(save, "SHARD_BYTES", 1 << 20)
    whole = source(tmp_path / "whole", hf=hf, shards=shards, is_tied=is_tied)
    saved = save_quantized(str(whole), tmp_path / "small", dtype=dtype)
    assert saved.files > 1, "in shards"
    assert saved.bytes_after < saved.bytes_before
    ours, theirs = numbers(saved.folder), numbers(whole, dtype)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (saved.folder / "tokenizer.json").read_bytes() == TOKENIZER.read_bytes()


def test_an_adapter_is_merged_before(tmp_path: Path) -> None:
    shapes = {"layers.1.self_attn.v_proj": (32, 64), "layers.0.mlp.down_proj": (64, 160)}
    adapter = write_adapter(tmp_path, tensors_of(shapes))
    whole = source(tmp_path / "whole")
    save_quantized(str(whole), tmp_path / "small", dtype="int4", adapter=str(adapter))
    ours, theirs, plain = numbers(tmp_path / "small"), numbers(whole, "int4", adapter), numbers(whole, "int4")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not torch.equal(
        ours["language_model.layers.0.mlp.down_proj.weight"], plain["language_model.layers.0.mlp.down_proj.weight"]
    )
    with pytest.raises(InputError, match="merged before") as refused:
        numbers(tmp_path / "small", adapter=adapter)
    assert refused.value.param == "lora"


def test_it_is_a_model_of_its_own_and_planned_as_it_is(tmp_path: Path) -> None:
    whole = source(tmp_path / "whole")
    save_quantized(str(whole), tmp_path / "small", dtype="int8")
    engines = [
        load_engine(INFO, voices=tmp_path, model=str(folder), device="cpu", dtype=dtype)
        for folder, dtype in ((whole, "fp32"), (tmp_path / "small", "fp32"), (tmp_path / "small", "int8+bf16"))
    ]
    assert engines[0]._weights.fingerprint != engines[1]._weights.fingerprint
    assert engines[1]._weights == engines[2]._weights
    config = config_of(str(tmp_path / "small"))
    assert str(config.quantization) == "int8"
    loaded = load_model(tmp_path / "small", dtype=torch.float32, device="cpu")
    assert sum(weights(config, SIZES["fp32"]).values()) == loaded.weights_bytes
    assert "int8 and float32" in engines[1].place


def test_another_way_than_it_is_saved_in_is_refused(tmp_path: Path) -> None:
    save_quantized(str(source(tmp_path / "whole")), tmp_path / "small", dtype="int8")
    numbers(tmp_path / "small", "int8")
    with pytest.raises(InputError, match="quantized as int8, and --dtype asks for int4") as refused:
        numbers(tmp_path / "small", "int4")
    assert refused.value.code == "other_dtype"
    with pytest.raises(InputError, match="already"):
        save_quantized(str(tmp_path / "small"), tmp_path / "smaller", dtype="int4")


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("mlp.gate_proj.weight_scale", None, r"gate_proj\.weight_scale \[160\] is missing"),
        ("mlp.down_proj.weight", lambda t: t.float(), r"down_proj\.weight is F32 and must be I8"),
        ("self_attn.q_proj.weight", lambda t: t[:-1], r"q_proj\.weight is \[63, 64\] and must be \[64, 64\]"),
        (
            "self_attn.q_proj.weight_scale",
            lambda t: t[:, None],
            r"q_proj\.weight_scale is \[64, 1\] and must be \[64\]",
        ),
        ("self_attn.o_proj.weight_scale", lambda t: t * float("nan"), r"o_proj\.weight_scale"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, name: str, change: object, told: str) -> None:
    save_quantized(str(source(tmp_path / "whole")), tmp_path / "small", dtype="int8")
    (file,) = (tmp_path / "small").glob("*.safetensors")
    tensors = load_file(file)
    tensor = tensors.pop(LAYER + name)
    if callable(change):
        tensors[LAYER + name] = change(tensor).contiguous()
    save_file(tensors, file)
    with pytest.raises(InputError, match=told) as refused:
        numbers(tmp_path / "small")
    assert refused.value.code == "bad_checkpoint"


def test_a_file_cut_short_and_a_scheme_that_nobody_knows_are_told(tmp_path: Path) -> None:
    save_quantized(str(source(tmp_path / "whole")), tmp_path / "small", dtype="int8")
    (file,) = (tmp_path / "small").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="cut short"):
        numbers(tmp_path / "small")
    config = tmp_path / "small" / "config.json"
    written = json.loads(config.read_text())
    written["quantization_config"]["scheme"] = "int3"
    config.write_text(json.dumps(written))
    with pytest.raises(InputError, match="longtake quantize"):
        load_config(tmp_path / "small")


def test_what_breaks_off_is_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = source(tmp_path / "whole")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(save, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        save_quantized(str(whole), tmp_path / "small", dtype="int8")
    with pytest.raises(NotFoundError, match=r"config\.json"):
        load_config(tmp_path / "small")


def test_what_cannot_be_saved_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    whole = source(tmp_path / "whole")
    for model, dtype in ((str(whole), "bf16"), (str(whole), "int8+bf16"), ("random:tiny", "int8")):
        with pytest.raises(InputError, match="int8 or int4"):
            save_quantized(model, tmp_path / "small", dtype=dtype)
    assert not (tmp_path / "small").exists()
    with pytest.raises(InputError, match="not an empty folder"):
        save_quantized(str(whole), whole, dtype="int8")

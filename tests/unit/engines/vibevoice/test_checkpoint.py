from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from longtake.core.errors import CapacityError, InputError, NotFoundError
from longtake.engines.vibevoice.network import model as model_module
from longtake.engines.vibevoice.network.model import VibeVoiceModel, build_meta
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS, EMBEDDING, LM_HEAD
from longtake.engines.vibevoice.weights import checkpoint
from longtake.engines.vibevoice.weights.checkpoint import (
    INDEX,
    SINGLE,
    TensorInfo,
    check_names,
    load_encoder,
    load_model,
)
from longtake.engines.vibevoice.weights.shapes import CONFIGS
from tests.support import golden
from tests.support.checkpoints import to_hf, write_checkpoint

Manifest = dict[str, TensorInfo]


def load(folder: Path, dtype: torch.dtype = torch.float32) -> VibeVoiceModel:
    return load_model(folder, dtype=dtype, device="cpu")


def original_weights(model: VibeVoiceModel) -> dict[str, torch.Tensor]:
    """Our parameters, cut apart by hand into the tensors of the original."""
    found: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        before, _, last = name.rpartition(".")
        if before.endswith("qkv_proj"):
            q, k, v = tensor.split((64, 32, 32))
            for letter, part in (("q", q), ("k", k), ("v", v)):
                found[f"model.{before.removesuffix('qkv_proj')}{letter}_proj.{last}"] = part
        elif before.endswith("gate_up_proj"):
            for part, rows in zip(("gate", "up"), tensor.chunk(2), strict=True):
                found[f"model.{before.removesuffix('gate_up_proj')}{part}_proj.{last}"] = rows
        elif name != "control_head.weight":
            found[f"model.{name}"] = tensor
    return found


def assert_is_toy(model: VibeVoiceModel, dtype: torch.dtype = torch.float32) -> None:
    toy = golden.toy_weights()
    ours = original_weights(model)
    assert set(ours) == set(toy)
    for name, tensor in toy.items():
        if "_factor" not in name:
            assert ours[name].dtype == dtype
        assert torch.equal(ours[name], tensor.to(ours[name].dtype)), name
    assert torch.equal(model.get_parameter("control_head.weight"), toy[EMBEDDING][list(CONTROL_TOKENS)].to(dtype))


@pytest.mark.parametrize("hf", [False, True], ids=["original", "transformers"])
@pytest.mark.parametrize("shards", [1, 3])
def test_every_parameter_is_the_golden_weight(tmp_path: Path, hf: bool, shards: int) -> None:
    model = load(write_checkpoint(tmp_path, hf=hf, shards=shards))

    assert_is_toy(model)
    assert not any(tensor.is_meta for tensor in model.state_dict().values())
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_golden_weights_are_the_golden_weights() -> None:
    """Guards the test above: the rule's own check sums."""
    check = golden.read_json("weights_check.json")
    assert len(golden.toy_weights()) == len(check) == 364
    for name, tensor in golden.toy_weights().items():
        assert tensor.double().sum().item() == pytest.approx(check[name]["sum"], abs=1e-3), name


def test_types_of_decoder_and_codec(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    model = load_model(folder, dtype=torch.bfloat16, device="cpu", codec_dtype=torch.float32)

    toy = golden.toy_weights()
    for name, tensor in original_weights(model).items():
        if "_factor" in name:
            assert tensor.dtype == torch.float32
        else:
            dtype = torch.float32 if "_tokenizer." in name else torch.bfloat16
            assert tensor.dtype == dtype, name
        assert torch.equal(tensor, toy[name].to(tensor.dtype)), name


def test_half_precision_files_give_single_precision_weights(tmp_path: Path) -> None:
    half = {name: tensor.to(torch.bfloat16) for name, tensor in golden.toy_weights().items()}
    model = load(write_checkpoint(tmp_path, half))

    for name, tensor in original_weights(model).items():
        assert torch.equal(tensor, half[name].float()), name


@pytest.mark.parametrize("hf", [False, True], ids=["original", "transformers"])
def test_a_head_of_its_own_is_taken_whatever_the_flag_says(tmp_path: Path, hf: bool) -> None:
    head = golden.make_weight(LM_HEAD, (151_936, 64))
    model = load(write_checkpoint(tmp_path, dict(golden.toy_weights()) | {LM_HEAD: head}, hf=hf))

    assert torch.equal(model.get_parameter("control_head.weight"), head[list(CONTROL_TOKENS)])
    assert torch.equal(model.language_model.embed_tokens.weight, golden.toy_weights()[EMBEDDING])


def test_what_was_loaded_does_not_need_the_file(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    model = load(folder)
    (folder / SINGLE).write_bytes(b"")

    assert_is_toy(model)


@pytest.mark.parametrize("hf", [False, True])
def test_the_encoder_alone_is_the_models(tmp_path: Path, hf: bool) -> None:
    folder = write_checkpoint(tmp_path, hf=hf, shards=3)
    encoder = load_encoder(folder, dtype=torch.float32, device="cpu")
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, golden.toy_weights()[f"model.acoustic_tokenizer.encoder.{name}"]), name


def test_constants_that_some_checkpoints_carry_do_no_harm(tmp_path: Path) -> None:
    extra = {"model.language_model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}

    assert_is_toy(load(write_checkpoint(tmp_path, dict(golden.toy_weights()) | extra)))


# ---- names, shapes and types, on the meta device


def manifest_of(file: str) -> Manifest:
    return {name: TensorInfo(tuple(e["shape"]), "BF16") for name, e in golden.read_json(file).items()}


@pytest.fixture(scope="module")
def meta() -> VibeVoiceModel:
    return build_meta(CONFIGS["tiny"])


@pytest.fixture
def toy() -> Manifest:
    return {name: TensorInfo(tuple(tensor.shape), "F32") for name, tensor in golden.toy_weights().items()}


@pytest.mark.parametrize("size", ["1.5b", "7b"])
@pytest.mark.parametrize("layout", ["original", "hf"])
def test_the_released_models_fit(size: str, layout: str) -> None:
    model = build_meta(CONFIGS[size])
    manifest = manifest_of(f"manifest_vibevoice_{size}_{layout}.json")

    plan = check_names(model, manifest)

    tied = size == "1.5b"
    assert [name for name, _ in plan[: len(manifest)]] == list(manifest)
    assert len(plan) == len(manifest) + tied
    assert sum(tensor.numel() for tensor in model.state_dict().values()) == _values(manifest, tied)


def _values(manifest: Manifest, tied: bool) -> int:
    whole = sum(torch.Size(info.shape).numel() for info in manifest.values())
    rows, width = manifest[EMBEDDING].shape
    return whole + 4 * width - (0 if tied else rows * width)


def problems(model: VibeVoiceModel, manifest: Manifest) -> str:
    with pytest.raises(InputError) as caught:
        check_names(model, manifest, where="/models/x")
    assert caught.value.code == "bad_checkpoint"
    assert str(caught.value).startswith("/models/x does not fit")
    return str(caught.value)


def test_everything_wrong_is_said_at_once(meta: VibeVoiceModel, toy: Manifest) -> None:
    del toy["model.language_model.norm.weight"]
    del toy["model.language_model.layers.2.self_attn.k_proj.bias"]
    toy["model.surprise.weight"] = TensorInfo((3, 4), "F32")
    toy["model.acoustic_connector.fc1.bias"] = TensorInfo((65,), "F32")
    toy["model.language_model.layers.0.mlp.down_proj.weight"] = TensorInfo((160, 64), "F32")
    toy["model.language_model.layers.0.mlp.gate_proj.weight"] = TensorInfo((160, 64), "I8")

    said = problems(meta, toy)

    assert "model.language_model.norm.weight [64] is missing" in said
    assert "model.language_model.layers.2.self_attn.k_proj.bias [32] is missing" in said
    assert "model.surprise.weight [3, 4] is unknown" in said
    assert "model.acoustic_connector.fc1.bias is [65] and must be [64];" in said
    assert "layers.0.mlp.down_proj.weight is [160, 64] and must be [64, 160] (transposed)" in said
    assert "layers.0.mlp.gate_proj.weight is I8 and must be one of BF16, F16, F32, F64" in said


def test_a_long_list_is_counted(meta: VibeVoiceModel) -> None:
    said = problems(meta, {EMBEDDING: TensorInfo((151_936, 64), "F32")})

    assert said.count("is missing") == 10
    assert "; and 353 more" in said
    assert "lm_head" not in said


def test_a_missing_embedding_is_one_problem(meta: VibeVoiceModel, toy: Manifest) -> None:
    del toy[EMBEDDING]

    assert problems(meta, toy).count("is missing") == 1


def test_a_tensor_under_two_names(meta: VibeVoiceModel, toy: Manifest) -> None:
    toy["model.latent_bias_factor"] = TensorInfo((), "F32")

    assert "model.latent_bias_factor is there twice, also as model.speech_bias_factor" in problems(meta, toy)


def test_the_weights_of_another_size(meta: VibeVoiceModel) -> None:
    said = problems(meta, manifest_of("manifest_vibevoice_1.5b_original.json"))

    assert "is [151936, 1536] and must be [151936, 64]" in said


def test_a_head_of_another_vocabulary(meta: VibeVoiceModel, toy: Manifest) -> None:
    toy[LM_HEAD] = TensorInfo((4, 64), "F32")

    assert "lm_head.weight is [4, 64] and must be [151936, 64]" in problems(meta, toy)


def test_a_transposed_tensor_in_a_file_is_named_with_both_shapes(tmp_path: Path) -> None:
    weights = dict(golden.toy_weights())
    name = "model.prediction_head.layers.1.ffn.up_proj.weight"
    weights[name] = weights[name].T.contiguous()

    with pytest.raises(InputError, match=r"up_proj\.weight is \[64, 192\] and must be \[192, 64\] \(transposed\)"):
        load(write_checkpoint(tmp_path, weights))


# ---- folders


def test_a_truncated_file(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    whole = (folder / SINGLE).stat().st_size
    for size in (whole - 1, whole // 2, 1000, 8, 3, 0):
        os.truncate(folder / SINGLE, size)

        with pytest.raises(InputError, match=rf"model\.safetensors \({size} bytes\) is damaged or cut short") as caught:
            load(folder)
        assert caught.value.code == "bad_checkpoint"


def test_a_truncated_shard_is_named(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, shards=3)
    os.truncate(folder / "model-00002-of-00003.safetensors", 100_000)

    with pytest.raises(InputError, match="model-00002-of-00003"):
        load(folder)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, shards=3)
    (folder / "model-00002-of-00003.safetensors").unlink()

    with pytest.raises(NotFoundError, match=r"of 3 shards model-00002-of-00003\.safetensors missing"):
        load(folder)


def test_a_pointer_of_git_lfs(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    (folder / SINGLE).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")

    with pytest.raises(InputError, match="git lfs pull"):
        load(folder)


def test_a_tensor_in_two_shards(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, shards=2)
    second = folder / "model-00002-of-00002.safetensors"
    save_file(load_file(second) | {"model.speech_bias_factor": torch.zeros(())}, second)
    first = folder / "model-00001-of-00002.safetensors"
    save_file(load_file(first) | {"model.speech_bias_factor": torch.zeros(())}, first)

    with pytest.raises(InputError, match=r"00002.*holds model\.speech_bias_factor, which is in another shard"):
        load(folder)


@pytest.mark.parametrize(
    "index",
    ["{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": 3}}', '{"weight_map": {"a": "../x.safetensors"}}'],
)
def test_a_damaged_index(tmp_path: Path, index: str) -> None:
    folder = write_checkpoint(tmp_path, {"a": torch.zeros(1)}, shards=2)
    (folder / INDEX).write_text(index, encoding="utf-8")

    with pytest.raises(InputError, match=INDEX):
        load(folder)


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.pt", "checkpoint.pth", "last.ckpt"])
def test_pickles_are_refused_unread(tmp_path: Path, file: str) -> None:
    folder = write_checkpoint(tmp_path, {"a": torch.zeros(1)})
    (folder / SINGLE).unlink()
    (folder / file).write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")

    with pytest.raises(InputError, match=f"only pickled weights \\({file}\\).*save_file") as caught:
        load(folder)
    assert caught.value.code == "pickled"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((), "no config.json"),
        (("config.json",), "it has no model.safetensors and no"),
        (("config.json", "model-00001-of-00002.safetensors"), "it has model-00001-of-00002.safetensors, but no"),
    ],
)
def test_no_checkpoint(tmp_path: Path, files: tuple[str, ...], said: str) -> None:
    for file in files:
        text = (golden.FOLDER / "config.json").read_bytes() if file == "config.json" else b""
        (tmp_path / file).write_bytes(text)

    with pytest.raises(NotFoundError, match=said) as caught:
        load(tmp_path)
    assert caught.value.code == "no_checkpoint"


@pytest.mark.parametrize(
    ("name", "value"), [("scaling", float("nan")), ("scaling", 0.0), ("scaling", float("inf")), ("bias", float("nan"))]
)
def test_an_untrained_checkpoint(tmp_path: Path, name: str, value: float) -> None:
    weights = dict(golden.toy_weights()) | {f"model.speech_{name}_factor": torch.tensor(value)}

    with pytest.raises(InputError, match="never trained"):
        load(write_checkpoint(tmp_path, weights))


def test_no_room_is_a_matter_of_capacity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model_module.VibeVoiceModel, "to_empty", full)

    with pytest.raises(CapacityError, match=r"0\.03 GB"):
        load(write_checkpoint(tmp_path), torch.bfloat16)


def test_nothing_is_allocated_before_the_names_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("allocated")

    monkeypatch.setattr(checkpoint, "allocate", never)

    with pytest.raises(InputError, match="is missing"):
        load(write_checkpoint(tmp_path, {"model.language_model.norm.weight": torch.ones(64)}))


def test_transformers_names_are_reported_as_they_stand_in_the_file(meta: VibeVoiceModel) -> None:
    tensors = to_hf(golden.toy_weights())
    manifest = {name: TensorInfo(tuple(tensor.shape), "F32") for name, tensor in tensors.items()}
    manifest["model.multi_modal_projector.linear_1.bias"] = TensorInfo((3,), "F32")

    assert "model.multi_modal_projector.linear_1.bias is [3] and must be [64]" in problems(meta, manifest)

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from longtake.core.errors import InputError, NotFoundError
from longtake.engines.vibevoice.network.model import VibeVoiceModel, allocate, build_meta
from longtake.engines.vibevoice.weights.lora import CONFIG, WEIGHTS, merge_lora
from longtake.engines.vibevoice.weights.shapes import CONFIGS
from tests.support import golden

RANK, ALPHA = 4, 6.0
Q = "layers.1.self_attn.q_proj"
K = "layers.1.self_attn.k_proj"
V = "layers.1.self_attn.v_proj"
O = "layers.0.self_attn.o_proj"  # noqa: E741
UP = "layers.2.mlp.up_proj"
DOWN = "layers.0.mlp.down_proj"
HEAD_UP = "layers.3.ffn.up_proj"
HEAD_IN = "noisy_images_proj"
SHAPES = {Q: (64, 64), K: (32, 64), V: (32, 64), O: (64, 64), UP: (160, 64), DOWN: (64, 160)}
HEAD_SHAPES = {HEAD_UP: (192, 64), HEAD_IN: (64, 64)}
ROWS = {
    Q: ("language_model.layers.1.self_attn.qkv_proj.weight", 0, 64),
    K: ("language_model.layers.1.self_attn.qkv_proj.weight", 64, 96),
    V: ("language_model.layers.1.self_attn.qkv_proj.weight", 96, 128),
    O: ("language_model.layers.0.self_attn.o_proj.weight", 0, 64),
    UP: ("language_model.layers.2.mlp.gate_up_proj.weight", 160, 320),
    DOWN: ("language_model.layers.0.mlp.down_proj.weight", 0, 64),
    HEAD_UP: ("prediction_head.layers.3.ffn.gate_up_proj.weight", 192, 384),
    HEAD_IN: ("prediction_head.noisy_images_proj.weight", 0, 64),
}
Tensors = dict[str, torch.Tensor]


def build(dtype: torch.dtype) -> VibeVoiceModel:
    """The toy with a vocabulary of four, for it has most of the values."""
    config = replace(CONFIGS["tiny"], decoder=replace(CONFIGS["tiny"].decoder, vocab_size=4))
    model = build_meta(config)
    allocate(model, dtype=dtype, device="cpu")
    for name, tensor in model.state_dict().items():
        torch.nn.init.normal_(tensor, std=0.1, generator=torch.Generator().manual_seed(len(name)))
    return model


@pytest.fixture
def model() -> VibeVoiceModel:
    return build(torch.float32)


def pair(module: str, shape: tuple[int, int], rank: int = RANK) -> tuple[torch.Tensor, torch.Tensor]:
    a = golden.stream(f"{module}.a", rank * shape[1]).reshape(rank, shape[1])
    b = golden.stream(f"{module}.b", shape[0] * rank).reshape(shape[0], rank)
    return torch.from_numpy(a).float(), torch.from_numpy(b).float()


def tensors_of(shapes: dict[str, tuple[int, int]], prefix: str = "base_model.model.", rank: int = RANK) -> Tensors:
    found = {}
    for module, shape in shapes.items():
        found[f"{prefix}{module}.lora_A.weight"], found[f"{prefix}{module}.lora_B.weight"] = pair(module, shape, rank)
    return found


def write(folder: Path, tensors: Tensors, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "bias": "none"} | changes
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    save_file(tensors, folder / WEIGHTS)
    return folder


def copy_of(model: VibeVoiceModel) -> Tensors:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_merged(model: VibeVoiceModel, before: Tensors, scales: dict[str, float], rank: int = RANK) -> None:
    """Exactly these modules changed, each by scale · B @ A."""
    expected = {name: tensor.clone() for name, tensor in before.items()}
    for module, scale in scales.items():
        parameter, first, last = ROWS[module]
        a, b = pair(module, (SHAPES | HEAD_SHAPES)[module], rank)
        expected[parameter][first:last] += scale * (b @ a)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-5, msg=name)
        if not any(name == ROWS[module][0] for module in scales):
            assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize(
    "prefix",
    [
        "base_model.model.",  # the decoder alone was wrapped
        "base_model.model.language_model.",
        "base_model.model.model.language_model.",  # the whole model was
        "",
    ],
)
def test_the_decoder_is_merged_whatever_was_wrapped(tmp_path: Path, model: VibeVoiceModel, prefix: str) -> None:
    before = copy_of(model)

    assert merge_lora(model, write(tmp_path, tensors_of(SHAPES, prefix))) == 6

    assert_merged(model, before, dict.fromkeys(SHAPES, ALPHA / RANK))


@pytest.mark.parametrize(
    "prefix", ["base_model.model.base.", "base_model.model.prediction_head.", "base_model.model.model.diffusion_head."]
)
def test_the_head_is_merged(tmp_path: Path, model: VibeVoiceModel, prefix: str) -> None:
    before = copy_of(model)

    assert merge_lora(model, write(tmp_path, tensors_of(HEAD_SHAPES, prefix))) == 2

    assert_merged(model, before, dict.fromkeys(HEAD_SHAPES, ALPHA / RANK))


def test_the_folder_that_trainers_write(tmp_path: Path, model: VibeVoiceModel) -> None:
    before = copy_of(model)
    write(tmp_path / "lora", tensors_of(SHAPES))
    write(tmp_path / "lora" / "diffusion_head", tensors_of(HEAD_SHAPES, "base_model.model.base."), lora_alpha=2.0)
    (tmp_path / "lora" / "diffusion_head_full.bin").touch()  # the same once more, as a fallback

    assert merge_lora(model, tmp_path) == 8

    assert_merged(model, before, dict.fromkeys(SHAPES, ALPHA / RANK) | dict.fromkeys(HEAD_SHAPES, 2.0 / RANK))


def test_a_named_adapter_inside_the_keys(tmp_path: Path, model: VibeVoiceModel) -> None:
    before = copy_of(model)
    tensors = {key.replace(".weight", ".default.weight"): value for key, value in tensors_of({Q: SHAPES[Q]}).items()}

    merge_lora(model, write(tmp_path, tensors))

    assert_merged(model, before, {Q: ALPHA / RANK})


def test_scale_of_rslora_and_strength(tmp_path: Path, model: VibeVoiceModel) -> None:
    before = copy_of(model)

    merge_lora(model, write(tmp_path, tensors_of(SHAPES), use_rslora=True), strength=0.5)

    assert_merged(model, before, dict.fromkeys(SHAPES, 0.5 * ALPHA / math.sqrt(RANK)))


def test_patterns_of_rank_and_alpha(tmp_path: Path, model: VibeVoiceModel) -> None:
    before = copy_of(model)
    folder = write(
        tmp_path,
        tensors_of({Q: SHAPES[Q], UP: SHAPES[UP]}),
        r=16,
        rank_pattern={"q_proj": RANK, "mlp.up_proj": RANK, "proj": 99},
        alpha_pattern={r"layers\.2\.mlp\..*": 20},
    )

    merge_lora(model, folder)

    assert_merged(model, before, {Q: ALPHA / RANK, UP: 20 / RANK})


def test_a_half_precision_model_is_rounded_once(tmp_path: Path) -> None:
    model = build(torch.bfloat16)
    parameter = model.get_parameter(ROWS[DOWN][0])
    a, b = pair(DOWN, SHAPES[DOWN])
    expected = (parameter.float() + ALPHA / RANK * (b @ a)).to(torch.bfloat16)

    merge_lora(model, write(tmp_path, tensors_of({DOWN: SHAPES[DOWN]})))

    torch.testing.assert_close(parameter.data, expected, rtol=0.0, atol=0.02)
    assert (parameter.data == expected).float().mean() > 0.99


def test_whole_parts_replace_ours(tmp_path: Path, model: VibeVoiceModel) -> None:
    before = copy_of(model)
    write(tmp_path, tensors_of({Q: SHAPES[Q]}))
    for part, tensors in {
        "acoustic_connector": {"fc1.bias": torch.full((64,), 3.0)},
        "diffusion_head": {HEAD_UP + ".weight": torch.full((192, 64), 5.0)},
    }.items():
        (tmp_path / part).mkdir()
        save_file(tensors, tmp_path / part / "model.safetensors")

    assert merge_lora(model, tmp_path, strength=0.5) == 3

    assert (model.acoustic_connector.fc1.bias == 3.0).all()
    gate, up = model.get_parameter(ROWS[HEAD_UP][0]).chunk(2)
    assert (up == 5.0).all()
    assert torch.equal(gate, before[ROWS[HEAD_UP][0]][:192])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base_model.model.layers.0.self_attn.z_proj.lora_A.weight": torch.ones(4, 64)}, "z_proj is unknown"),
        ({"base_model.model.embed_tokens.lora_embedding_A": torch.ones(4, 64)}, "lora_embedding_A is no LoRA pair"),
        ({"base_model.model.layers.9.mlp.up_proj.lora_A.weight": torch.ones(4, 64)}, r"layers\.9\.mlp\.up_proj is unk"),
        ({"base_model.model.layers.0.input_layernorm.weight": torch.ones(64)}, "input_layernorm.weight is no LoRA"),
        ({"base_model.model.lm_head.lora_A.weight": torch.ones(4, 64)}, "lm_head is unknown"),
        (
            {"base_model.model.model.acoustic_connector.fc1.lora_A.weight": torch.ones(4, 64)},
            "acoustic_connector.fc1 is unknown",
        ),
        ({"base_model.model.layers.0.mlp.up_proj.lora_A.weight": torch.ones(4, 64)}, "up_proj has only lora_A"),
        ({f"base_model.model.{Q}.lora_A.weight": torch.ones(4, 65)}, r"\[64, 4\] @ .*\[4, 65\] must give \[64, 64\]"),
        ({f"base_model.model.{Q}.lora_B.weight": torch.ones(64, 3)}, r"\[64, 3\] @ .*\[4, 64\] must give"),
        ({f"base_model.model.{Q}.lora_A.weight": torch.ones(5, 64)}, "has rank 5, and its configuration says rank 4"),
        ({f"base_model.model.{Q}.lora_A.weight": torch.ones(4, 64, dtype=torch.int8)}, "I8, which is no plain float"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(
    tmp_path: Path, model: VibeVoiceModel, change: Tensors, said: str
) -> None:
    before = copy_of(model)

    with pytest.raises(InputError, match=said) as caught:
        merge_lora(model, write(tmp_path, tensors_of(SHAPES) | change))

    assert caught.value.code == "bad_adapter"
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_an_adapter_of_another_size(tmp_path: Path, model: VibeVoiceModel) -> None:
    shapes = {f"layers.{layer}.self_attn.q_proj": (1536, 1536) for layer in range(28)}

    with pytest.raises(InputError, match=r"must give \[64, 64\]|is unknown") as caught:
        merge_lora(model, write(tmp_path, tensors_of(shapes)))
    assert "; and " in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peft_type": "LOHA"}, "'LOHA'; only LORA"),
        ({"use_dora": True}, "use_dora = True"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "lora_only"}, "bias = 'lora_only'"),
        ({"rank_pattern": {"(": 3}}, "cannot be read"),
        ({"lora_alpha": None}, "alpha None"),
    ],
)
def test_kinds_that_are_not_implemented(
    tmp_path: Path, model: VibeVoiceModel, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        merge_lora(model, write(tmp_path, tensors_of(SHAPES), **changes))


@pytest.mark.parametrize("part", [".", "diffusion_head", "acoustic_connector"])
def test_pickled_parts_are_refused(tmp_path: Path, model: VibeVoiceModel, part: str) -> None:
    write(tmp_path, tensors_of(SHAPES))
    folder = tmp_path / part
    folder.mkdir(exist_ok=True)
    (folder / WEIGHTS).unlink(missing_ok=True)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")

    with pytest.raises(InputError, match=r"only pickled weights \(pytorch_model\.bin\).*save_file") as caught:
        merge_lora(model, tmp_path)
    assert caught.value.code == "pickled"


def test_no_adapter(tmp_path: Path, model: VibeVoiceModel) -> None:
    with pytest.raises(NotFoundError, match="holds no adapter"):
        merge_lora(model, tmp_path)


def test_a_truncated_adapter(tmp_path: Path, model: VibeVoiceModel) -> None:
    folder = write(tmp_path, tensors_of(SHAPES))
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:-1])

    with pytest.raises(InputError, match="damaged or cut short"):
        merge_lora(model, folder)

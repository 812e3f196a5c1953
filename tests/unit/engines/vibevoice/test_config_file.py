from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longtake.core.errors import InputError, NotFoundError
from longtake.engines.vibevoice.weights.config_file import load_config
from longtake.engines.vibevoice.weights.shapes import CONFIGS
from tests.support import golden
from tests.support.checkpoints import hf_config

Change = Callable[[dict[str, Any]], None]


def write(folder: Path, config: object) -> Path:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def original(**sections: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((golden.FOLDER / "config.json").read_text(encoding="utf-8"))
    for name, changes in sections.items():
        config[name] |= changes
    return config


def test_the_original_layout_is_read() -> None:
    config = load_config(golden.FOLDER)

    assert config == CONFIGS["tiny"]
    assert config.window == 65_536
    assert config.noise_std == 0.625


def test_the_layout_of_transformers_gives_the_same(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, hf_config())) == load_config(golden.FOLDER)


def test_what_transformers_itself_writes_is_read(tmp_path: Path) -> None:
    from transformers import VibeVoiceConfig

    given = hf_config()
    sections = {name: given[name] for name in given if name.endswith("_config")}
    VibeVoiceConfig(**sections).save_pretrained(tmp_path)

    assert load_config(tmp_path) == CONFIGS["tiny"]


def test_a_feed_forward_width_that_is_no_multiple_survives(tmp_path: Path) -> None:
    for size in range(150, 250):
        given = hf_config()
        given["diffusion_head_config"]["intermediate_size"] = size

        assert load_config(write(tmp_path, given)).head.ffn_size == size


@pytest.mark.parametrize("depths", ["2-1-1-1-1-1-1", [2, 1, 1, 1, 1, 1, 1], None])
def test_a_decoder_that_mirrors_the_encoder(tmp_path: Path, depths: object) -> None:
    config = original(acoustic_tokenizer_config={"decoder_depths": depths})

    assert load_config(write(tmp_path, config)).acoustic.depths == (1, 1, 1, 1, 1, 1, 2)


@pytest.mark.parametrize(
    ("section", "change", "said"),
    [
        ("acoustic_tokenizer_config", {"decoder_depths": "1-1-1-1-1-1-2"}, "decoder_depths '1-1-1-1-1-1-2'"),
        ("acoustic_tokenizer_config", {"encoder_depths": "1-1-2"}, "3 depths and 6 ratios"),
        ("acoustic_tokenizer_config", {"encoder_depths": "1-x"}, "acoustic_tokenizer_config.encoder_depths = '1-x'"),
        ("acoustic_tokenizer_config", {"encoder_ratios": [8, 5, 5, 4, 2, 1]}, "1600 samples a frame"),
        ("acoustic_tokenizer_config", {"pad_mode": "reflect"}, "only 'constant' is implemented"),
        ("acoustic_tokenizer_config", {"vae_dim": 32}, "vae_dim = 32; only 64"),
        ("semantic_tokenizer_config", {"mixer_layer": "attention"}, "semantic_tokenizer_config.mixer_layer"),
        ("decoder_config", {"hidden_act": "gelu"}, "decoder_config.hidden_act = 'gelu'"),
        ("decoder_config", {"rope_scaling": {"type": "yarn"}}, "rope_scaling"),
        ("decoder_config", {"use_sliding_window": True}, "use_sliding_window"),
        ("decoder_config", {"hidden_size": "64"}, "decoder_config.hidden_size = '64'"),
        ("decoder_config", {"num_key_value_heads": 3}, "3 key heads"),
        ("decoder_config", {"vocab_size": 32_000}, "vocabulary of 32000"),
        ("decoder_config", {"rope_theta": float("nan")}, "rope_theta = nan"),
        ("diffusion_head_config", {"prediction_type": "epsilon"}, "only 'v_prediction'"),
        ("diffusion_head_config", {"hidden_size": 128}, "hidden_size = 128; only 64"),
    ],
)
def test_what_is_not_implemented_is_refused(tmp_path: Path, section: str, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        load_config(write(tmp_path, original(**{section: change})))

    assert said in str(caught.value)
    assert str(tmp_path / "config.json") in str(caught.value)
    assert caught.value.code == "bad_config"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(model_type="vibevoice_streaming"), "model_type 'vibevoice_streaming'"),
        (lambda c: c.pop("model_type"), "model_type None"),
        (lambda c: c.update(quantization_config={"load_in_4bit": True}), "quantized"),
        (lambda c: c.pop("decoder_config"), "no section decoder_config"),
        (lambda c: c["decoder_config"].pop("num_hidden_layers"), "num_hidden_layers = None"),
    ],
)
def test_other_models_are_refused(tmp_path: Path, change: Change, said: str) -> None:
    config = original()
    change(config)

    with pytest.raises(InputError, match=said):
        load_config(write(tmp_path, config))


def test_yarn_in_the_new_layout_is_refused(tmp_path: Path) -> None:
    config = hf_config()
    config["text_config"]["rope_parameters"]["rope_type"] = "yarn"

    with pytest.raises(InputError, match=r"text_config\.rope_parameters\.rope_type = 'yarn'"):
        load_config(write(tmp_path, config))


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no config\.json") as caught:
        load_config(tmp_path)

    assert caught.value.code == "no_checkpoint"


@pytest.mark.parametrize("text", ["{", "[]", '"vibevoice"', "\x00"])
def test_a_file_that_is_no_object(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=r"config\.json"):
        load_config(tmp_path)

"""Checkpoint folders with the golden toy weights, in both layouts, whole or in shards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.support import golden

TOKENIZER = golden.FOLDER.parent / "vibevoice_tokenizer" / "tokenizer.json"


def hf_config() -> dict[str, Any]:
    """The toy configuration as transformers 5.23 writes it."""
    coder = {
        "channels": 1,
        "depths": [1, 1, 1, 1, 1, 1, 2],
        "downsampling_ratios": [2, 2, 4, 5, 5, 8],
        "ffn_expansion": 4,
        "hidden_act": "gelu",
        "kernel_size": 7,
        "layer_scale_init_value": 1e-06,
        "num_filters": 4,
        "rms_norm_eps": 1e-05,
        "vae_std": 0.625,
    }
    return {
        "model_type": "vibevoice",
        "audio_config": coder | {"hidden_size": 64, "model_type": "vibevoice_acoustic_tokenizer"},
        "semantic_model_config": coder | {"hidden_size": 128, "model_type": "vibevoice_acoustic_tokenizer_encoder"},
        "diffusion_head_config": {
            "diffusion_max_period": 10000,
            "frequency_embedding_size": 256,
            "hidden_act": "silu",
            "hidden_size": 64,
            "intermediate_size": 192,
            "latent_size": 64,
            "mlp_bias": False,
            "model_type": "vibevoice_diffusion",
            "num_hidden_layers": 4,
            "rms_norm_eps": 1e-05,
        },
        "text_config": {
            "hidden_act": "silu",
            "hidden_size": 64,
            "intermediate_size": 160,
            "max_position_embeddings": 65536,
            "model_type": "qwen2",
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"},
            "sliding_window": None,
            "tie_word_embeddings": True,
            "use_sliding_window": False,
            "vocab_size": 151936,
        },
        "tie_word_embeddings": True,
        "transformers_version": "5.23.0",
    }


def to_hf(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors under the names of transformers; the toy's names are a part of the 1.5B model's."""
    names = golden.read_json("map_vibevoice_7b_original_to_hf.json")
    return {names[name]: tensor for name, tensor in weights.items()}


def write_checkpoint(
    folder: Path, weights: Mapping[str, torch.Tensor] | None = None, *, hf: bool = False, shards: int = 1
) -> Path:
    """A folder as it comes from the hub; `weights` are those of the toy, with original names, if none are given."""
    folder.mkdir(exist_ok=True)
    tensors = dict(golden.toy_weights() if weights is None else weights)
    if hf:
        tensors = to_hf(tensors)
        (folder / "config.json").write_text(json.dumps(hf_config()), encoding="utf-8")
    else:
        shutil.copy(golden.FOLDER / "config.json", folder)
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: tensors[name] for name in names[shard::shards]}
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder

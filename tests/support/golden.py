"""Golden data of the VibeVoice reference, and the rule of its toy weights: tests/golden/vibevoice/README.md."""

from __future__ import annotations

import functools
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

FOLDER = Path(__file__).parent.parent / "golden" / "vibevoice"
SEED = 7001
_GAINS = {
    "model.prediction_head.cond_proj.weight": 0.5,
    "model.acoustic_tokenizer.decoder.head.conv.conv.weight": 0.2,
}


def stream(name: str, count: int) -> NDArray[np.float64]:
    """The u-stream of that label: mean 0, variance 1."""
    with np.errstate(over="ignore"):
        base = _mix(np.array([(SEED << 32) | zlib.crc32(name.encode())], np.uint64))
        places = np.arange(1, count + 1, dtype=np.uint64)
        keys = _mix(base + places * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    return (2 * keys.astype(np.float64) + 1 - 2**24) / 2**24 * 1.7320508075688772


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = z ^ (z >> np.uint64(30))
    z = z * np.uint64(0xBF58476D1CE4E5B9)
    z = z ^ (z >> np.uint64(27))
    z = z * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def make_weight(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The toy weight of that original name, float32."""
    if name == "model.speech_scaling_factor":
        return torch.tensor(0.7)
    if name == "model.speech_bias_factor":
        return torch.tensor(0.1)
    last = name.rsplit(".", 1)[-1]
    if last in ("gamma", "ffn_gamma"):
        offset, scale = 0.5, 0.1
    elif last == "bias":
        offset, scale = 0.0, 0.1
    elif len(shape) == 1:
        offset, scale = 1.0, 0.1
    elif name.endswith("embed_tokens.weight"):
        offset, scale = 0.0, 0.25
    else:
        fan_in = 2 * shape[0] if ".convtr." in name else int(np.prod(shape[1:]))
        offset, scale = 0.0, _GAINS.get(name, 1.0) / np.sqrt(fan_in)
    values = offset + scale * stream(name, int(np.prod(shape)))
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


@functools.cache
def toy_weights() -> dict[str, torch.Tensor]:
    """Original name → tensor, of the whole toy model. Do not write into them."""
    shapes = read_json("weights_check.json")
    return {name: make_weight(name, tuple(entry["shape"])) for name, entry in shapes.items()}


@functools.cache
def arrays(file: str) -> dict[str, torch.Tensor]:
    """The arrays of one golden file: ``components``, ``scheduler``, ``case_a`` …"""
    return load_file(FOLDER / f"{file}.safetensors")


@functools.cache
def read_json(file: str) -> Any:
    return json.loads((FOLDER / file).read_text(encoding="utf-8"))


def tolerance(group: str, array: str) -> float:
    """The absolute limit of an array: ``group`` is ``case``, ``components`` or ``scheduler``."""
    return float(read_json("tolerances.json")[group][array]["atol"])


def share_of_limit(group: str, name: str, ours: torch.Tensor, golden: torch.Tensor) -> float:
    """The largest difference over its limit; a test asserts that it is at most 1."""
    assert ours.shape == golden.shape, f"{name}: {tuple(ours.shape)} is not {tuple(golden.shape)}"
    entry = read_json("tolerances.json")[group][name]
    limit = entry["atol"] + entry.get("rtol", 0.0) * golden.double().abs()
    difference = (ours.double() - golden.double()).abs()
    return float((difference / limit.clamp_min(1e-30) if isinstance(limit, torch.Tensor) else difference / limit).max())

"""The plan's arithmetic against what the networks really are: every part of every size, rows, states."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter

import pytest
import torch

from longtake.engines.vibevoice.decoding.runner import REPLAY_FRAMES, Runner
from longtake.engines.vibevoice.load import DTYPES, _types
from longtake.engines.vibevoice.network.model import ENCODER, VibeVoiceModel, allocate, build_meta
from longtake.engines.vibevoice.planning import footprint
from longtake.engines.vibevoice.planning.footprint import SIZES, kv_bytes, parameters, state_bytes, weights
from longtake.engines.vibevoice.planning.workspace import FRAMES_AT_ONCE
from longtake.engines.vibevoice.prompting.voice_latents import CHUNK_FRAMES
from longtake.engines.vibevoice.weights.random_model import build_random
from longtake.engines.vibevoice.weights.shapes import CONFIGS
from longtake.nn.kv import KVStore
from tests.support import golden

# The first that a parameter's name begins with.
PARTS = {
    "language_model.embed_tokens": footprint.EMBEDDING,
    "language_model": footprint.DECODER,
    "control_head": footprint.DECODER,
    "prediction_head": footprint.DIFFUSION_HEAD,
    ENCODER: footprint.ACOUSTIC_ENCODER,
    "acoustic_tokenizer.decoder": footprint.ACOUSTIC_DECODER,
    "semantic_tokenizer": footprint.SEMANTIC_ENCODER,
    "acoustic_connector": footprint.CONNECTORS,
    "semantic_connector": footprint.CONNECTORS,
}


def part_of(name: str) -> str:
    return next(part for prefix, part in PARTS.items() if name.startswith(prefix))


def held_by(model: VibeVoiceModel) -> dict[str, int]:
    held: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        held[part_of(name)] += parameter.nbytes
    return dict(held)


@pytest.mark.parametrize("dtype", SIZES)
@pytest.mark.parametrize("size", CONFIGS)
def test_every_part_of_every_size_is_as_large_as_the_network(size: str, dtype: str) -> None:
    model = build_meta(CONFIGS[size])
    kind, codec = _types(dtype, torch.device("cpu"), CONFIGS[size])
    allocate(model, dtype=kind, device="meta", codec_dtype=codec)
    assert weights(CONFIGS[size], SIZES[dtype]) == held_by(model)
    assert sum(weights(CONFIGS[size], SIZES[dtype]).values()) == model.weights_bytes


@pytest.mark.parametrize("dtype", SIZES)
@pytest.mark.parametrize("size", ["tiny", "small"])
def test_a_model_that_is_really_built_takes_what_is_planned(size: str, dtype: str) -> None:
    kind, codec = _types(dtype, torch.device("cpu"), CONFIGS[size])
    model = build_random(size, dtype=kind, device="cpu", codec_dtype=codec)
    assert weights(CONFIGS[size], SIZES[dtype]) == held_by(model)
    for slots in (1, 8):
        runner = Runner(model, slots)
        assert state_bytes(CONFIGS[size], slots, SIZES[dtype]) == runner.state_bytes


@pytest.mark.parametrize("size", ["1.5b", "7b"])
def test_the_published_checkpoints_hold_these_numbers(size: str) -> None:
    """But for the output head, of which four rows are kept, and the two factors of the latents."""
    held: Counter[str] = Counter()
    for name, entry in golden.read_json(f"manifest_vibevoice_{size}_original.json").items():
        place = name.removeprefix("model.")
        if place != "lm_head.weight" and not place.startswith("speech_"):
            held[part_of(place)] += math.prod(entry["shape"])
    held[footprint.DECODER] += 4 * CONFIGS[size].decoder.hidden_size
    assert parameters(CONFIGS[size]) == held


@pytest.mark.parametrize("size", CONFIGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_takes_what_is_planned(size: str, dtype: str) -> None:
    decoder = CONFIGS[size].decoder
    shape = {
        "layers": decoder.num_hidden_layers,
        "kv_heads": decoder.num_key_value_heads,
        "head_dim": decoder.head_dim,
        "dtype": DTYPES[dtype],
    }
    assert kv_bytes(decoder, 333, SIZES[dtype].model) == KVStore.row_bytes(capacity=333, **shape)  # type: ignore[arg-type]
    store = KVStore(device="meta", **shape)  # type: ignore[arg-type]
    store.open_row(333)
    assert kv_bytes(decoder, 333, SIZES[dtype].model) == store.used_bytes


def test_what_is_known_of_the_released_models() -> None:
    """research/vibevoice.md, section 2: 2,704.0 M and 9,343.4 M, with the untied head; 3.04 GB of keys and values."""
    assert round(sum(parameters(CONFIGS["1.5b"]).values()) / 1e6, 1) == 2704.0
    assert round((sum(parameters(CONFIGS["7b"]).values()) + 152_064 * 3584) / 1e6, 1) == 9343.4
    assert kv_bytes(CONFIGS["1.5b"].decoder, 65_536 + 40_500, 2) == pytest.approx(3.04e9, rel=0.001)


def test_as_many_frames_at_once_as_the_coders_take() -> None:
    assert max(CHUNK_FRAMES, REPLAY_FRAMES) == FRAMES_AT_ONCE


def test_the_arithmetic_imports_no_torch() -> None:
    code = "import sys, longtake.engines.vibevoice.planning.memory_plan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

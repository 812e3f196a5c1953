"""What admission leaves free: no less than what a beat was seen to hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from longtake.engines.vibevoice import engine as engine_module
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.planning.footprint import SIZES
from longtake.engines.vibevoice.planning.workspace import (
    _HOST_SLACK_BYTES,
    _SLACK_BYTES,
    DEVICE_SHARE,
    beat_bytes,
    coding_bytes,
    encoder_bytes,
    graph_bytes,
    reading_bytes,
    workspace_bytes,
)
from longtake.engines.vibevoice.prompting.voice_latents import encode_voice
from longtake.engines.vibevoice.weights.random_model import build_random_encoder
from longtake.engines.vibevoice.weights.shapes import CONFIGS
from longtake.nn.decoder_config import MASK_CELLS
from longtake.nn.kv import KVStore, Segment
from tests.unit.engines.vibevoice.conftest import Bench

TINY = CONFIGS["tiny"]
READ = 4000  # positions before those that are read


def peak_bytes(work: Callable[[], object]) -> int:
    """The most that torch held at once while it worked, of what it did not hold before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen, torch.inference_mode():
        work()
    held = most = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


def stated(positions: int) -> int:
    """Of reading, without the slack, which is for what torch does not count."""
    whole = workspace_bytes(TINY, itemsize=4, codec_itemsize=0, positions=positions, streams=0, frames=0)
    # The mask reaches as far as there is something to see.
    seen = min(positions * (READ + positions), MASK_CELLS) - min(positions * TINY.window, MASK_CELLS)
    return whole - _SLACK_BYTES + seen * 5


@pytest.mark.parametrize("positions", [64, 512])
def test_reading_holds_no_more_than_is_stated(tiny: VibeVoiceModel, positions: int) -> None:
    """Also of so many positions that they are taken in pieces."""
    decoder = TINY.decoder
    kv = KVStore(
        layers=decoder.num_hidden_layers,
        kv_heads=decoder.num_key_value_heads,
        head_dim=decoder.head_dim,
        dtype=torch.float32,
        device="cpu",
    )
    row = kv.open_row(READ + positions)
    with torch.inference_mode():
        tiny.language_model(torch.zeros(READ, decoder.hidden_size), [Segment(row, 0, READ)], kv)
    x_NH = torch.zeros(positions, decoder.hidden_size)
    held = peak_bytes(lambda: tiny.language_model(x_NH, [Segment(row, READ, positions)], kv))
    assert 0.5 < held / stated(positions) <= 1.0


@pytest.mark.parametrize("frames", [1, 8])
def test_the_coders_hold_no_more_than_is_stated(tiny: VibeVoiceModel, frames: int) -> None:
    most = workspace_bytes(TINY, itemsize=0, codec_itemsize=4, positions=0, streams=frames, frames=1) - _SLACK_BYTES
    decoder, semantic = tiny.acoustic_tokenizer.decoder, tiny.semantic_tokenizer.encoder
    speaking, hearing = (part.init_state(frames, torch.float32) for part in (decoder, semantic))
    rows = torch.arange(frames)
    latent_B1D, wave_B1T = torch.randn(frames, 1, 64), torch.randn(frames, 1, 3200)
    held = [
        peak_bytes(lambda: decoder.step(latent_B1D, speaking, rows)),
        peak_bytes(lambda: semantic.step(wave_B1T, hearing, rows)),
    ]
    encoder = build_random_encoder("tiny", dtype=torch.float32, device="cpu")
    wave_T = torch.randn(2 * frames * 3200)
    held.append(peak_bytes(lambda: encode_voice(encoder, wave_T, chunk_frames=frames)))
    assert 0.5 < max(held) / most <= 1.0, held


def test_the_encoder_is_as_large_as_it_is() -> None:
    encoder = build_random_encoder("tiny", dtype=torch.bfloat16, device="cpu")
    assert encoder_bytes(TINY, SIZES["bf16"]) == sum(parameter.nbytes for parameter in encoder.parameters())


def test_the_budget_is_what_is_left_on_the_device(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench.engine.budget_bytes is None, "on the CPU requests hold host memory"
    beat = beat_bytes(TINY, SIZES["fp32"], 8)
    for free in (10 << 30, beat):
        monkeypatch.setattr(engine_module, "free_device_bytes", lambda device, free=free: free)
        left = free - beat - graph_bytes(TINY, SIZES["fp32"], 8)
        assert bench.engine.budget_bytes == max(0, int(left * DEVICE_SHARE))


@pytest.mark.parametrize("size", ["small", "1.5b", "7b"])
def test_a_voice_is_encoded_while_nothing_is_read_and_its_encoder_counts(size: str) -> None:
    """They follow one another, so that the largest counts; kernels of the host compute in float32."""
    config, sizes = CONFIGS[size], SIZES["bf16"]
    reading, encoder = reading_bytes(config, itemsize=2), encoder_bytes(config, sizes)
    for itemsize, slack, on_host in ((2, _SLACK_BYTES, False), (4, _HOST_SLACK_BYTES, True)):
        encoding = encoder + coding_bytes(config, codec_itemsize=itemsize)
        assert beat_bytes(config, sizes, 8, on_host=on_host) == max(reading, encoding) + slack

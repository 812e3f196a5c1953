"""Shapes: V voices, K latent frames, D latent channels."""

from __future__ import annotations

import functools
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812
from torch.utils._python_dispatch import TorchDispatchMode

from longtake.core.errors import InputError
from longtake.engines.vibevoice.network.codec import Encoder
from longtake.engines.vibevoice.network.config import SAMPLES_PER_FRAME, CoderConfig
from longtake.engines.vibevoice.prompting.voice_latents import (
    draw_noise,
    encode_voice,
    normalise_level,
    to_scaled,
    with_noise,
)
from tests.support.golden import arrays, read_json, share_of_limit, toy_weights

torch.set_num_threads(1)
START = "model.acoustic_tokenizer.encoder."
NOISE_STD = 0.625


@functools.cache
def encoder() -> Encoder:
    built = Encoder(CoderConfig(latent_dim=64, filters=4, depths=(1, 1, 1, 1, 1, 1, 2)))
    built.load_state_dict({n.removeprefix(START): w for n, w in toy_weights().items() if n.startswith(START)})
    return built


def voices(case: str) -> list[torch.Tensor]:
    """The case's recordings at their level, as they are."""
    golden = arrays(f"case_{case}")
    names = sorted(name for name in golden if name.startswith("voice_raw_"))
    return [torch.from_numpy(normalise_level(golden[name].numpy())) for name in names]


@pytest.mark.parametrize("kind", ["quiet", "peaky", "silence"])
def test_the_level_is_the_reference(kind: str) -> None:
    golden = arrays("components")
    ours = normalise_level(golden[f"norm_{kind}_in"].numpy())
    assert ours.dtype == np.float32
    assert share_of_limit("components", f"norm_{kind}_out", torch.from_numpy(ours), golden[f"norm_{kind}_out"]) <= 1


def test_a_level_does_not_change_what_it_was_given() -> None:
    wave = np.full(100, 0.5, np.float32)
    normalise_level(wave)
    assert (wave == 0.5).all()


@pytest.mark.parametrize("wave", [[], [0.1, np.nan], [np.inf]])
def test_a_level_of_what_is_no_sound_is_refused(wave: list[float]) -> None:
    with pytest.raises(InputError):
        normalise_level(np.array(wave, np.float32))


@pytest.mark.parametrize("case", "abd")
@pytest.mark.parametrize("chunk_frames", [1, 5, 100])
def test_voices_of_whole_runs(case: str, chunk_frames: int) -> None:
    golden = arrays(f"case_{case}")
    waves = voices(case)
    longest = max(wave.numel() for wave in waves)
    # The reference lengthens a shorter voice with silence, and we do not: it is done here.
    padded = [F.pad(wave, (0, longest - wave.numel())) for wave in waves]
    torch.testing.assert_close(torch.stack(padded), golden["speech_tensors"], atol=5e-7, rtol=0)
    mean = torch.stack([encode_voice(encoder(), wave, chunk_frames=chunk_frames) for wave in padded])
    assert share_of_limit("case", "voice_mean", mean, golden["voice_mean"]) <= 1
    draws = zip(mean, golden["voice_noise"], golden["voice_noise_std"], strict=True)
    latent = torch.stack([with_noise(one, noise, factor, NOISE_STD) for one, noise, factor in draws])
    assert share_of_limit("case", "voice_latent", latent, golden["voice_latent"]) <= 1
    weights = toy_weights()
    scaled = to_scaled(latent, weights["model.speech_bias_factor"], weights["model.speech_scaling_factor"])
    assert share_of_limit("case", "voice_scaled", scaled, golden["voice_scaled"]) <= 1


@pytest.mark.parametrize("length", [36000, 24001, 3199, 1, 6401])
@pytest.mark.parametrize("chunk_frames", [1, 2, 100])
def test_a_recording_is_encoded_as_long_as_it_is(length: int, chunk_frames: int) -> None:
    golden = arrays("components")
    mean = encode_voice(encoder(), golden["wave_2s"][:length], chunk_frames=chunk_frames)
    assert share_of_limit("components", f"aenc_len{length}_mean", mean, golden[f"aenc_len{length}_mean"]) <= 1


def test_no_recording_is_refused() -> None:
    with pytest.raises(InputError, match="no sample"):
        encode_voice(encoder(), torch.empty(0))


@pytest.mark.parametrize("case", "ad")
def test_the_draws_for_one_voice_are_the_reference(case: str) -> None:
    golden = arrays(f"case_{case}")
    seed = read_json("cases.json")["cases"][case]["torch_seed"]
    frames = golden["voice_noise"].shape[1]
    factor, noise = draw_noise(frames, 64, torch.Generator().manual_seed(seed))
    assert torch.equal(factor, golden["voice_noise_std"][0])
    assert torch.equal(noise, golden["voice_noise"][0])


def test_noise_keeps_the_dtype_of_the_mean() -> None:
    factor, noise = draw_noise(3, 64, torch.Generator().manual_seed(1))
    assert with_noise(torch.zeros(3, 64, dtype=torch.bfloat16), noise, factor, NOISE_STD).dtype == torch.bfloat16


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors made under it that are still alive, views included."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (list, tuple)) else [out]:
            if isinstance(tensor, torch.Tensor) and not any(tensor is given for given in args):
                self.live += tensor.nbytes
                weakref.finalize(tensor, self._forget, tensor.nbytes)
        self.peak = max(self.peak, self.live)
        return out

    def _forget(self, count: int) -> None:
        self.live -= count


def peak_bytes(frames: int, chunk_frames: int) -> int:
    wave = torch.zeros(frames * SAMPLES_PER_FRAME)
    with LiveBytes() as counted:
        encode_voice(encoder(), wave, chunk_frames=chunk_frames)
    return int(counted.peak - wave.nbytes)  # its pieces are views, and were counted


def test_memory_does_not_grow_with_the_recording() -> None:
    short, long = peak_bytes(8, 4), peak_bytes(64, 4)
    assert long < 1.1 * short
    assert peak_bytes(64, 64) > 5 * long, "the measure sees what it is to see"

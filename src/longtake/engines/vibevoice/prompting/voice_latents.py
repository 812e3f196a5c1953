"""From a voice's recording to the latents of its prompt: level, encoding in pieces, noise, scale. Knows no prompt.

A voice is encoded alone and as long as it is. The reference pads the voices of one prompt with silence to the longest
and draws their noise together, so that a voice there depends on its companions. Alone both are the same.

Shape suffixes: T samples, K frames, D latent channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from longtake.core.errors import InputError
from longtake.engines.vibevoice.network.codec import Encoder

TARGET_LEVEL_DBFS = -25.0
_EPS = 1e-6
CHUNK_FRAMES = 8  # about a second: the quickest per frame on a CPU, more spills its cache


def normalise_level(wave_T: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The recording at an RMS level of -25 dBFS, or less where its peak would pass full scale.

    Args:
        wave_T: Mono, float32 (or wider: it is rounded first), full scale is 1.

    Raises:
        InputError: It is empty, or holds a value that is not a finite number.
    """
    if not wave_T.size:
        raise InputError("The recording of the voice holds no sample.", code="empty_audio")
    wave_T = wave_T.astype(np.float32, copy=False)
    rms = np.sqrt(np.mean(np.square(wave_T, dtype=np.float64)))
    if not np.isfinite(rms):
        raise InputError("The recording of the voice holds a sample that is not a finite number.", code="bad_audio")
    levelled_T = wave_T * np.float32(10 ** (TARGET_LEVEL_DBFS / 20) / (rms + _EPS))
    peak = np.abs(levelled_T).max()
    return levelled_T / (peak + np.float32(_EPS)) if peak > 1 else levelled_T


def encode_voice(encoder: Encoder, wave_T: torch.Tensor, *, chunk_frames: int = CHUNK_FRAMES) -> torch.Tensor:
    """The means of a voice's latents. Memory for what lies between does not grow with the length of the recording.

    Args:
        encoder: The acoustic one.
        wave_T: Normalised, 24 kHz, any dtype and device, at least one sample.
        chunk_frames: Frames encoded at once.

    Returns:
        Means [K, D], K the number of frames begun, with the encoder's dtype and device.

    Raises:
        InputError: There is no sample.
    """
    if not wave_T.numel():
        raise InputError("The recording of the voice holds no sample.", code="empty_audio")
    weight = next(encoder.parameters())
    state = encoder.init_state(1, weight.dtype, weight.device)
    pieces = torch.split(wave_T, chunk_frames * encoder.config.samples_per_frame)
    means = [
        encoder.step(piece.to(weight).view(1, 1, -1), state, last=number == len(pieces))[0]
        for number, piece in enumerate(pieces, 1)
    ]
    return torch.cat(means)


def draw_noise(frames: int, latent_dim: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """What `with_noise` needs for one voice: its factor [] and its noise [K, D], standard normal, float32, on the CPU.

    With a CPU generator, the numbers that the reference draws there for a prompt with this one voice: the noise is
    filled through a transposed layout, in which PyTorch draws in another order.
    """
    factor = torch.empty(1).normal_(generator=generator)
    noise_KD = torch.empty(1, latent_dim, frames).transpose(1, 2).normal_(generator=generator)[0]
    return factor[0], noise_KD


def with_noise(mean_KD: torch.Tensor, noise_KD: torch.Tensor, factor: torch.Tensor, noise_std: float) -> torch.Tensor:
    """``mean + noise_std * factor * noise``: latents as the model was trained on them.

    The factor is one normal draw for the whole voice, so how much noise a voice gets is itself a matter of chance.

    Args:
        noise_std: `VibeVoiceConfig.noise_std`.
    """
    return mean_KD + ((noise_std * factor) * noise_KD).to(mean_KD)


def to_scaled(latent_KD: torch.Tensor, bias: torch.Tensor | float, scaling: torch.Tensor | float) -> torch.Tensor:
    """``(latent + bias) * scaling``, the space of the diffusion head and of the acoustic connector."""
    return (latent_KD + bias) * scaling

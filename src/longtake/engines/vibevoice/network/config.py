"""What shape a VibeVoice model has."""

from __future__ import annotations

import math
from dataclasses import dataclass

from longtake.engines.vibevoice.network.quantization import Quantization
from longtake.nn.decoder_config import DecoderConfig

SAMPLES_PER_FRAME = 3200  # at 24 kHz: 7.5 frames a second
LATENT_DIM = 64


@dataclass(frozen=True, slots=True)
class CoderConfig:
    """One side of a codec: an encoder, or the acoustic decoder.

    Attributes:
        latent_dim: Channels of a frame: 64 acoustic, 128 semantic.
        filters: Channels next to the waveform; they double with every stage.
        depths: Blocks of each stage, from the waveform inwards (a decoder runs them from the last to the first).
        ratios: Strides between the stages, from the latent outwards: (8, 5, 5, 4, 2, 2).
    """

    latent_dim: int
    filters: int
    depths: tuple[int, ...]
    ratios: tuple[int, ...] = (8, 5, 5, 4, 2, 2)
    norm_eps: float = 1e-5

    @property
    def samples_per_frame(self) -> int:
        return math.prod(self.ratios)


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """The diffusion head. Its width is the decoder's."""

    hidden_size: int
    layers: int = 4
    ffn_ratio: float = 3.0
    latent_dim: int = LATENT_DIM
    norm_eps: float = 1e-5

    @property
    def ffn_size(self) -> int:
        return int(self.hidden_size * self.ffn_ratio)


@dataclass(frozen=True, slots=True)
class VibeVoiceConfig:
    """A whole model.

    Attributes:
        noise_std: Scale of the noise on a voice's latents, before its own random factor: fix_std / 0.8.
        quantization: How some of its matrices are written; None: in full.
    """

    decoder: DecoderConfig
    acoustic: CoderConfig
    semantic: CoderConfig
    head: HeadConfig
    noise_std: float = 0.625
    quantization: Quantization | None = None

    @property
    def window(self) -> int:
        """Positions of the decoder: what prompt and frames of one passage share."""
        return self.decoder.max_position_embeddings

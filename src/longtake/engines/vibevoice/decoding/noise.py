"""Noise that depends on (seed, frame) alone: not on who shares the batch, on a restart, or on the device."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from longtake.engines.vibevoice.network.config import LATENT_DIM

_BLOCK_FRAMES = 32  # drawn at once: making a generator costs more than the numbers


class FrameNoise:
    """Normal noise for the frames of one passage, drawn on the CPU.

    Args:
        seed: Of the passage.
        step_count: Steps for which the stochastic solver needs noise; 0 for the other solver.
    """

    def __init__(self, seed: int, step_count: int = 0) -> None:
        self._seed = seed
        self._step_count = step_count
        self._block = -1
        self._noise_BN64 = torch.empty(0)

    def draw(self, frame: int) -> tuple[Tensor, Tensor | None]:
        """The noise that frame begins with, (64,), and that of its solver steps, (S, 64), or None; both float32."""
        block, place = divmod(frame, _BLOCK_FRAMES)
        if block != self._block:
            self._noise_BN64 = normal((_BLOCK_FRAMES, 1 + self._step_count, LATENT_DIM), self._seed, block)
            self._block = block
        noise_N64 = self._noise_BN64[place]
        return noise_N64[0], noise_N64[1:] if self._step_count else None


def normal(shape: tuple[int, ...], *key: int | str) -> Tensor:
    """Standard normal float32 numbers that follow from the shape and the key."""
    digest = hashlib.sha256(":".join(map(str, key)).encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.randn(shape, generator=generator)

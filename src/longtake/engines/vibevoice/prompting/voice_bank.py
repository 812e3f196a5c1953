"""Voices as the model wants them: a recording is encoded once and kept as long as there is room. Knows no request."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from longtake.engines.vibevoice.network.codec import Encoder
from longtake.engines.vibevoice.network.config import SAMPLES_PER_FRAME
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.prompting.voice_latents import (
    draw_noise,
    encode_voice,
    normalise_level,
    to_scaled,
    with_noise,
)
from longtake.nn.memory import give_back

DEFAULT_ROOM_BYTES = 64 << 20  # a minute of voice is 115 KB


class Recordings(Protocol):
    """Where recordings come from."""

    def samples(self, voice_id: str) -> int:
        """How long it is, at 24 kHz. Raises NotFoundError for an unknown voice."""
        ...

    def recording(self, voice_id: str) -> NDArray[np.int16]:
        """The samples, mono, 24 kHz. Raises NotFoundError for an unknown voice."""
        ...


class VoiceBank:
    """The latents of voices, the least recently used forgotten first.

    Args:
        load_encoder: Loads the acoustic encoder for as long as a new voice is encoded: it is an eighth of the model,
            and speaking does not need it. None: the model has kept its own.
        room_bytes: How much is kept.
    """

    def __init__(
        self,
        model: VibeVoiceModel,
        recordings: Recordings,
        *,
        load_encoder: Callable[[], Encoder] | None = None,
        room_bytes: int = DEFAULT_ROOM_BYTES,
    ) -> None:
        self._model = model
        self._load_encoder = load_encoder
        self._recordings = recordings
        self._room_bytes = room_bytes
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()
        self.hits = 0
        self.misses = 0

    @property
    def used_bytes(self) -> int:
        return sum(mean_KD.nbytes for mean_KD in self._kept.values())

    def frames(self, voice_id: str) -> int:
        """How many frames the voice has in a prompt; nothing is encoded."""
        return math.ceil(self._recordings.samples(voice_id) / SAMPLES_PER_FRAME)

    def clear(self) -> None:
        """Forget all latents."""
        self._kept.clear()

    def latents(self, voice_id: str, *, is_noisy: bool) -> Tensor:
        """Latents of a voice in scaled space, (K, D) float32, on the CPU.

        Args:
            is_noisy: With the noise of the reference's encoder: its strength is drawn once for a voice. Ours follows
                from the recording, so a voice sounds the same in every job and every passage.
        """
        pcm_T = self._recordings.recording(voice_id)
        content = hashlib.sha256(pcm_T.tobytes()).digest()
        mean_KD = self._mean(content, pcm_T)
        model = self._model
        if is_noisy:
            generator = torch.Generator().manual_seed(int.from_bytes(content[:8], "big") >> 1)
            factor, noise_KD = draw_noise(len(mean_KD), mean_KD.shape[1], generator)
            mean_KD = with_noise(mean_KD, noise_KD, factor, model.config.noise_std)
        return to_scaled(mean_KD, model.speech_bias_factor.cpu(), model.speech_scaling_factor.cpu())

    def _mean(self, content: bytes, pcm_T: NDArray[np.int16]) -> Tensor:
        kept = self._kept.get(content)
        if kept is not None:
            self._kept.move_to_end(content)
            self.hits += 1
            return kept
        self.misses += 1
        wave_T = torch.from_numpy(normalise_level(pcm_T.astype(np.float32) / 32768))
        if self._load_encoder:
            give_back()  # what levelling took, before the encoder comes: this is where a worker holds the most
        encoder = self._load_encoder() if self._load_encoder else self._model.acoustic_tokenizer.encoder
        assert encoder is not None, "a model that has shed its encoder comes with a way to load it"  # noqa: S101
        mean_KD = encode_voice(encoder, wave_T).float().cpu()
        if self._load_encoder:
            del encoder, wave_T
            give_back()
        self._kept[content] = mean_KD
        while self.used_bytes > self._room_bytes and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return mean_KD

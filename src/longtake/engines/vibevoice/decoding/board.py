"""What the parts of a step hand to each other and to the host: a place for each stream, at addresses that never move.

Shape suffixes: S slots and one more, H hidden size, T samples of a frame.
"""

from __future__ import annotations

import torch
from torch import Tensor

from longtake.engines.vibevoice.decoding.feed import LATENTS, SEMANTICS
from longtake.engines.vibevoice.network.config import SAMPLES_PER_FRAME
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS
from longtake.nn.mirror import Mirror, to_device
from longtake.nn.streaming import Rows

FEATURES = 192


class Board:
    """A row for each slot, and a spare one behind them that fills a batch up: what stands there means nothing.

    | tensor | shape | written by |
    |---|---|---|
    | input_SH | S, H | `write_input`, `write_token`, coding: the embedding that the next step reads |
    | guidance_S | S, float32 | who opens a stream |
    | positive_SH, negative_SH | S, H | decoding: hidden states of both branches |
    | logits_S4, verdict_S2 | S, 4; S, 2 int64 | decoding; which is the highest, and whether all are finite |
    | features_S192 | S, 192 float32 | diffusion: latents in scaled space; coding: semantic features |
    | vae_latent_S64 | S, 64 float32 | coding: the latents as the acoustic decoder got them |
    | wave_ST, pcm_ST | S, 3200; int16 | coding |
    | acoustic_SH, meaning_SH | S, H | coding: both parts of the next input |
    | control_4H | 4, H | nobody: embeddings of `CONTROL_TOKENS` |
    """

    def __init__(self, model: VibeVoiceModel, slots: int) -> None:
        device, kind, codec = model.device, model.dtype, model.codec_dtype
        hidden, rows = model.config.decoder.hidden_size, slots + 1

        def zeros(*shape: int, dtype: torch.dtype) -> Tensor:
            return torch.zeros(rows, *shape, dtype=dtype, device=device)

        self.spare = slots
        self.input_SH = zeros(hidden, dtype=kind)
        self.guidance_S = zeros(dtype=torch.float32)
        self.positive_SH = zeros(hidden, dtype=kind)
        self.negative_SH = zeros(hidden, dtype=kind)
        self.logits_S4 = zeros(len(CONTROL_TOKENS), dtype=kind)
        self.verdict_S2 = zeros(2, dtype=torch.int64)
        self.features_S192 = zeros(FEATURES, dtype=torch.float32)
        self.latent_S64, self.semantic_S128 = self.features_S192[:, LATENTS], self.features_S192[:, SEMANTICS]
        self.vae_latent_S64 = zeros(model.config.acoustic.latent_dim, dtype=torch.float32)
        self.wave_ST = zeros(SAMPLES_PER_FRAME, dtype=codec)
        self.pcm_ST = zeros(SAMPLES_PER_FRAME, dtype=torch.int16)
        self.acoustic_SH = zeros(hidden, dtype=kind)
        self.meaning_SH = zeros(hidden, dtype=kind)
        embedding = model.language_model.embed_tokens.weight.detach()
        self.control_4H = to_device(embedding[list(CONTROL_TOKENS)], device)
        self.verdicts = Mirror([self.verdict_S2], copies=1)
        # Two: those of a frame are read while the next one is spoken.
        self.frames = Mirror([self.features_S192, self.pcm_ST], copies=2)

    @property
    def bytes(self) -> int:
        return sum(each.nbytes for each in vars(self).values() if isinstance(each, Tensor) and each._base is None)

    def write_input(self, slot: int, input_H: Tensor) -> None:
        self.input_SH[slot].copy_(input_H)

    def write_token(self, slot: int, token: int) -> None:
        """The next input is a control token."""
        self.input_SH[slot].copy_(self.control_4H[CONTROL_TOKENS.index(token)])


def put(target_SX: Tensor, rows: Rows, value_BX: Tensor) -> None:
    """Write the rows of a batch to their slots, in the target's type."""
    if isinstance(rows, Tensor):
        target_SX.index_copy_(0, rows, value_BX.to(target_SX.dtype))
    else:
        target_SX[rows] = value_BX

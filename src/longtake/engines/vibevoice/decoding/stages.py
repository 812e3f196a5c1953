"""The three parts of a step, for the streams in some slots of the board. Knows no request, no token and no graph.

    decode   input → decoder, both branches as rows of one batch → control head → logits and a verdict on them
    diffuse  hidden states of both branches and noise → guided diffusion → latent
    code     latent → acoustic decoder → samples → semantic encoder; the next input is the sum of both connectors

They read and write the board and the convolutions' states, and nothing else. None of them waits for the device or looks
at a number: so a part can be recorded and told again (`graphs`).

Shape suffixes: B streams, N = 2 B rows of both branches, H hidden size, S steps of the solver, T samples of a frame.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from longtake.engines.vibevoice.decoding.board import Board, put
from longtake.engines.vibevoice.decoding.solver import SolverTable, sample, time_embeddings
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.nn.streaming import Rows, StreamState


class Stages:
    """The model over a board and its convolution states: a slot of each for every stream, and the spare one.

    Args:
        slots: How many streams there may be at a time.
    """

    def __init__(self, model: VibeVoiceModel, slots: int) -> None:
        self.model = model
        self.board = Board(model, slots)
        self.speaking: StreamState = model.acoustic_tokenizer.decoder.init_state(
            slots + 1, model.codec_dtype, model.device
        )
        self.hearing: StreamState = model.semantic_tokenizer.encoder.init_state(
            slots + 1, model.codec_dtype, model.device
        )
        self._times: dict[SolverTable, Tensor] = {}

    @property
    def bytes(self) -> int:
        return self.board.bytes + self.speaking.bytes + self.hearing.bytes

    def decode(self, rows: Rows, read: Callable[[Tensor], Tensor]) -> None:
        """
        Args:
            read: The decoder: embeddings of the positive branches, then of the negative ones, to hidden states, (N, H).
        """
        board = self.board
        x_BH = board.input_SH[rows]
        h_pos_BH, h_neg_BH = read(torch.cat((x_BH, x_BH))).chunk(2)
        logits_B4 = self.model.control_head(h_pos_BH)
        put(board.positive_SH, rows, h_pos_BH)
        put(board.negative_SH, rows, h_neg_BH)
        put(board.logits_S4, rows, logits_B4)
        put(board.verdict_S2, rows, torch.stack((logits_B4.argmax(-1), logits_B4.isfinite().all(-1).long()), 1))

    def diffuse(self, rows: Rows, table: SolverTable, noise_B64: Tensor, step_noise_BS64: Tensor | None) -> None:
        """
        Args:
            noise_B64: float32, on the device.
            step_noise_BS64: Likewise, for the stochastic solver.
        """
        board = self.board
        latent_B64 = sample(
            self.model.prediction_head,
            table,
            board.positive_SH[rows],
            board.negative_SH[rows],
            noise_B64,
            board.guidance_S[rows],
            step_noise_BS64,
            self.times(table),
        )
        put(board.latent_S64, rows, latent_B64)

    def code(self, rows: Rows) -> None:
        model, board = self.model, self.board
        latent_B64 = board.latent_S64[rows]
        vae_B64 = self.to_vae(latent_B64)
        wave_B1T = model.acoustic_tokenizer.decoder.step(vae_B64[:, None].to(model.codec_dtype), self.speaking, rows)
        semantic_B128 = model.semantic_tokenizer.encoder.step(wave_B1T, self.hearing, rows)[:, 0]
        acoustic_BH = model.acoustic_connector(latent_B64.to(model.dtype))
        meaning_BH = model.semantic_connector(semantic_B128.to(model.dtype))
        put(board.input_SH, rows, acoustic_BH + meaning_BH)
        put(board.vae_latent_S64, rows, vae_B64)
        put(board.wave_ST, rows, wave_B1T[:, 0])
        put(board.pcm_ST, rows, to_pcm(wave_B1T[:, 0]))
        put(board.semantic_S128, rows, semantic_B128)
        put(board.acoustic_SH, rows, acoustic_BH)
        put(board.meaning_SH, rows, meaning_BH)

    def reset(self, slot: int) -> None:
        """The convolutions of a slot forget what they heard."""
        self.speaking.reset(slice(slot, slot + 1))
        self.hearing.reset(slice(slot, slot + 1))

    def replay(self, slot: int, latent_F64: Tensor) -> None:
        """Let the convolutions of a slot hear these frames again; nothing else is kept of them."""
        model, row = self.model, slice(slot, slot + 1)
        vae_1F64 = self.to_vae(latent_F64)[None].to(model.codec_dtype)
        wave_11T = model.acoustic_tokenizer.decoder.step(vae_1F64, self.speaking, row)
        model.semantic_tokenizer.encoder.step(wave_11T, self.hearing, row)

    def times(self, table: SolverTable) -> Tensor:
        """Made once for each number of steps, of which there are a hundred."""
        if table not in self._times:
            self._times[table] = time_embeddings(self.model.prediction_head, table)
        return self._times[table]

    def to_vae(self, latent_B64: Tensor) -> Tensor:
        """From scaled space to what the acoustic decoder reads, float32."""
        return latent_B64 / self.model.speech_scaling_factor.float() - self.model.speech_bias_factor.float()


def to_pcm(wave_BT: Tensor) -> Tensor:
    """Samples of -1 … 1 as int16, clipped; what is not finite is anything."""
    return (wave_BT.float() * 32767).round().clamp(-32768, 32767).short()

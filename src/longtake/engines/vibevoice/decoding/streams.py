"""Streams of speech and what a step gives to each. Knows no model.

Shape suffixes: H hidden size, T samples of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from longtake.engines.vibevoice.decoding.board import Board
from longtake.engines.vibevoice.decoding.noise import FrameNoise
from longtake.engines.vibevoice.decoding.solver import SolverTable
from longtake.engines.vibevoice.decoding.tokens import Chooser
from longtake.nn.kv import Segment
from longtake.nn.mirror import Fetched


@dataclass(slots=True, eq=False)
class Stream:
    """A stream of speech in its places.

    | state | |
    |---|---|
    | positive, negative | rows of the KV store |
    | slot | of the board and of both convolution states |
    | position, context | tokens that count in the positive and in the negative row |
    | step, frame | how many steps and frames of this passage are done |
    """

    positive: int
    negative: int
    slot: int
    chooser: Chooser
    noise: FrameNoise
    table: SolverTable
    position: int = 0
    context: int = 0
    step: int = 0
    frame: int = 0

    @property
    def segments(self) -> tuple[Segment, Segment]:
        """Where the next token stands, in the positive and in the negative branch."""
        return Segment(self.positive, self.position, 1), Segment(self.negative, self.context, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a step gave to one stream.

    Attributes:
        frame: Only if the token is DIFFUSION.
        error: Why the stream cannot go on; it is to be closed, and the others never notice. The token is EOS then.
            FloatingPointError: its logits are not finite.
    """

    token: int
    place: Place
    frame: Frame | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A stream's place on the board: tensors on the device, written over by the stream's next step."""

    board: Board
    slot: int

    @property
    def hidden_H(self) -> Tensor:
        """Of the positive branch."""
        return self.board.positive_SH[self.slot]

    @property
    def negative_H(self) -> Tensor:
        return self.board.negative_SH[self.slot]

    @property
    def logits_4(self) -> Tensor:
        """In the order of `CONTROL_TOKENS`."""
        return self.board.logits_S4[self.slot]

    @property
    def latent_64(self) -> Tensor:
        """In scaled space, float32; this and the following of a frame."""
        return self.board.latent_S64[self.slot]

    @property
    def vae_latent_64(self) -> Tensor:
        """As the acoustic decoder got it."""
        return self.board.vae_latent_S64[self.slot]

    @property
    def wave_T(self) -> Tensor:
        """3200 samples, nominally -1 … 1."""
        return self.board.wave_ST[self.slot]

    @property
    def semantic_128(self) -> Tensor:
        """Features of those samples."""
        return self.board.semantic_S128[self.slot]

    @property
    def acoustic_H(self) -> Tensor:
        return self.board.acoustic_SH[self.slot]

    @property
    def semantic_H(self) -> Tensor:
        return self.board.meaning_SH[self.slot]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame of speech on its way to the host, where it is true until the frame after the next is spoken."""

    _fetched: Fetched
    _slot: int

    @property
    def features_192(self) -> Tensor:
        """What the trace keeps: latent and semantic features, float32. Waits for the device, if it is not done."""
        return self._fetched.wait()[0][self._slot]

    @property
    def pcm_T(self) -> Tensor:
        """3200 samples, int16. Waits likewise."""
        return self._fetched.wait()[1][self._slot]

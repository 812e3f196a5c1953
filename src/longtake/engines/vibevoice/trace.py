"""What was decided at each step of a passage: enough to go on behind it. Bytes that can be put one behind the other.

A step is one byte, the index of its token in `CONTROL_TOKENS`; a frame's is followed by its latent in scaled space and
its semantic features, (64 + 128) little-endian float32. Ten seconds of speech are 57 KB; keys, values and the state of
the convolutions follow from it and are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtake.core.errors import InvariantError
from longtake.engines.vibevoice.config import LATENT_DIM
from longtake.engines.vibevoice.names import CONTROL_TOKENS, DIFFUSION, END, EOS

SEMANTIC_DIM = 128
_WIDTH = LATENT_DIM + SEMANTIC_DIM
_FRAME = CONTROL_TOKENS.index(DIFFUSION)
_FRAME_BYTES = 4 * _WIDTH


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The steps of a passage, or of several one behind the other.

    Attributes:
        tokens: The token of each step.
        features_F192: Of each frame, float32: latent in scaled space, then semantic features.
    """

    tokens: tuple[int, ...]
    features_F192: NDArray[np.float32]

    @property
    def frames(self) -> int:
        return len(self.features_F192)

    def without_end(self) -> Trace:
        """The same without what ended it, so that speech goes on behind its last frame.

        Training saw one segment, START, all frames, END, EOS, whatever the number of turns: to the model, END in the
        middle of a script would be a stranger.
        """
        tokens = list(self.tokens)
        while tokens and tokens[-1] in (END, EOS):
            tokens.pop()
        return Trace(tuple(tokens), self.features_F192)


def write_step(token: int, features_192: NDArray[np.float32] | None) -> bytes:
    """One step; ``features_192`` for a frame, None for any other token."""
    body = b"" if features_192 is None else features_192.astype("<f4").tobytes()
    return bytes([CONTROL_TOKENS.index(token)]) + body


def _steps(data: bytes) -> Iterator[tuple[int, int]]:
    """Where each step begins, and the index of its token."""
    place = 0
    while place < len(data):
        kind = data[place]
        end = place + 1 + (_FRAME_BYTES if kind == _FRAME else 0)
        if kind >= len(CONTROL_TOKENS) or end > len(data):
            raise InvariantError(f"The trace is damaged at byte {place} of {len(data)}.")
        yield place, kind
        place = end


def read_trace(data: bytes) -> Trace:
    """
    Raises:
        InvariantError: It is not a trace; the store's checksum should have told.
    """
    tokens: list[int] = []
    frames: list[NDArray[np.float32]] = []
    for place, kind in _steps(data):
        tokens.append(CONTROL_TOKENS[kind])
        if kind == _FRAME:
            frames.append(np.frombuffer(data, "<f4", _WIDTH, place + 1))
    return Trace(tuple(tokens), np.stack(frames) if frames else np.empty((0, _WIDTH), np.float32))


def cut_trace(data: bytes, frames: int) -> tuple[bytes, int]:
    """The steps up to the end of the frame of that number, and how many frames those are: fewer if there are no more.

    Nothing of what followed that frame is kept: whether a turn or the whole ends behind it is decided anew.

    Raises:
        InvariantError: It is not a trace.
    """
    end = kept = 0
    for place, kind in _steps(data):
        if kept == frames:
            break
        if kind == _FRAME:
            end = place + 1 + _FRAME_BYTES
            kept += 1
    return data[:end], kept


def join_traces(traces: Sequence[Trace]) -> Trace:
    """One behind the other."""
    tokens = tuple(token for trace in traces for token in trace.tokens)
    return Trace(tokens, np.concatenate([np.empty((0, _WIDTH), np.float32), *(t.features_F192 for t in traces)]))

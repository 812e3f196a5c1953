"""What was decided at each step of a passage: enough to go on behind it. Bytes that can be put one behind the other.

A step is one byte, the index of its token in `CONTROL_TOKENS`; a frame's is followed by its latent in scaled space and
its semantic features, (64 + 128) little-endian float32. Ten seconds of speech are 57 KB; keys, values and the state of
the convolutions follow from it and are not kept. Before the steps of each piece stands a head, which is no step: the
byte 255, the fingerprint of the weights that chose them (8 bytes), the length of their name and the name in UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtake.core.errors import InvariantError
from longtake.engines.vibevoice.network.config import LATENT_DIM
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS, DIFFUSION, END, EOS

SEMANTIC_DIM = 128
_WIDTH = LATENT_DIM + SEMANTIC_DIM
_FRAME = CONTROL_TOKENS.index(DIFFUSION)
_FRAME_BYTES = 4 * _WIDTH
_HEAD = 255
FINGERPRINT_BYTES = 8
_NAME_AT = 2 + FINGERPRINT_BYTES
_MAX_NAME_BYTES = 255


@dataclass(frozen=True, slots=True)
class Weights:
    """What chose the steps. The fingerprint tells weights apart; the name is for people.

    Attributes:
        fingerprint: `FINGERPRINT_BYTES` bytes (`fingerprint`).
    """

    fingerprint: bytes
    name: str

    def __str__(self) -> str:
        return f"{self.name} (weights {self.fingerprint.hex()})"


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The steps of a passage, or of several one behind the other.

    Attributes:
        tokens: The token of each step.
        features_F192: Of each frame, float32: latent in scaled space, then semantic features.
        weights: All that chose steps of it, in order of appearance, as far as their heads are there.
    """

    tokens: tuple[int, ...]
    features_F192: NDArray[np.float32]
    weights: tuple[Weights, ...] = ()

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
        return Trace(tuple(tokens), self.features_F192, self.weights)


def write_step(token: int, features_192: NDArray[np.float32] | None) -> bytes:
    """One step; ``features_192`` for a frame, None for any other token."""
    body = b"" if features_192 is None else features_192.astype("<f4").tobytes()
    return bytes([CONTROL_TOKENS.index(token)]) + body


def write_head(weights: Weights) -> bytes:
    """What stands before the steps of a piece; a name is cut where it is longer than 255 bytes."""
    name = weights.name.encode()[:_MAX_NAME_BYTES]
    return bytes([_HEAD]) + weights.fingerprint + bytes([len(name)]) + name


def _steps(data: bytes) -> Iterator[tuple[int, int]]:
    """Where each step begins, and the index of its token; `_HEAD` for a head, which is no step."""
    place = 0
    while place < len(data):
        kind = data[place]
        end = place + 1 + (_FRAME_BYTES if kind == _FRAME else 0)
        if kind == _HEAD:
            end = place + _NAME_AT + (data[place + _NAME_AT - 1] if place + _NAME_AT <= len(data) else 0)
        if (kind >= len(CONTROL_TOKENS) and kind != _HEAD) or end > len(data):
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
    weights: list[Weights] = []
    for place, kind in _steps(data):
        if kind == _HEAD:
            weights.append(_read_head(data[place : place + _NAME_AT + _MAX_NAME_BYTES]))
            continue
        tokens.append(CONTROL_TOKENS[kind])
        if kind == _FRAME:
            frames.append(np.frombuffer(data, "<f4", _WIDTH, place + 1))
    features_F192 = np.stack(frames) if frames else np.empty((0, _WIDTH), np.float32)
    return Trace(tuple(tokens), features_F192, _distinct(weights))


def _read_head(data: bytes) -> Weights:
    name = data[_NAME_AT : _NAME_AT + data[_NAME_AT - 1]]
    return Weights(data[1 : 1 + FINGERPRINT_BYTES], name.decode(errors="replace"))


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
    weights = _distinct(each for trace in traces for each in trace.weights)
    features_F192 = np.concatenate([np.empty((0, _WIDTH), np.float32), *(t.features_F192 for t in traces)])
    return Trace(tokens, features_F192, weights)


def _distinct(found: Iterable[Weights]) -> tuple[Weights, ...]:
    by_fingerprint: dict[bytes, Weights] = {}
    for weights in found:
        by_fingerprint.setdefault(weights.fingerprint, weights)
    return tuple(by_fingerprint.values())

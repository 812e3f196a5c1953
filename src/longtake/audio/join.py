"""Joins passages into one stream, with silences and without clicks. Keeps the exact place of every passage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from longtake.audio.formats import Pcm
from longtake.core.errors import InvariantError
from longtake.core.units import SAMPLE_RATE_HZ, samples_of

_SILENCE_BLOCK_SAMPLES = SAMPLE_RATE_HZ


class Joiner:
    """Puts passages behind one another.

    Both edges of each passage are faded with half a raised cosine, inside the passage, so its length does not change.
    A passage shorter than two fades gets fades of half its length. Memory: one chunk and two fades, however long a
    passage is.

    Args:
        fade_s: Length of a fade. 5 ms is long enough to silence a jump and too short to be heard on speech.
    """

    def __init__(self, fade_s: float = 0.005) -> None:
        self._fade_samples = samples_of(fade_s)
        self._starts: list[int] = []
        self._samples = 0

    @property
    def samples(self) -> int:
        """Samples yielded so far."""
        return self._samples

    @property
    def starts(self) -> tuple[int, ...]:
        """Start sample of every passage begun so far (after its silence)."""
        return tuple(self._starts)

    def add(self, silence_before_s: float, chunks: Iterable[Pcm]) -> Iterator[Pcm]:
        """Yield the silence and then the passage, as int16 blocks. To be iterated to the end before the next `add`.

        Args:
            silence_before_s: Seconds of silence, rounded to the nearest sample.
            chunks: The passage, int16 at 24 kHz, in chunks of any length.

        Raises:
            InvariantError: The silence is negative or not a number.
        """
        if not (math.isfinite(silence_before_s) and silence_before_s >= 0):
            raise InvariantError(f"Silence before a passage must be 0 s or more, not {silence_before_s} s.")
        for block in self._silence(samples_of(silence_before_s)):
            self._samples += block.size
            yield block
        self._starts.append(self._samples)
        for block in self._faded(chunks):
            self._samples += block.size
            yield block

    @staticmethod
    def _silence(samples: int) -> Iterator[Pcm]:
        while samples > 0:
            size = min(samples, _SILENCE_BLOCK_SAMPLES)
            yield np.zeros(size, np.int16)
            samples -= size

    def _faded(self, chunks: Iterable[Pcm]) -> Iterator[Pcm]:
        fade = self._fade_samples
        held = np.empty(0, np.int16)  # the head until it is known to be long enough, later the last `fade` samples
        is_head = True
        for chunk in chunks:
            held = np.concatenate((held, chunk))
            if held.size <= (2 * fade if is_head else fade):
                continue
            ready, held = np.split(held, [held.size - fade])
            if is_head:
                ready = _faded_in(ready, fade)
                is_head = False
            yield ready
        if is_head:  # shorter than two fades
            fade = min(fade, held.size // 2)
            held = _faded_in(held, fade)
        if held.size:
            yield _faded_in(held[::-1], fade)[::-1]


def _faded_in(pcm: Pcm, fade: int) -> Pcm:
    """A copy of ``pcm`` whose first ``fade`` samples rise from near zero as half a raised cosine."""
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / max(fade, 1))
    faded = pcm.copy()
    faded[:fade] = np.rint(pcm[:fade] * rise).astype(np.int16)
    return faded

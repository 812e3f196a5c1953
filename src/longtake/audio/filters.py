"""Runs samples through a chain of FFmpeg's audio filters. Knows no purpose: see `loudness` and `probe`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph
from numpy.typing import NDArray

from longtake.core.units import SAMPLE_RATE_HZ


class FilterChain:
    """A chain of filters for a mono stream. One thread at a time; bounded memory.

    Args:
        steps: (filter, arguments) in the order of the stream.
        sample_format: What goes in, in FFmpeg's words: ``s16`` (int16) or ``flt`` (float32).
        sample_rate_hz: Of what goes in.
    """

    def __init__(
        self, steps: Sequence[tuple[str, str]], sample_format: str = "s16", sample_rate_hz: int = SAMPLE_RATE_HZ
    ) -> None:
        self._format = sample_format
        self._rate_hz = sample_rate_hz
        self._samples = 0
        self._graph = Graph()
        # One thread: results must not depend on the machine, and the filters are light.
        self._graph.threads = 1
        last = self._graph.add_abuffer(
            sample_rate=sample_rate_hz, format=sample_format, layout="mono", time_base=Fraction(1, sample_rate_hz)
        )
        for name, arguments in (*steps, ("abuffersink", "")):
            step = self._graph.add(name, arguments) if arguments else self._graph.add(name)
            last.link_to(step)
            last = step
        self._graph.configure()

    def push(self, samples: NDArray[Any]) -> Iterator[AudioFrame]:
        """Put in samples, shape (n,), in the chain's format; yield the frames that come out. Iterate to the end."""
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples)[np.newaxis], format=self._format, layout="mono")
        frame.sample_rate = self._rate_hz
        frame.time_base = Fraction(1, self._rate_hz)
        frame.pts = self._samples
        self._samples += frame.samples
        self._graph.push(frame)
        return self._pull()

    def finish(self) -> Iterator[AudioFrame]:
        """End the stream; yield what was still inside. Iterate to the end."""
        self._graph.push(None)
        return self._pull()

    def _pull(self) -> Iterator[AudioFrame]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            if isinstance(frame, AudioFrame):
                yield frame


def samples_in(frame: AudioFrame) -> NDArray[Any]:
    """The samples of a mono frame, shape (n,), in a copy that outlives the frame."""
    samples: NDArray[Any] = frame.to_ndarray()
    return samples.reshape(-1).copy()

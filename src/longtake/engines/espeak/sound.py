"""espeak-ng's samples, made into the house's: 24 kHz, the right pace, no long tail. Knows no text.

Every function makes its own filter, feeds it once and empties it, so no request hears another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from longtake.core.units import SAMPLE_RATE_HZ, samples_of
from longtake.engines.espeak.library import LIBRARY_RATE_HZ

_LONGEST_TAIL_S = 0.4
_TAIL_LEFT_S = 0.2
_QUIET = 32  # of 32,767: -60 dB

Pcm = NDArray[np.int16]


def to_house_rate(pcm_T: Pcm) -> Pcm:  # noqa: N803  (shape suffix)
    """22,050 Hz → 24,000 Hz; int16, mono."""
    if not pcm_T.size:
        return pcm_T
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    return _samples([*resampler.resample(_frame(pcm_T, LIBRARY_RATE_HZ)), *resampler.resample(None)])


def stretch(pcm_T: Pcm, tempo: float) -> Pcm:  # noqa: N803
    """Change the pace and keep the pitch; `tempo` 0.5 to 1.0, below 1.0 is slower. int16, mono, 24 kHz."""
    if not pcm_T.size:
        return pcm_T
    graph = Graph()
    source = graph.add_abuffer(
        sample_rate=SAMPLE_RATE_HZ, format="s16", layout="mono", time_base=Fraction(1, SAMPLE_RATE_HZ)
    )
    graph.link_nodes(source, graph.add("atempo", f"{tempo:.6f}"), graph.add("abuffersink")).configure()
    graph.push(_frame(pcm_T, SAMPLE_RATE_HZ))
    graph.push(None)
    return _samples(_pull(graph))


def without_long_tail(pcm_T: Pcm) -> Pcm:  # noqa: N803
    """Cut a silence of more than 0.4 s at the end to 0.2 s: the script decides on gaps. int16, mono, 24 kHz."""
    speech = speech_samples(pcm_T)
    return pcm_T[: speech + samples_of(_TAIL_LEFT_S)] if pcm_T.size - speech > samples_of(_LONGEST_TAIL_S) else pcm_T


def speech_samples(pcm_T: Pcm) -> int:  # noqa: N803
    """Number of samples up to the last one that can be heard."""
    loud = np.flatnonzero((pcm_T > _QUIET) | (pcm_T < -_QUIET))
    return int(loud[-1]) + 1 if loud.size else 0


def silence(seconds: float) -> Pcm:
    """Zeros at 24 kHz."""
    return np.zeros(samples_of(seconds), dtype=np.int16)


def _frame(pcm_T: Pcm, rate_hz: int) -> av.AudioFrame:  # noqa: N803
    frame = av.AudioFrame.from_ndarray(pcm_T[None, :], format="s16", layout="mono")
    frame.sample_rate = rate_hz
    frame.time_base = Fraction(1, rate_hz)
    frame.pts = 0
    return frame


def _samples(frames: Iterable[av.AudioFrame]) -> Pcm:
    parts = [frame.to_ndarray().reshape(-1) for frame in frames]
    return np.concatenate(parts).astype(np.int16, copy=False) if parts else np.zeros(0, dtype=np.int16)


def _pull(graph: Graph) -> Iterator[av.AudioFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        if isinstance(frame, av.AudioFrame):
            yield frame

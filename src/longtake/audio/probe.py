"""Measures a finished file: length, loudness, true peak. Believes what it decodes, never a header."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from longtake.audio.filters import FilterChain, samples_in
from longtake.audio.formats import AudioFormat
from longtake.core.errors import InputError
from longtake.core.units import SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Measured:
    """What a file truly holds.

    Attributes:
        seconds: Decoded samples over the sample rate (a lossy codec's run-in counts).
        sample_rate_hz: As decoded; Opus always decodes to 48 kHz.
        integrated_lufs: EBU R128; −70 where there is nothing but silence.
        true_peak_dbtp: Highest true peak; minus infinity for digital silence.
    """

    seconds: float
    sample_rate_hz: int
    integrated_lufs: float
    true_peak_dbtp: float


def decode_mono(path: Path) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (sample_rate_hz, samples) of a file's audio, block by block: mono, float32, −1 to 1, shape (n,).

    ``.pcm`` is taken as raw int16 at 24 kHz.

    Raises:
        InputError: ``unreadable_audio``, if it cannot be opened or holds no audio.
    """
    is_raw = path.suffix == AudioFormat.PCM.suffix
    options = {"sample_rate": str(SAMPLE_RATE_HZ), "ch_layout": "mono"} if is_raw else {}
    with ExitStack() as stack:
        try:
            container = stack.enter_context(av.open(str(path), format="s16le" if is_raw else None, options=options))
            stream = container.streams.audio[0]
        except (av.FFmpegError, OSError, IndexError) as error:
            raise InputError(f"{path} holds no audio that can be read: {error}.", code="unreadable_audio") from error
        resampler = av.AudioResampler(format="flt", layout="mono")
        for frame in container.decode(stream):
            for mono in resampler.resample(frame):
                yield mono.sample_rate, samples_in(mono)
        for mono in resampler.resample(None):
            yield mono.sample_rate, samples_in(mono)


def measure(path: Path) -> Measured:
    """Decode a file from end to end, in bounded memory, and measure it.

    Raises:
        InputError: ``unreadable_audio``, if it cannot be opened or holds no audio.
    """
    chain: FilterChain | None = None
    samples = rate_hz = 0
    lufs, peak = -70.0, 0.0

    def read(frame: AudioFrame) -> tuple[float, float]:
        meters = frame.metadata
        return float(meters.get("lavfi.r128.I", lufs)), max(peak, float(meters.get("lavfi.r128.true_peak", 0)))

    for rate_hz, block in decode_mono(path):
        chain = chain or FilterChain([("ebur128", "metadata=1:framelog=quiet:peak=true")], "flt", rate_hz)
        samples += block.size
        for frame in chain.push(block):
            lufs, peak = read(frame)
    if chain is None:
        return Measured(0.0, SAMPLE_RATE_HZ, lufs, float("-inf"))
    for frame in chain.finish():
        lufs, peak = read(frame)
    return Measured(samples / rate_hz, rate_hz, lufs, float(20 * np.log10(peak)) if peak > 0 else float("-inf"))

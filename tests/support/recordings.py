"""Sound files as users bring them, made here: no test needs a file from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

RATE_HZ = 24_000
CODECS = {
    ".wav": ("wav", "pcm_s16le"),
    ".flac": ("flac", "flac"),
    ".mp3": ("mp3", "libmp3lame"),
    ".m4a": ("ipod", "aac"),
    ".ogg": ("ogg", "libopus"),
    ".opus": ("ogg", "libopus"),
    ".webm": ("webm", "libopus"),
}


def voice(seconds: float = 3.0, *, pitch_hz: float = 140.0, rate_hz: int = RATE_HZ) -> NDArray[np.int16]:
    """A hummed vowel, −20 dBFS or so; another pitch is another recording."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    hum = sum(np.sin(2 * np.pi * k * pitch_hz * t) / k for k in range(1, 12))
    return np.rint(3000 * hum * (0.7 + 0.3 * np.sin(2 * np.pi * 3 * t))).astype(np.int16)


def write_file(path: Path, samples: NDArray[Any], *, rate_hz: int = RATE_HZ, codec: str | None = None) -> Path:
    """A sound file of the kind that its suffix names.

    Args:
        samples: int16 or float32, shape (n,) or (channels, n).
        rate_hz: Of the samples and, if the codec can, of the file.
        codec: Another than the usual one.
    """
    container, usual = CODECS[path.suffix]
    planes = np.atleast_2d(samples)
    layout = {1: "mono", 2: "stereo"}[planes.shape[0]]
    kind = "s16" if planes.dtype == np.int16 else "flt"
    with av.open(str(path), "w", format=container) as file:
        # Opus knows 48 kHz alone, and says so in every file.
        stream = cast("AudioStream", file.add_stream(codec or usual, rate=48_000 if usual == "libopus" else rate_hz))
        stream.layout = layout
        resampler = av.AudioResampler(
            format=stream.format, layout=layout, rate=stream.rate, frame_size=stream.frame_size or None
        )
        for start in range(0, planes.shape[1], rate_hz):
            block = np.ascontiguousarray(planes[:, start : start + rate_hz].T).reshape(1, -1)
            frame = AudioFrame.from_ndarray(block, format=kind, layout=layout)
            frame.sample_rate = rate_hz
            for resampled in resampler.resample(frame):
                file.mux(stream.encode(resampled))
        for resampled in resampler.resample(None):
            file.mux(stream.encode(resampled))
        file.mux(stream.encode(None))
    return path

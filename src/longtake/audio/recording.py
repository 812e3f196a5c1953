"""Reads a sound file that a user brought, as samples to speak with. Believes no header; knows no voice."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import InputContainer
from numpy.typing import NDArray

from longtake.audio.declared import declared_seconds
from longtake.audio.filters import samples_in
from longtake.audio.formats import Pcm
from longtake.core.errors import InputError
from longtake.core.units import SAMPLE_RATE_HZ, samples_of

MAX_READ_S = 61.0
LEAST_SHARE = 0.9  # of what the file says it holds; a header may count a codec's run-in
MIN_RATE_HZ = 16_000
MAX_RATE_HZ = 384_000
# Containers of sound, by the names of FFmpeg's demuxers. No playlist among them: those would open other files and
# addresses, and nothing that a file names is ever opened.
_CONTAINERS = "wav,w64,aiff,caf,mp3,aac,mov,flac,ogg,matroska"
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}


@dataclass(frozen=True, slots=True)
class ReadRecording:
    """A file's sound, mixed to mono, at 24 kHz.

    Attributes:
        pcm: At most `MAX_READ_S` of it.
        source_rate_hz: Of the file.
        channels: Of the file.
    """

    pcm: Pcm
    source_rate_hz: int
    channels: int


def read_recording(source: Path | bytes, *, name: str) -> ReadRecording:
    """Decode WAV, FLAC, MP3, M4A, AAC, Ogg, Opus, WebM, AIFF or CAF, and stop after `MAX_READ_S`.

    Time and memory are bounded by that, however long the file is.

    Args:
        source: A file, or the bytes of one.
        name: What messages call it.

    Raises:
        InputError: ``unreadable_file``; ``unreadable_audio``: no such file, or a damaged one; ``cut_short``: a good
            part of what it says it holds is missing; ``sample_rate_out_of_range``; ``invalid_samples``: NaN.
    """
    with ExitStack() as stack:
        try:
            file = io.BytesIO(source) if isinstance(source, bytes) else stack.enter_context(source.open("rb"))
        except OSError as error:
            raise InputError(
                f"{name} cannot be read: {error.strerror}.", code="unreadable_file", param="file"
            ) from error
        try:
            return _read(file, name)
        except (av.FFmpegError, ValueError, IndexError, OSError) as error:  # ValueError: it changes its kind halfway
            raise InputError(
                f"{name} holds no sound that can be read ({_reason(error)}). Bring a whole WAV, FLAC, MP3, M4A, Ogg or "
                "Opus file; another program may be able to convert it.",
                code="unreadable_audio",
                param="file",
            ) from error


def _read(file: IO[bytes], name: str) -> ReadRecording:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
    blocks: list[NDArray[np.float32]] = []
    rate_hz = channels = samples = 0
    with av.open(file, "r", options=_OPTIONS, metadata_errors="replace") as container:
        for rate_hz, block in _blocks(container, name):
            channels = block.shape[0]
            samples += block.shape[1]
            mono = block.mean(axis=0, dtype=np.float32)
            if not np.isfinite(mono).all():
                raise InputError(
                    f"{name} holds samples that are no numbers (NaN or infinite), near {samples / rate_hz:.1f} s. "
                    "Export it again from the program that made it.",
                    code="invalid_samples",
                    param="file",
                )
            blocks += map(samples_in, resampler.resample(_to_frame(mono, rate_hz)))
            if samples >= MAX_READ_S * rate_hz:
                break
        declared_s = declared_seconds(container, file)
    if not samples:
        raise ValueError("it is empty")
    read_s = samples / rate_hz
    if declared_s is not None and read_s < LEAST_SHARE * min(declared_s, MAX_READ_S):
        raise InputError(
            f"{name} is cut short: it says that it lasts {declared_s:.1f} s, and {read_s:.1f} s could be read. Copy or "
            "download it again; if that is all there is, export it from a program that plays it.",
            code="cut_short",
            param="file",
        )
    blocks += map(samples_in, resampler.resample(None))
    return ReadRecording(_to_pcm(np.concatenate(blocks)[: samples_of(MAX_READ_S)]), rate_hz, channels)


def _blocks(container: InputContainer, name: str) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(sample rate, samples of shape (channels, n)) of the file's first audio stream."""
    planes = av.AudioResampler(format="fltp")
    for decoded in container.decode(container.streams.audio[0]):
        if not MIN_RATE_HZ <= decoded.sample_rate <= MAX_RATE_HZ:
            raise _bad_rate(decoded.sample_rate, name)
        for frame in planes.resample(decoded):
            planar: NDArray[Any] = frame.to_ndarray()
            yield frame.sample_rate, planar


def _bad_rate(rate_hz: int, name: str) -> InputError:
    if rate_hz < MIN_RATE_HZ:
        message = (
            f"{name} has {rate_hz} samples a second, and at least {MIN_RATE_HZ} are needed: there is no sound above "
            f"{rate_hz / 2000:g} kHz in it, and the voice would be dull. Bring the recording as it was first made."
        )
    else:
        message = f"{name} has {rate_hz} samples a second; the limit is {MAX_RATE_HZ}. Convert it to 48000."
    return InputError(message, code="sample_rate_out_of_range", param="file")


def _to_frame(mono: NDArray[np.float32], rate_hz: int) -> AudioFrame:
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(mono)[np.newaxis], format="flt", layout="mono")
    frame.sample_rate = rate_hz
    return frame


def _to_pcm(samples: NDArray[np.float32]) -> Pcm:
    """int16; what is too loud for it, as floats may be, is turned down as a whole. int16 comes back as it was."""
    peak = max(1.0, float(np.abs(samples).max(initial=0.0)))
    pcm: Pcm = np.clip(np.rint(samples * (32768 / peak)), -32768, 32767).astype(np.int16)
    return pcm


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")

"""The six formats of finished audio: what each is called, and how it is made. Does not encode."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from longtake.core.errors import InputError
from longtake.core.units import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ

Pcm: TypeAlias = NDArray[np.int16]
"""Mono audio, shape (samples,), dtype int16, 24 kHz: what moves between the parts of this room."""


class AudioFormat(StrEnum):
    """A finished file's format, by the name that OpenAI's ``response_format`` uses."""

    WAV = "wav"
    MP3 = "mp3"
    OPUS = "opus"
    AAC = "aac"
    FLAC = "flac"
    PCM = "pcm"

    @property
    def media_type(self) -> str:
        """What a server says in ``Content-Type``."""
        return _RECIPES[self].media_type

    @property
    def suffix(self) -> str:
        """Ending of a file's name, with the dot."""
        return f".{self.value}"

    @property
    def bytes_per_s(self) -> float:
        """What a second of audio takes in a file, at most: all of its samples, or a quarter more than the bit rate."""
        bit_rate = _RECIPES[self].bit_rate
        return SAMPLE_RATE_HZ * BYTES_PER_SAMPLE if bit_rate is None else 1.25 * bit_rate / 8

    @property
    def recipe(self) -> Recipe:
        """How FFmpeg's libraries make it."""
        return _RECIPES[self]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one format is made.

    Attributes:
        media_type: The ``Content-Type``.
        container: Name of FFmpeg's muxer.
        codec: Name of FFmpeg's encoder.
        gain: Factor on the samples before the encoder. Where it is not 1, the encoder is fed with floats.
        bit_rate: Bits per second; None for lossless formats.
        is_patched: Whether closing rewrites the header. Where False, a byte once written never changes.
        muxer_options: For the muxer.
        codec_options: For the encoder.
        sample_format: What the encoder is fed with, in FFmpeg's words.
    """

    media_type: str
    container: str
    codec: str
    sample_format: str
    gain: float = 1.0
    bit_rate: int | None = None
    is_patched: bool = False
    muxer_options: dict[str, str] = field(default_factory=dict)
    codec_options: dict[str, str] = field(default_factory=dict)


_RECIPES = {
    # RF64 as soon as 4 GiB do not fit a RIFF header: 24.8 hours. The muxer leaves room for it (a JUNK chunk).
    AudioFormat.WAV: Recipe("audio/wav", "wav", "pcm_s16le", "s16", is_patched=True, muxer_options={"rf64": "auto"}),
    # Constant bit rate and no Xing frame: players compute the duration from the size, and no byte changes later.
    # LAME turns constant 64 kb/s down by 0.95 (its preset, out of reach through FFmpeg): measured 0.45 LU too quiet.
    # Fed with floats it takes 1/0.95 without clipping.
    # Level 7 (no noise shaping), since bits are plenty at this rate. Measured on a minute of espeak's speech, one core:
    #   level  s for 55 min  SNR      noise to signal, mean of 22 bands / worst band
    #     2        38        21.7 dB  -18.6 / -5.2 dB
    #     3        25        24.3 dB  -19.6 / -4.7 dB   (FFmpeg's default)
    #     5        22        24.0 dB  -19.5 / -5.0 dB
    #     7        13        30.7 dB  -22.8 / -3.2 dB   (9 is the same)
    AudioFormat.MP3: Recipe(
        "audio/mpeg",
        "mp3",
        "libmp3lame",
        "fltp",
        gain=1 / 0.95,
        bit_rate=64_000,
        muxer_options={"write_xing": "0", "id3v2_version": "0"},
        codec_options={"compression_level": "7"},
    ),
    # `audio/ogg` is the registered type of Ogg Opus files (RFC 7845) and the one that browsers admit to play;
    # `audio/opus` is registered for RTP packets, and `canPlayType("audio/opus")` is empty in several browsers.
    # Pages of half a second: with the muxer's default a listener would wait longer for the first audio.
    # Level 10 (the default), 23 s for 55 min: below 7 libopus no longer hears that it is speech, and takes 6 s,
    # but needs 45 kb/s for the same quality, or at 31 kb/s has 2.2 dB less SNR. `application=voip` measured worse.
    AudioFormat.OPUS: Recipe(
        "audio/ogg",
        "ogg",
        "libopus",
        "s16",
        bit_rate=32_000,
        muxer_options={"page_duration": "500000"},
        codec_options={"compression_level": "10"},
    ),
    # The fast coder: 11 s for 55 min against 47 s of the default one, and SNR 29.9 against 22.8 dB.
    # Either coder takes its rate as a wish: 70 to 80 kb/s were measured.
    AudioFormat.AAC: Recipe("audio/aac", "adts", "aac", "fltp", bit_rate=64_000, codec_options={"aac_coder": "fast"}),
    AudioFormat.FLAC: Recipe("audio/flac", "flac", "flac", "s16", is_patched=True),
    AudioFormat.PCM: Recipe("audio/pcm", "s16le", "pcm_s16le", "s16"),
}

OPUS_PAGE_S = 0.5
"""Seconds in an Ogg page. FFmpeg's muxer writes a page when the next one is complete."""


def parse_format(name: str) -> AudioFormat:
    """Find a format by its name.

    Raises:
        InputError: ``unknown_format``, if it is none of the six.
    """
    try:
        return AudioFormat(name.strip().lower())
    except ValueError:
        known = ", ".join(AudioFormat)
        raise InputError(
            f"Unknown audio format {name!r}. Use one of: {known}.", code="unknown_format", param="response_format"
        ) from None

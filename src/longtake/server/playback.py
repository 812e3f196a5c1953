"""Whether someone who listens while it is spoken would hear gaps. Knows no file and no HTTP."""

from __future__ import annotations

from collections.abc import Callable

from longtake.audio.formats import AudioFormat
from longtake.core.clock import Clock
from longtake.core.units import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ

GAP_S = 0.1  # shorter ones nobody hears behind a player's own buffer


class Playback:
    """Imagines a player that begins with the first byte, plays at normal pace, and stands still when it has nothing.

    How much audio the bytes are is taken from the format's bit rate. An encoder that needs more than its rate (AAC, by
    up to a quarter) makes us miss short gaps; none is made up. What has no fixed rate (FLAC) is not judged.
    """

    def __init__(self, audio_format: AudioFormat, clock: Clock, tell: Callable[[float], None]) -> None:
        """
        Args:
            tell: Called with the length of each gap, in seconds, when it ends.
        """
        self._bytes_per_s = _bytes_per_s(audio_format)
        self._clock = clock
        self._tell = tell
        self._plays_until_s: float | None = None

    def sent(self, size: int) -> None:
        """Bytes have come for the listener."""
        if self._bytes_per_s is None or not size:
            return
        now_s = self._clock.monotonic_s()
        until_s = now_s if self._plays_until_s is None else self._plays_until_s
        if now_s - until_s > GAP_S:
            self._tell(now_s - until_s)
        self._plays_until_s = max(until_s, now_s) + size / self._bytes_per_s


def _bytes_per_s(audio_format: AudioFormat) -> float | None:
    if audio_format in (AudioFormat.WAV, AudioFormat.PCM):
        return SAMPLE_RATE_HZ * BYTES_PER_SAMPLE
    bit_rate = audio_format.recipe.bit_rate
    return None if bit_rate is None else bit_rate / 8

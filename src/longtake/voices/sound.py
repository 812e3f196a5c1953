"""Is this recording good to speak with? Knows samples, no file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longtake.core.errors import InputError, InvariantError
from longtake.core.units import SAMPLE_RATE_HZ, seconds_of

MIN_RECORDING_S = 2.0
MAX_RECORDING_S = 60.0
# Speech, even whispered, is above this in every syllable; the noise of a muted microphone stays below.
SILENT_DBFS = -50.0
MIN_LOUD_S = 1.0
_FRAME_SAMPLES = SAMPLE_RATE_HZ // 20


def check_recording(pcm: NDArray[np.int16]) -> None:
    """
    Args:
        pcm: Mono, 24 kHz, int16.

    Raises:
        InputError: ``recording_too_short``, ``recording_too_long``, ``recording_silent``.
        InvariantError: These are no samples of that kind.
    """
    if pcm.dtype != np.int16 or pcm.ndim != 1:
        raise InvariantError(f"A recording is int16 in one dimension, not {pcm.dtype} in {pcm.ndim}.")
    seconds = seconds_of(pcm.size)
    if seconds < MIN_RECORDING_S:
        raise InputError(
            f"The recording is {seconds:.1f} s long; a voice needs at least {MIN_RECORDING_S:.0f} s, and 10 to 30 s of "
            "clean speech by one person are best. Record more.",
            code="recording_too_short",
            param="file",
        )
    if seconds > MAX_RECORDING_S:
        raise InputError(
            f"The recording is {seconds:.1f} s long or longer; the limit is {MAX_RECORDING_S:.0f} s, and more does not "
            "make the voice better. Cut out 10 to 30 s of clean speech by one person.",
            code="recording_too_long",
            param="file",
        )
    loud_s = _loud_seconds(pcm)
    if loud_s < MIN_LOUD_S:
        raise InputError(
            f"The recording is nearly silent: {loud_s:.1f} s of it are louder than {SILENT_DBFS:.0f} dBFS, and "
            f"{MIN_LOUD_S:.0f} s is needed. Record again, closer to the microphone, or turn the recording up.",
            code="recording_silent",
            param="file",
        )


def _loud_seconds(pcm: NDArray[np.int16]) -> float:
    """How much of it, in frames of 50 ms, is above `SILENT_DBFS` (RMS): one click in silence is no speech."""
    frames = pcm[: pcm.size // _FRAME_SAMPLES * _FRAME_SAMPLES].reshape(-1, _FRAME_SAMPLES) / 32768.0
    rms = np.sqrt(np.mean(frames**2, axis=1))
    return float(np.count_nonzero(rms > 10 ** (SILENT_DBFS / 20))) * seconds_of(_FRAME_SAMPLES)

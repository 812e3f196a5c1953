from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from longtake.audio.encode import Encoder
from longtake.audio.formats import AudioFormat
from longtake.audio.probe import measure
from longtake.core.errors import InputError
from tests.unit.audio.signals import RATE_HZ, to_pcm


def test_a_tone_measures_as_the_standard_says(tmp_path: Path) -> None:
    # EBU Tech 3341: a 1 kHz sine at −23 dBFS in both channels is −23 LUFS; in one channel it is 3 LU less.
    t = np.arange(20 * RATE_HZ) / RATE_HZ
    for audio_format in (AudioFormat.WAV, AudioFormat.PCM):
        path = tmp_path / f"a{audio_format.suffix}"
        with Encoder(path, audio_format) as encoder:
            encoder.write(to_pcm(10 ** (-20 / 20) * np.sin(2 * np.pi * 1000 * t)))
        got = measure(path)
        assert got.seconds == 20
        assert got.sample_rate_hz == RATE_HZ
        assert got.integrated_lufs == pytest.approx(-23, abs=0.1)
        assert got.true_peak_dbtp == pytest.approx(-20, abs=0.1)


def test_silence_has_no_peak(tmp_path: Path) -> None:
    path = tmp_path / "a.pcm"
    path.write_bytes(b"\0" * 96_000)
    got = measure(path)
    assert (got.seconds, got.integrated_lufs, got.true_peak_dbtp) == (2.0, -70.0, float("-inf"))
    path.write_bytes(b"")
    assert measure(path).seconds == 0


def test_what_is_no_audio_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_text("no audio at all")
    with pytest.raises(InputError) as caught:
        measure(path)
    assert caught.value.code == "unreadable_audio"
    with pytest.raises(InputError):
        measure(tmp_path / "missing.wav")

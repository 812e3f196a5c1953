from __future__ import annotations

import numpy as np
import pytest

from longtake.engines.espeak.sound import silence, speech_samples, stretch, to_house_rate, without_long_tail


def tone(seconds: float, rate_hz: int) -> np.ndarray:
    return (8000 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.int16)


def pitch_hz(pcm: np.ndarray, rate_hz: int = 24_000) -> float:
    return float(np.fft.rfft(pcm).__abs__().argmax() * rate_hz / pcm.size)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 3.0])
def test_resampling_keeps_length_and_pitch_and_loses_no_tail(seconds: float) -> None:
    pcm = to_house_rate(tone(seconds, 22_050))
    assert abs(pcm.size - seconds * 24_000) <= 2
    if seconds > 0.1:
        assert pitch_hz(pcm) == pytest.approx(440, abs=3)
        assert np.abs(pcm[-200:].astype(int)).max() > 6000


@pytest.mark.parametrize("tempo", [0.52, 0.75])
def test_stretching_changes_the_length_and_not_the_pitch(tempo: float) -> None:
    pcm = stretch(tone(2.0, 24_000), tempo)
    assert pcm.size / 48_000 == pytest.approx(1 / tempo, rel=0.03)
    assert pitch_hz(pcm) == pytest.approx(440, abs=5)


def test_only_a_long_tail_is_cut() -> None:
    speech = tone(0.5, 24_000)
    end = speech_samples(speech)
    assert without_long_tail(np.concatenate([speech, silence(0.3)])).size == speech.size + 7200
    assert without_long_tail(np.concatenate([speech, silence(2.0)])).size == end + 4800


def test_nothing_stays_nothing() -> None:
    empty = np.zeros(0, dtype=np.int16)
    assert to_house_rate(empty).size == stretch(empty, 0.5).size == speech_samples(silence(1.0)) == 0

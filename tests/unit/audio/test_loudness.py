"""The leveller's promises: loudness of the finished file, true peak, length, silence, chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtake.audio.formats import Pcm
from longtake.audio.loudness import GainRider, Leveller, Loudness, gated_lufs, parse_loudness
from longtake.audio.probe import Measured, measure
from longtake.core.errors import InputError
from tests.unit.audio.signals import RATE_HZ, chunked, dialogue, speech, syllables, to_pcm

TARGETS = [Loudness.PODCAST, Loudness.AUDIOBOOK]


def leveled(pcm: Pcm, loudness: Loudness, sizes: list[int] | None = None) -> Pcm:
    leveller = Leveller(loudness)
    blocks = [np.empty(0, np.int16)]
    for chunk in chunked(pcm, sizes or [RATE_HZ]):
        blocks += leveller.push(chunk)
    blocks += leveller.finish()
    return np.concatenate(blocks)


def measured(pcm: Pcm, folder: Path) -> Measured:
    path = folder / "a.pcm"
    path.write_bytes(pcm.tobytes())
    return measure(path)


@pytest.mark.parametrize("loudness", TARGETS)
@pytest.mark.parametrize("levels_db", [(-30.0, -24.0), (-20.0, -26.0), (-25.0, -25.0), (-36.0, -31.0), (-13.0, -17.0)])
@pytest.mark.parametrize(("seconds", "within_lu"), [(5, 1.0), (12, 1.0), (30, 0.5), (75, 0.5)])
def test_two_speakers_reach_the_target(
    loudness: Loudness, levels_db: tuple[float, float], seconds: int, within_lu: float, tmp_path: Path
) -> None:
    out = measured(leveled(dialogue(seconds, levels_db, seed=seconds), loudness), tmp_path)
    assert out.integrated_lufs == pytest.approx(loudness.target_lufs, abs=within_lu)
    assert out.true_peak_dbtp <= -1.0


@pytest.mark.parametrize("levels_db", [(-22.0, -32.0), (-20.0, -28.0)])
def test_what_went_out_too_quiet_is_made_good(levels_db: tuple[float, float], tmp_path: Path) -> None:
    out = measured(leveled(dialogue(45, levels_db, seed=1), Loudness.PODCAST), tmp_path)
    assert out.integrated_lufs == pytest.approx(-16, abs=0.3)  # not made good: 0.6 to 0.8 LU too quiet


def test_a_sentence_reaches_the_target_at_once(tmp_path: Path) -> None:
    out = measured(leveled(speech(2.5, level_db=-35), Loudness.PODCAST), tmp_path)
    assert out.integrated_lufs == pytest.approx(-16, abs=0.3)


def test_a_lasting_change_of_level_is_followed(tmp_path: Path) -> None:
    pcm = np.concatenate([speech(80, level_db=-18), speech(120, level_db=-32)])
    out = leveled(pcm, Loudness.PODCAST)
    assert measured(out[-30 * RATE_HZ :], tmp_path).integrated_lufs == pytest.approx(-16, abs=1.0)


@pytest.mark.parametrize("seconds", [3, 8, 20])
def test_what_the_limiter_takes_is_given_back(seconds: int, tmp_path: Path) -> None:
    # Glottal pulses with a stressed syllable every second, of which the limiter cuts several decibels.
    t = np.arange(seconds * RATE_HZ) / RATE_HZ
    pulses = np.exp(-(t % (1 / 110)) * 550) * np.sin(2 * np.pi * 900 * t) * np.where(t % 1 < 0.2, 2, 1)
    out = measured(leveled(to_pcm(0.1 * pulses), Loudness.PODCAST), tmp_path)
    assert out.integrated_lufs == pytest.approx(-16, abs=0.25)  # not given back: 0.4 to 1 LU too quiet


def spikes(seconds: int) -> Pcm:
    rng = np.random.default_rng(5)
    t = np.arange(seconds * RATE_HZ) / RATE_HZ
    return to_pcm(np.where(rng.random(t.size) < 0.001, 0.9, 0.01 * rng.standard_normal(t.size)))


def high_bursts(seconds: int) -> Pcm:
    t = np.arange(seconds * RATE_HZ) / RATE_HZ
    # A quarter of the sample rate, 45° off: every sample is 3 dB below the true peak.
    burst = np.sin(2 * np.pi * 6000 * t + np.pi / 4) * np.where(t % 2 < 0.01, 1.0, 0)
    return to_pcm(burst + syllables(seconds, pitch_hz=140, level_db=-26, seed=0))


@pytest.mark.parametrize("make", [spikes, high_bursts])
def test_true_peaks_are_limited(make: object, tmp_path: Path) -> None:
    pcm = make(8)  # type: ignore[operator]
    assert measured(pcm, tmp_path).true_peak_dbtp > -1
    out = measured(leveled(pcm, Loudness.PODCAST), tmp_path)
    assert -2.5 < out.true_peak_dbtp <= -1.0  # the limiter worked, and no harder than it must


def test_off_passes_every_sample_at_once() -> None:
    pcm = np.random.default_rng(0).integers(-32768, 32768, 12_345).astype(np.int16)
    leveller = Leveller(Loudness.OFF)
    np.testing.assert_array_equal(np.concatenate(list(leveller.push(pcm))), pcm)
    assert list(leveller.finish()) == []


SHORT = dialogue(9.87, (-30, -22))
SHORT_LEVELED = leveled(SHORT, Loudness.PODCAST, [SHORT.size])


@settings(max_examples=12, deadline=None)
@given(sizes=st.lists(st.integers(1, 250_000), min_size=1, max_size=5).filter(lambda s: sum(s) > 100 * len(s)))
def test_chunks_do_not_matter(sizes: list[int]) -> None:
    np.testing.assert_array_equal(leveled(SHORT, Loudness.PODCAST, sizes), SHORT_LEVELED)


@settings(max_examples=20, deadline=None)
@given(samples=st.integers(0, 6 * RATE_HZ))
def test_as_many_samples_out_as_in(samples: int) -> None:
    pcm = speech(6)[:samples]
    assert leveled(pcm, Loudness.AUDIOBOOK).size == samples


def test_nothing_moves_in_time() -> None:
    pcm = speech(6, level_db=-30)
    out = leveled(pcm, Loudness.PODCAST)
    size = 1 << 18
    match = np.fft.irfft(np.fft.rfft(out.astype(float), size) * np.conj(np.fft.rfft(pcm.astype(float), size)))
    assert int(np.argmax(match)) == 0


def test_no_more_than_four_seconds_are_held() -> None:
    leveller = Leveller(Loudness.PODCAST)
    given_samples = 0
    for taken, chunk in enumerate(chunked(speech(20), [1000]), 1):
        given_samples += sum(block.size for block in leveller.push(chunk))
        assert taken * 1000 - given_samples <= 4.1 * RATE_HZ
    assert given_samples >= 15 * RATE_HZ


def test_silence_and_noise_are_not_blown_up(tmp_path: Path) -> None:
    assert not leveled(np.zeros(7 * RATE_HZ, np.int16), Loudness.PODCAST).any()
    noise = to_pcm(np.random.default_rng(1).standard_normal(10 * RATE_HZ) * 10 ** (-62 / 20))
    before, after = measured(noise, tmp_path), measured(leveled(noise, Loudness.PODCAST), tmp_path)
    # The resamplers around the limiter roll off above 11 kHz, which white noise shows.
    assert after.integrated_lufs == pytest.approx(before.integrated_lufs, abs=0.5)
    # Between two stretches of speech the gain stands still.
    out = leveled(np.concatenate([speech(12, level_db=-34), noise, noise, speech(12, level_db=-34)]), Loudness.PODCAST)
    middle = measured(out[14 * RATE_HZ : 30 * RATE_HZ], tmp_path)
    assert middle.integrated_lufs < before.integrated_lufs + 20.5


def test_gain_is_capped(tmp_path: Path) -> None:
    quiet = speech(15, level_db=-42)
    before, after = measured(quiet, tmp_path), measured(leveled(quiet, Loudness.PODCAST), tmp_path)
    assert after.integrated_lufs - before.integrated_lufs == pytest.approx(20, abs=0.2)


def test_the_fader_moves_slowly() -> None:
    rider = GainRider(-16.0)
    rider.hear([-30.0] * 40)
    gains_db = [20 * np.log10(rider.ride(RATE_HZ, [-30.0] * 10))]
    for _ in range(20):
        rider.hear([-12.0] * 10)
        gains_db.append(20 * np.log10(rider.ride(RATE_HZ, [-12.0] * 10)))
    gain_db = np.concatenate(gains_db)
    assert gain_db[0] == pytest.approx(14, abs=0.01)
    step_db = np.diff(gain_db) * RATE_HZ
    assert step_db.min() >= -3.2  # float32 noise on top of −3 dB/s
    assert gain_db[-1] < 0


def test_a_loudness_is_found_by_its_name() -> None:
    assert [parse_loudness(name) for name in ("off", "podcast", "audiobook")] == list(Loudness)
    with pytest.raises(InputError, match="off, podcast, audiobook") as caught:
        parse_loudness("loud")
    assert (caught.value.code, caught.value.param) == ("unknown_loudness", "loudness")


def test_the_gate_leaves_out_what_is_10_lu_below() -> None:
    assert gated_lufs([-20.0] * 10 + [-45.0] * 10) == pytest.approx(-20)
    assert gated_lufs([-20.0, -23.0]) == pytest.approx(10 * np.log10((10**-2.0 + 10**-2.3) / 2))

"""When a player that begins with the first byte would stand still."""

from __future__ import annotations

import pytest

from longtake.audio.formats import AudioFormat
from longtake.server.playback import Playback
from tests.support.clock import HandClock

SECOND = 48_000  # bytes of PCM


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_who_is_served_faster_than_he_listens_hears_no_gap(clock: HandClock) -> None:
    gaps: list[float] = []
    playback = Playback(AudioFormat.PCM, clock, gaps.append)
    for _ in range(20):
        playback.sent(SECOND)
        clock.sleep(1.0)
    assert gaps == []
    playback.sent(10 * SECOND)
    clock.sleep(9.9)
    playback.sent(SECOND)
    assert gaps == [], "what was sent in advance is played meanwhile"


def test_gaps_have_the_length_of_the_wait(clock: HandClock) -> None:
    gaps: list[float] = []
    playback = Playback(AudioFormat.PCM, clock, gaps.append)
    playback.sent(2 * SECOND)
    clock.sleep(5.0)
    playback.sent(0)
    assert gaps == [], "it is not over"
    playback.sent(SECOND)
    assert gaps == pytest.approx([3.0])
    clock.sleep(1.5)
    playback.sent(SECOND)
    assert gaps == pytest.approx([3.0, 0.5]), "the player goes on where it stood, a second of audio ahead"


def test_waiting_for_the_first_byte_is_no_gap_nor_is_a_breath(clock: HandClock) -> None:
    gaps: list[float] = []
    playback = Playback(AudioFormat.WAV, clock, gaps.append)
    clock.sleep(60.0)
    playback.sent(SECOND)
    clock.sleep(1.05)
    playback.sent(SECOND)
    assert gaps == []


def test_seconds_come_from_the_bit_rate(clock: HandClock) -> None:
    gaps: list[float] = []
    mp3, flac = (Playback(each, clock, gaps.append) for each in (AudioFormat.MP3, AudioFormat.FLAC))
    mp3.sent(8_000)
    flac.sent(10)
    clock.sleep(2.0)
    flac.sent(10)
    assert gaps == [], "FLAC has no rate"
    mp3.sent(8_000)
    assert gaps == pytest.approx([1.0])

"""Signals that behave like speech: voiced syllables with pauses. Made here, so that tests need no files."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from longtake.audio.formats import Pcm

RATE_HZ = 24_000


def syllables(
    seconds: float, *, pitch_hz: float = 140.0, level_db: float = -26.0, seed: int = 0
) -> NDArray[np.float64]:
    """Harmonics of a gliding pitch, syllables at 4 Hz, a pause every 3 s; RMS ``level_db`` of full scale."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * t))) / RATE_HZ
    voice = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 20))
    envelope = np.clip(np.sin(2 * np.pi * 4 * t + rng.uniform(0, 6)) + 0.4, 0, None) * (t % 3.0 < 2.6)
    speech = (voice + 0.05 * rng.standard_normal(t.size)) * envelope
    scaled: NDArray[np.float64] = speech / np.sqrt(np.mean(speech**2)) * 10 ** (level_db / 20)
    return scaled


def to_pcm(signal: NDArray[np.float64]) -> Pcm:
    return np.clip(np.rint(signal * 32767), -32768, 32767).astype(np.int16)


def speech(seconds: float, *, pitch_hz: float = 140.0, level_db: float = -26.0, seed: int = 0) -> Pcm:
    return to_pcm(syllables(seconds, pitch_hz=pitch_hz, level_db=level_db, seed=seed))


def dialogue(seconds: float, levels_db: tuple[float, float], *, seed: int = 0) -> Pcm:
    """Two speakers in turns of 2 to 7 s with short gaps."""
    rng = np.random.default_rng(seed)
    parts: list[Pcm] = []
    turn = 0
    while sum(part.size for part in parts) < seconds * RATE_HZ:
        who = turn % 2
        parts.append(speech(rng.uniform(2, 7), pitch_hz=(110, 210)[who], level_db=levels_db[who], seed=seed + turn))
        parts.append(np.zeros(round(rng.uniform(0.1, 0.6) * RATE_HZ), np.int16))
        turn += 1
    return np.concatenate(parts)[: round(seconds * RATE_HZ)]


def chunked(pcm: Pcm, sizes: list[int]) -> Iterator[Pcm]:
    """Cut into chunks of the given sizes, over and over."""
    start = turn = 0
    while start < pcm.size:
        size = sizes[turn % len(sizes)]
        yield pcm[start : start + size]
        start, turn = start + size, turn + 1

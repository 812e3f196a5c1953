"""Brings speech to a standard loudness (EBU R128) while it is being made. Knows neither passages nor files.

int16 ─► ebur128 (momentary loudness every 100 ms) ─► hold 3 s ─► × gain ─► limiter, 4 × oversampled ─► ebur128 ─► int16
                    └──────────────► GainRider ────────────────────┘                                       │
                                         └───────────────── integrated loudness of what went out ◄─────────┘
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from longtake.audio.filters import FilterChain, samples_in
from longtake.audio.formats import Pcm
from longtake.core.errors import InputError
from longtake.core.units import SAMPLE_RATE_HZ

_BATCH_SAMPLES = SAMPLE_RATE_HZ  # all work is done on whole seconds, so the chunking of the input cannot matter
_LOOKAHEAD_BATCHES = 3
_METERS_PER_S = 10
_METER_SAMPLES = SAMPLE_RATE_HZ // _METERS_PER_S

_MEMORY_S = 60
"""Speech over which the input's loudness is judged: long enough to leave a speaker's rise and fall alone."""
_SPEECH_FLOOR_LUFS = -50.0
"""Below this it is silence or noise, which moves no gain."""
_MAX_GAIN_DB = 20.0
_RISE_DB_PER_S = 1.5
_FALL_DB_PER_S = 3.0
_HORIZON_S = 6.0
"""An error of what already went out is made good over so many seconds of speech."""
_MAX_CORRECTION_WEIGHT = 4.0
_MAX_CORRECTION_DB = 3.0
_LOSS_METERS = 5 * _METERS_PER_S
"""From so much output on, what the limiter takes off is measured; before, it is what the rehearsal found."""
_MAX_LOSS_DB = 3.0
_REHEARSALS = 2
_LIMIT = 10 ** (-1.3 / 20)
"""Of the oversampled peaks. 4 × oversampling may miss a true peak by some tenths of a decibel: 0.3 dB below −1 dBTP."""


class Loudness(StrEnum):
    """How loud the finished audio is."""

    OFF = "off"
    PODCAST = "podcast"
    AUDIOBOOK = "audiobook"

    @property
    def target_lufs(self) -> float | None:
        """Integrated loudness of the finished file; None where it is left as the engine made it."""
        return {Loudness.OFF: None, Loudness.PODCAST: -16.0, Loudness.AUDIOBOOK: -19.0}[self]


def parse_loudness(name: str) -> Loudness:
    """Find a loudness by its name.

    Raises:
        InputError: ``unknown_loudness``, if it is none of the three.
    """
    try:
        return Loudness(name)
    except ValueError:
        known = ", ".join(Loudness)
        raise InputError(
            f"The loudness {name!r} is not known. Known: {known}.", code="unknown_loudness", param="loudness"
        ) from None


class Leveller:
    """Takes int16 audio of any level and gives back as many samples at the wanted loudness, true peaks ≤ −1 dBTP.

    Causal with 3 to 4 s of delay, so bounded in memory. The result depends on the samples alone, not on their chunking.
    One pass cannot know the loudness of what is still to come: the gain follows the last minute of speech slowly, and
    makes good what earlier went out too loud or too quiet. Nothing is raised by more than 20 dB, and what is quieter
    than −50 LUFS counts as silence. ``Loudness.OFF`` passes every sample through untouched, without delay.
    One thread at a time.

    Measured on espeak's speech, two voices in turns of 1 to 9 s, both targets: the finished file is within 0.25 LU of
    the target from 30 s on where the voices are up to 6 dB apart (0.4 LU at 10 dB), within 1 LU from 5 s on (1.4 LU).
    """

    def __init__(self, loudness: Loudness) -> None:
        self._is_off = loudness.target_lufs is None
        self._waiting = np.empty(0, np.int16)
        self._held: deque[_Batch] = deque()
        self._taken = 0
        self._given = 0
        self._is_rehearsed = False
        if loudness.target_lufs is not None:
            self._rider = GainRider(loudness.target_lufs)
            self._meter = FilterChain([_EBUR128])
            self._limiter = FilterChain(_LIMITER, sample_format="flt")

    def push(self, pcm: Pcm) -> Iterator[Pcm]:
        """Take a chunk of any length; yield what is ready, as int16 blocks. Iterate to the end."""
        if self._is_off:
            yield pcm
            return
        self._taken += pcm.size
        self._waiting = np.concatenate((self._waiting, pcm))
        while self._waiting.size >= _BATCH_SAMPLES:
            batch, self._waiting = self._waiting[:_BATCH_SAMPLES], self._waiting[_BATCH_SAMPLES:]
            self._measure(batch)
            if len(self._held) > _LOOKAHEAD_BATCHES:
                yield from self._level_oldest()

    def finish(self) -> Iterator[Pcm]:
        """End the stream; yield the rest. Iterate to the end; afterwards as many samples came out as went in."""
        if self._is_off:
            return
        if self._waiting.size:
            self._measure(self._waiting)
        while self._held:
            yield from self._level_oldest()
        # The limiter's own delay is compensated; its two resamplers may round the length, by a few samples at most.
        for frame in self._limiter.finish():
            block = samples_in(frame)[: self._taken - self._given]
            self._given += block.size
            yield block
        if self._given < self._taken:
            yield np.zeros(self._taken - self._given, np.int16)

    def _measure(self, pcm: Pcm) -> None:
        meters = tuple(_momentary_lufs(frame) for frame in self._meter.push(pcm))
        self._rider.hear(meters)
        self._held.append(_Batch(pcm, meters))

    def _level_oldest(self) -> Iterator[Pcm]:
        if not self._is_rehearsed and self._held[0].has_speech:
            self._rehearse()
        batch = self._held.popleft()
        for frame in self._limiter.push(_scaled(batch.pcm, self._rider.ride(batch.pcm.size, batch.meters_lufs))):
            self._rider.hear_back(_momentary_lufs(frame), float(frame.metadata.get(_INTEGRATED, "-70")))
            block = samples_in(frame)
            self._given += block.size
            yield block

    def _rehearse(self) -> None:
        """Before the first speech goes out: try its gain on the seconds held, to learn what the limiter takes off.

        Without it the first half minute of speech with high peaks came out 0.5 LU too quiet.
        """
        self._is_rehearsed = True
        for _ in range(_REHEARSALS):
            gain = np.float32(_factor(self._rider.first_gain_db()))
            limiter = FilterChain(_LIMITER, sample_format="flt")
            lufs = [_momentary_lufs(f) for batch in self._held for f in limiter.push(_scaled(batch.pcm, gain))]
            self._rider.rehearsed(
                [*lufs, *(_momentary_lufs(f) for f in limiter.finish() if f.samples == _METER_SAMPLES)]
            )


@dataclass(frozen=True, slots=True)
class _Batch:
    """A second of input (the last one may be shorter) and its momentary loudness, every 100 ms."""

    pcm: Pcm
    meters_lufs: tuple[float, ...]

    @property
    def has_speech(self) -> bool:
        return any(lufs > _SPEECH_FLOOR_LUFS for lufs in self.meters_lufs)


class GainRider:
    """The hand on the fader: hears the input 3 s ahead, hears what went out, and moves the gain slowly.

    | state | meaning |
    |---|---|
    | heard | momentary loudness (400 ms, every 100 ms) of the last minute of input speech, with what lies ahead |
    | sent, returned | the same of the last minute of output: as the gain meant it; as it left the limiter |
    | output_lufs | integrated loudness of all that went out; None before there is any |
    | loss_db | what the limiter takes off the loudness |
    | gain_db | where the fader stands; None until the first speech |
    | speech_s | seconds of speech that went out |
    """

    def __init__(self, target_lufs: float) -> None:
        self._target_lufs = target_lufs
        self._heard: deque[float] = deque(maxlen=(_MEMORY_S + _LOOKAHEAD_BATCHES) * _METERS_PER_S)
        self._sent: deque[float] = deque(maxlen=_MEMORY_S * _METERS_PER_S)
        self._returned: deque[float] = deque(maxlen=_MEMORY_S * _METERS_PER_S)
        self._output_lufs: float | None = None
        self._rehearsed_loss_db = 0.0
        self._gain_db: float | None = None
        self._speech_s = 0.0

    def hear(self, meters_lufs: Sequence[float]) -> None:
        """Take the input's momentary loudness, one value per 100 ms."""
        self._heard.extend(lufs for lufs in meters_lufs if lufs > _SPEECH_FLOOR_LUFS)

    def hear_back(self, momentary_lufs: float, integrated_lufs: float) -> None:
        """Take the output's loudness, every 100 ms."""
        if momentary_lufs > _SPEECH_FLOOR_LUFS:
            self._returned.append(momentary_lufs)
            self._output_lufs = integrated_lufs

    def first_gain_db(self) -> float:
        """The gain that the first speech would get."""
        return self._wanted_db()

    def rehearsed(self, meters_lufs: Sequence[float]) -> None:
        """Take the momentary loudness that `first_gain_db` gave the seconds that lie ahead."""
        speech = [lufs for lufs in meters_lufs if lufs > _SPEECH_FLOOR_LUFS]
        if speech:
            self._rehearsed_loss_db = gated_lufs(self._heard) + self.first_gain_db() - gated_lufs(speech)

    def ride(self, samples: int, meters_lufs: Sequence[float]) -> NDArray[np.float32]:
        """Gain of every one of the next ``samples`` samples, as factors, shape (samples,).

        Args:
            samples: At most one second of them.
            meters_lufs: Their momentary loudness before the gain. Without speech among them the gain stands still.
        """
        speech = [lufs for lufs in meters_lufs if lufs > _SPEECH_FLOOR_LUFS]
        if not speech:
            return np.full(samples, _factor(self._gain_db or 0.0), np.float32)
        wanted_db = self._wanted_db()
        before_db = wanted_db if self._gain_db is None else self._gain_db
        seconds = samples / SAMPLE_RATE_HZ
        after_db = before_db + min(max(wanted_db - before_db, -_FALL_DB_PER_S * seconds), _RISE_DB_PER_S * seconds)
        self._gain_db = after_db
        self._speech_s += len(speech) / _METERS_PER_S
        self._sent.extend(lufs + (before_db + after_db) / 2 for lufs in speech)
        return np.geomspace(_factor(before_db), _factor(after_db), samples, endpoint=False, dtype=np.float32)

    def _wanted_db(self) -> float:
        wanted_db = self._target_lufs - gated_lufs(self._heard) + self._loss_db()
        if self._output_lufs is not None:
            weight = min(self._speech_s / _HORIZON_S, _MAX_CORRECTION_WEIGHT)
            correction_db = weight * (self._target_lufs - self._output_lufs)
            wanted_db += min(max(correction_db, -_MAX_CORRECTION_DB), _MAX_CORRECTION_DB)
        return min(wanted_db, _MAX_GAIN_DB)

    def _loss_db(self) -> float:
        if len(self._returned) < _LOSS_METERS:
            return self._rehearsed_loss_db
        loss_db = gated_lufs(self._sent) - gated_lufs(self._returned)
        return min(max(loss_db, 0.0), _MAX_LOSS_DB)


def gated_lufs(meters_lufs: Iterable[float]) -> float:
    """Loudness of momentary values, with the relative gate of ITU-R BS.1770-4.

    What is 10 LU below their mean does not count. Takes one value or more.
    """
    lufs = np.fromiter(meters_lufs, np.float64)
    power = 10 ** (lufs / 10)
    gate_lufs = 10 * np.log10(power.mean()) - 10
    return float(10 * np.log10(power[lufs >= gate_lufs].mean()))


_EBUR128 = ("ebur128", "metadata=1:framelog=quiet")
_INTEGRATED = "lavfi.r128.I"
_MOMENTARY = "lavfi.r128.M"

# `level=0`: no make-up gain. `latency=1`: the limiter takes back its own look-ahead of 5 ms.
_LIMITER = (
    ("aresample", str(4 * SAMPLE_RATE_HZ)),
    ("alimiter", f"limit={_LIMIT:.6f}:level=0:latency=1:attack=5:release=80"),
    ("aresample", str(SAMPLE_RATE_HZ)),
    _EBUR128,
    ("aformat", "sample_fmts=s16"),
)


def _momentary_lufs(frame: AudioFrame) -> float:
    return float(frame.metadata.get(_MOMENTARY, "-120"))


def _scaled(pcm: Pcm, gain: NDArray[np.float32] | np.float32) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = pcm.astype(np.float32) * (gain / np.float32(32768))
    return scaled


def _factor(db: float) -> float:
    return float(10 ** (db / 20))

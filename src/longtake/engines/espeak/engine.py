"""The espeak-ng engine: one beat speaks one whole passage of every active request. Knows nothing of jobs or files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from longtake.core.errors import EngineError, InputError, InvariantError
from longtake.core.records import EngineInfo, Line, Mark
from longtake.core.stats import EngineStats
from longtake.core.units import SAMPLE_RATE_HZ, seconds_of
from longtake.engines.base import Chunk, Cost, End, Ended, Failed, SpeakRequest, StepResult
from longtake.engines.espeak.library import LIBRARY_RATE_HZ, Library, WordStart
from longtake.engines.espeak.marks import marks_of
from longtake.engines.espeak.revision import revision
from longtake.engines.espeak.runs import voice_runs
from longtake.engines.espeak.settings import EspeakSettings, read_settings
from longtake.engines.espeak.sound import Pcm, silence, speech_samples, stretch, to_house_rate, without_long_tail
from longtake.engines.espeak.voices import Catalogue, EspeakVoice

_WORDS_PER_MINUTE = 175  # espeak-ng's own default, and our speed 1.0
_MIN_WORDS_PER_MINUTE = 80  # lower values sound like 80
_TEMPO_AT_MIN = 0.484  # measured: the pace at 80 wpm, as a part of the pace at 175
_MIN_SPEED, _MAX_SPEED = 0.25, 4.0

_NOTHING_TO_SAY_S = 0.2
# A change of voice within a line ends espeak-ng's sentence without a pause; where the text has one, we put it.
# (With a quote after the stop it pauses by itself, 0.3 s.)
_PAUSE_AT_CHANGE_S = 0.2
_PAUSE_MARKS = frozenset(".,;:!?…—。，、；：！？")

# The longest that one character takes at speed 1.0: a letter within an English text, and anything else, which may be
# read out as words. Measured over 11,000 symbols and letters: U+28FF, a Braille cell, takes 2.47 s.
_LETTER_S, _OTHER_S = 0.12, 2.5


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of text that one voice speaks in one call."""

    text: str
    voice: EspeakVoice
    pause_after_s: float


@dataclass(frozen=True, slots=True)
class _Active:
    """A request with everything looked up that could be wrong with it."""

    request: SpeakRequest
    settings: EspeakSettings
    voices: dict[int, EspeakVoice]


class EspeakEngine:
    """Implements `Engine`. The samples of a request depend on the request alone; its seed changes nothing.

    Args:
        library: Owned from now on: `close` closes it.
    """

    def __init__(self, library: Library, catalogue: Catalogue, info: EngineInfo) -> None:
        self._library = library
        self._catalogue = catalogue
        self._info = info
        self._active: dict[str, _Active] = {}

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def place(self) -> str:
        return "espeak-ng"

    @property
    def budget_bytes(self) -> int | None:
        return None

    def revision(self, request: SpeakRequest) -> str:
        return revision()

    def cost(self, request: SpeakRequest) -> Cost:
        """An upper bound, in host memory during the beat: how long a text will sound is not known before."""
        text = "".join(line.text for line in request.passage.lines)
        letters = sum(letter.isascii() and (letter.isalpha() or letter.isspace()) for letter in text)
        seconds = (letters * _LETTER_S + (len(text) - letters) * _OTHER_S) / max(request.speed, _MIN_SPEED) + 1.0
        return Cost(used_bytes=round(seconds * 2 * (2 * LIBRARY_RATE_HZ + 2 * SAMPLE_RATE_HZ)), steps=1)

    def start(self, request: SpeakRequest) -> None:
        if request.id in self._active:
            raise InvariantError(f"Request {request.id!r} is active already.")
        if not _MIN_SPEED <= request.speed <= _MAX_SPEED:
            raise InputError(
                f"Speed is {request.speed}; espeak speaks at {_MIN_SPEED} to {_MAX_SPEED} times its own pace.",
                code="speed_out_of_range",
                param="speed",
            )
        settings = read_settings(request.settings)
        voices = {line.speaker: self._voice_of(request, line.speaker) for line in request.passage.lines}
        self._active[request.id] = _Active(request, settings, voices)

    def step(self) -> StepResult:
        chunks: list[Chunk] = []
        ended: list[Ended] = []
        failed: list[Failed] = []
        for request_id, active in list(self._active.items()):
            # Outside the try: a library that does not come back is the end of the process, not of the request.
            self._library.reload()
            try:
                pcm_T, marks = self._speak(active)  # noqa: N806
            except EngineError as error:
                failed.append(Failed(request_id, error))
            else:
                chunks.append(Chunk(request_id, pcm_T))
                ended.append(Ended(request_id, End.FINISHED, marks))
            del self._active[request_id]
        return StepResult(tuple(chunks), tuple(ended), tuple(failed))

    def trace(self, request_id: str) -> bytes:
        """Empty: a passage takes some milliseconds and begins anew."""
        return b""

    def stop(self, request_id: str) -> None:
        self._active.pop(request_id, None)

    def stats(self) -> EngineStats:
        """It has no frames, no tokens and no parts."""
        return EngineStats()

    def release(self) -> None:
        """It keeps nothing: the library is loaded afresh for each passage anyway."""

    def close(self) -> None:
        self._active.clear()
        self._library.close()

    def _voice_of(self, request: SpeakRequest, speaker: int) -> EspeakVoice:
        voice_id = request.voices.get(speaker)
        voice = self._catalogue.find(voice_id) if voice_id is not None else None
        if voice is None:
            what = "has no voice" if voice_id is None else f"has voice {voice_id!r}, which espeak does not know"
            raise InputError(
                f"Speaker {speaker} {what}. The voices are listed by `longtake voices`.",
                code="unknown_voice",
                param=f"voices.{speaker}",
            )
        return voice

    def _speak(self, active: _Active) -> tuple[Pcm, tuple[Mark, ...]]:
        rate, tempo = _pace(active.request.speed)
        pieces: list[Pcm] = []
        marks: list[Mark] = []
        begin_s = 0.0
        for line in active.request.passage.lines:
            raw_T, starts = self._speak_line(line, active.voices[line.speaker], active.settings, rate)  # noqa: N806
            pcm_T = to_house_rate(raw_T)  # noqa: N806
            if tempo != 1.0:
                pcm_T = stretch(pcm_T, tempo)  # noqa: N806
            pcm_T = without_long_tail(pcm_T)  # noqa: N806
            speech = speech_samples(pcm_T)
            if not speech:
                pcm_T = silence(_NOTHING_TO_SAY_S)  # noqa: N806
                speech = pcm_T.size
            times = ((character, begin_s + seconds / tempo) for character, seconds in starts)
            marks += marks_of(
                line.text, times, begin_s=begin_s, end_s=begin_s + seconds_of(speech), speaker=line.speaker
            )
            pieces.append(pcm_T)
            begin_s += seconds_of(pcm_T.size)
        return np.concatenate(pieces), tuple(marks)

    def _speak_line(
        self, line: Line, voice: EspeakVoice, settings: EspeakSettings, rate: int
    ) -> tuple[Pcm, list[tuple[int, float]]]:
        """Samples at 22,050 Hz, and (character, seconds) of every word event."""
        pieces: list[Pcm] = []
        starts: list[tuple[int, float]] = []
        character = samples = 0
        for part in _parts(voice_runs(line.text, line.language, voice, self._catalogue)):
            self._library.set_voice(part.voice.identifier)
            self._library.set_manner(words_per_minute=rate, pitch=settings.pitch, word_gap=settings.word_gap)
            spoken = self._library.say(part.text)
            # Without an event (a lone symbol) the part still begins where it begins.
            starts += (
                (character + word.character, (samples + word.sample) / LIBRARY_RATE_HZ)
                for word in spoken.words or (WordStart(0, 0),)
            )
            pause_T = np.zeros(round(part.pause_after_s * LIBRARY_RATE_HZ), dtype=np.int16)  # noqa: N806
            pieces += (spoken.pcm_T, pause_T)
            samples += spoken.pcm_T.size + pause_T.size
            character += len(part.text)
        return np.concatenate(pieces), starts


def _parts(runs: list[tuple[str, EspeakVoice]]) -> Iterator[_Part]:
    for (text, voice), (_, following) in pairwise([*runs, ("", runs[-1][1])]):
        changes = following != voice
        pauses = changes and text.rstrip()[-1:] in _PAUSE_MARKS
        yield _Part(text, voice, _PAUSE_AT_CHANGE_S if pauses else 0.0)


def _pace(speed: float) -> tuple[int, float]:
    """espeak-ng's rate, and what is left to do for `stretch`."""
    rate = round(_WORDS_PER_MINUTE * speed)
    if rate < _MIN_WORDS_PER_MINUTE:
        return _MIN_WORDS_PER_MINUTE, speed / _TEMPO_AT_MIN
    return rate, 1.0

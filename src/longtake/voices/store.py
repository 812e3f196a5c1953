"""The recordings of a data folder: one voice is `<id>.wav` and `<id>.json`. Knows neither who adds them nor who speaks.

The WAV is written first and the JSON second, both whole or not at all, so a voice is there when its JSON is. What a
crash leaves behind is a WAV without one: never listed, and swept before the next change. Readers need no lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from longtake.core.clock import Clock, SystemClock
from longtake.core.disk import commit_file, disk_error
from longtake.core.errors import ConflictError, InputError, NotFoundError
from longtake.core.records import Voice
from longtake.core.units import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ, samples_of, seconds_of
from longtake.voices.names import check_language, check_name, is_voice_id, to_voice_id
from longtake.voices.sound import check_recording

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordedVoice:
    """A voice that is a recording.

    Attributes:
        language: BCP-47; ``und`` when nobody has named it.
        sha256: Of its samples, in hex.
        added_at: Unix time.
    """

    id: str
    name: str
    language: str
    sha256: str
    seconds: float
    added_at: float

    def to_voice(self, engine: str) -> Voice:
        """As a voice of an engine that speaks with recordings."""
        return Voice(self.id, self.name, self.language, engine, recording_s=self.seconds)


class VoiceStore:
    """Safe from any thread and any process. The folder is made with the first voice."""

    def __init__(self, folder: Path, *, clock: Clock | None = None) -> None:
        self._folder = folder
        self._clock = clock or SystemClock()

    def voices(self) -> tuple[RecordedVoice, ...]:
        """All of them, by name."""
        ids = [path.stem for path in self._folder.glob("*.json")]
        found = [voice for each in ids if (voice := self.find(each)) is not None]
        return tuple(sorted(found, key=lambda voice: (voice.name.casefold(), voice.id)))

    def find(self, voice_id: str) -> RecordedVoice | None:
        if not is_voice_id(voice_id):
            return None
        try:
            voice = RecordedVoice(**json.loads(self._json(voice_id).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            log.warning("%s is damaged, so its voice is left out: %s", self._json(voice_id), error)
            return None
        return voice if voice.id == voice_id and self._wav(voice_id).is_file() else None

    def find_samples(self, pcm: NDArray[np.int16]) -> RecordedVoice | None:
        """The voice that has these very samples, whatever it is called."""
        sha256 = _sha256(pcm)
        return next((voice for voice in self.voices() if voice.sha256 == sha256), None)

    def add(self, pcm: NDArray[np.int16], *, name: str, language: str, is_renumbered: bool = False) -> RecordedVoice:
        """Keep a recording under the id that its name gives. The same samples under the same id are the same voice.

        Another recording under a taken id is refused: who adds a second Alice would otherwise get ``alice-2`` and go on
        hearing the first one as ``alice``.

        Args:
            pcm: Mono, 24 kHz.
            is_renumbered: For callers who use the id that they are given, whatever it is: a taken id gets a number.

        Raises:
            InputError: The recording is no good to speak with, or its name or language is no good.
            ConflictError: ``voice_exists``.
            DiskFullError: No room.
        """
        name = check_name(name)
        check_language(language)
        check_recording(pcm)
        sha256 = _sha256(pcm)
        stem = to_voice_id(name) or f"voice-{sha256[:8]}"
        with self._locked():
            voice_id, number = stem, 1
            while (taken := self.find(voice_id)) is not None:
                if taken.sha256 == sha256:
                    return taken
                if not is_renumbered:
                    raise ConflictError(
                        f"There is a voice {voice_id!r} already, with another recording of {taken.seconds:.1f} s. "
                        "Give this one another name, or remove that one first.",
                        code="voice_exists",
                        param="name",
                    )
                number += 1
                voice_id = f"{stem}-{number}"
            voice = RecordedVoice(voice_id, name, language, sha256, seconds_of(pcm.size), self._clock.wall_s())
            self._write(voice, pcm)
            return voice

    def remove(self, voice_id: str) -> None:
        """
        Raises:
            NotFoundError: There is no such recording.
        """
        with self._locked():
            self._require(voice_id)
            try:
                self._json(voice_id).unlink()
                self._wav(voice_id).unlink(missing_ok=True)
            except OSError as error:
                raise disk_error(error, self._json(voice_id)) from error

    def samples(self, voice_id: str) -> int:
        """How many samples the recording has.

        Raises:
            NotFoundError: There is no such recording.
        """
        return samples_of(self._require(voice_id).seconds)

    def recording(self, voice_id: str) -> NDArray[np.int16]:
        """The samples of a voice: int16, mono, 24 kHz.

        Raises:
            NotFoundError: There is no such recording.
            InputError: ``recording_damaged``: these are not the samples that were added.
        """
        voice = self._require(voice_id)
        try:
            with wave.open(str(self._wav(voice_id)), "rb") as file:
                data = file.readframes(file.getnframes())
        except (OSError, EOFError, wave.Error):
            data = b""
        pcm = np.frombuffer(data[: len(data) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE], "<i2").astype(np.int16)
        if _sha256(pcm) != voice.sha256:
            raise InputError(
                f"The recording of the voice {voice_id!r} is damaged: its samples are not those that were added. "
                "Remove the voice and add it again.",
                code="recording_damaged",
                param="voices",
            )
        return pcm

    def _require(self, voice_id: str) -> RecordedVoice:
        voice = self.find(voice_id)
        if voice is None:
            raise NotFoundError(
                f"There is no recorded voice {voice_id[:80]!a}. `longtake voices` and GET /v1/audio/voices list them.",
                code="unknown_voice",
                param="voice",
            )
        return voice

    def _write(self, voice: RecordedVoice, pcm: NDArray[np.int16]) -> None:
        wav, about = self._wav(voice.id), self._json(voice.id)
        wav_tmp, about_tmp = wav.with_suffix(".wav.tmp"), about.with_suffix(".json.tmp")
        try:
            with wav_tmp.open("wb") as raw, wave.open(raw, "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(BYTES_PER_SAMPLE)
                file.setframerate(SAMPLE_RATE_HZ)
                file.writeframes(pcm.astype("<i2").tobytes())
            commit_file(wav_tmp, wav)
            about_tmp.write_text(json.dumps(asdict(voice), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
            commit_file(about_tmp, about)
        except OSError as error:
            raise disk_error(error, wav) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, over all processes; begins with the sweep."""
        lock: IO[bytes] | None = None
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self._folder / ".lock").open("ab")
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._sweep()
        except OSError as error:
            if lock is not None:
                lock.close()
            raise disk_error(error, self._folder / "voice") from error
        with lock:
            yield

    def _sweep(self) -> None:
        for path in [*self._folder.glob("*.tmp"), *self._folder.glob("*.wav")]:
            if path.suffix == ".tmp" or not path.with_suffix(".json").exists():
                os.unlink(path)

    def _wav(self, voice_id: str) -> Path:
        return self._folder / f"{voice_id}.wav"

    def _json(self, voice_id: str) -> Path:
        return self._folder / f"{voice_id}.json"


def _sha256(pcm: NDArray[np.int16]) -> str:
    return hashlib.sha256(pcm.astype("<i2", copy=False).tobytes()).hexdigest()

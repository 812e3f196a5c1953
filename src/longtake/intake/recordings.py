"""From a user's sound file to a voice, and back to nothing. The only place where sound files, voices and jobs meet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from longtake.audio import Pcm, read_recording
from longtake.core.errors import ConflictError
from longtake.engines.base import EngineAbout
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job, Kind
from longtake.jobs.states import ENDED, State
from longtake.jobs.store import JobStore
from longtake.voices import RecordedVoice, VoiceStore
from longtake.voices.names import MAX_NAME_CHARACTERS, UNKNOWN_LANGUAGE

# Recordings for these engines go round as en-Alice_woman.wav: a language, a hyphen, a name with its capital.
_TOLD = re.compile(
    r"(ar|cs|da|de|el|en|es|fi|fr|he|hi|hu|id|it|ja|ko|nl|no|pl|pt|ru|sv|th|tr|uk|vi|yue|zh)-(?=[A-Z]|[^\x00-\x7f])(.+)"
)


class Recordings:
    """Safe from any thread."""

    def __init__(
        self, voices: VoiceStore, store: JobStore, folder: DataFolder, engines: Mapping[str, EngineAbout]
    ) -> None:
        self._voices = voices
        self._store = store
        self._folder = folder
        self._engines = engines

    def add(
        self, source: Path | bytes, *, file_name: str, name: str | None = None, language: str | None = None
    ) -> RecordedVoice:
        """Keep a sound file as a voice.

        Args:
            file_name: Of the file; tells name and language where they are not given: ``en-Alice_woman.wav``.

        Raises:
            InputError: It is no sound file, or not good to speak with.
            ConflictError: The name is taken by another recording.
            DiskFullError: No room.
        """
        pcm = self._read(source, file_name)
        told_name, told_language = name_and_language(file_name)
        return self._voices.add(pcm, name=name or told_name, language=language or told_language)

    def add_or_find(self, path: Path) -> RecordedVoice:
        """The voice of a file, added only if no voice has its samples. Whoever names a file wants that file's sound, so
        a name that is taken gets a number. Raises as `add`."""
        pcm = self._read(path, path.name)
        name, language = name_and_language(path.name)
        return self._voices.find_samples(pcm) or self._voices.add(pcm, name=name, language=language, is_renumbered=True)

    def find(self, path: Path) -> RecordedVoice | None:
        """The voice that has been made of a file; None when there is none. Raises as `add`."""
        return self._voices.find_samples(read_recording(path, name=path.name).pcm)

    def remove(self, voice_id: str) -> None:
        """
        Raises:
            NotFoundError: There is no such recording.
            ConflictError: ``voice_in_use``: a job that has not ended speaks with it.
        """
        # A job that is submitted in this very moment is not seen; it fails and says that its voice is gone.
        if self._voices.find(voice_id) is not None and (job := self._job_with(voice_id)) is not None:
            raise ConflictError(
                f"The job {job.id} ({job.state}) speaks with the voice {voice_id!r}. Wait for its end or cancel it, "
                "then remove the voice.",
                code="voice_in_use",
                param="voice",
            )
        self._voices.remove(voice_id)

    def _read(self, source: Path | bytes, file_name: str) -> Pcm:
        pcm = read_recording(source, name=file_name).pcm
        self._folder.require_room(pcm.nbytes, "The recording")
        return pcm

    def _job_with(self, voice_id: str) -> Job | None:
        for state in set(State) - ENDED:
            for job in self._store.jobs_in(state):
                engine = self._engines.get(job.spec.engine)
                # An engine's own voice may have the same id; of an engine that is not served here nothing is known.
                may_need_it = job.kind is not Kind.PROBE and (engine is None or engine.info.speaks_recordings)
                if may_need_it and voice_id in job.spec.voices.values():
                    return job
        return None


def name_and_language(file_name: str) -> tuple[str, str]:
    """``zh-Bowen_man.wav`` → ``("Bowen man", "zh")``; ``alice.wav`` → ``("alice", "und")``."""
    stem = PurePosixPath(file_name.replace("\\", "/")).stem
    told = _TOLD.fullmatch(stem)
    language, stem = (told[1], told[2]) if told else (UNKNOWN_LANGUAGE, stem)
    words = "".join(each if each.isprintable() else " " for each in stem.replace("_", " ")).split()
    return " ".join(words)[:MAX_NAME_CHARACTERS].strip() or "Voice", language

"""Reads a job as its user will hear and see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from longtake.audio import SpokenPassage, build_cues, parse_format, to_srt, to_vtt
from longtake.core.errors import InputError
from longtake.core.units import samples_of, seconds_of
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job
from longtake.jobs.store import JobStore

SUBTITLES = ("srt", "vtt")


def audio_path(folder: DataFolder, job: Job) -> Path | None:
    """The file that holds the most of a job's audio right now: the finished one, or the newest part; None without any.

    A fresh claim's part may not be there yet while its predecessor's is: up to a byte they are the same. Not so
    those of before a cut (`again`): they hold another take.
    """
    if job.audio_file is not None:
        path = folder.job(job.id) / job.audio_file
        return path if path.is_file() else None
    suffix = parse_format(job.spec.response_format).suffix
    for token in range(job.token, job.cut_token, -1):
        # Between its renaming and the word of its worker a finished file is not in the store yet.
        for path in (folder.part(job.id, token, suffix), folder.finished(job.id, token, suffix)):
            if path.is_file():
                return path
    return None


def timeline(store: JobStore, job_id: str) -> Iterator[SpokenPassage]:
    """The spoken passages from the first on, with their places in the audio; ends at the first that is missing."""
    samples = 0
    for passage, spoken in store.passages(job_id):
        if spoken is None:
            return
        samples += samples_of(passage.silence_before_s)
        text_s = None if spoken.is_whole else spoken.expected_s
        yield SpokenPassage(seconds_of(samples), seconds_of(spoken.samples), spoken.marks, passage.lines, text_s)
        samples += spoken.samples


def subtitles_of(store: JobStore, job: Job, kind: str) -> Iterator[str]:
    """The text of a subtitle file, piece by piece, of what is spoken so far.

    Args:
        kind: ``srt`` or ``vtt``.

    Raises:
        InputError: There is no such kind.
    """
    if kind not in SUBTITLES:
        raise InputError(
            f"There are no {kind!r} subtitles, only {' and '.join(SUBTITLES)}.", code="unknown_format", param="format"
        )
    cues = build_cues(timeline(store, job.id), job.spec.labels)
    return to_srt(cues) if kind == "srt" else to_vtt(cues)

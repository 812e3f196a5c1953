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


def audio_path(folder: DataFolder, job: Job) -> Path:
    """The finished file, or the growing part of the latest claim; it may not exist yet."""
    if job.audio_file is not None:
        return folder.job(job.id) / job.audio_file
    return folder.part(job.id, job.token, parse_format(job.spec.response_format).suffix)


def timeline(store: JobStore, job_id: str) -> Iterator[SpokenPassage]:
    """The spoken passages from the first on, with their places in the audio; ends at the first that is missing."""
    samples = 0
    for passage, spoken in store.passages(job_id):
        if spoken is None:
            return
        samples += samples_of(passage.silence_before_s)
        yield SpokenPassage(seconds_of(samples), seconds_of(spoken.samples), spoken.marks, passage.lines)
        samples += spoken.samples


def subtitles_of(store: JobStore, job: Job, kind: str) -> Iterator[str]:
    """The text of a subtitle file, piece by piece, of what is spoken so far.

    Raises:
        InputError: ``kind`` is neither ``srt`` nor ``vtt``.
    """
    if kind not in SUBTITLES:
        raise InputError(
            f"There are no {kind!r} subtitles, only {' and '.join(SUBTITLES)}.", code="unknown_format", param="format"
        )
    cues = build_cues(timeline(store, job.id), job.spec.labels)
    return to_srt(cues) if kind == "srt" else to_vtt(cues)

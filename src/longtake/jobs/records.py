"""What the store hands out. Frozen values; a change goes through the store and gives a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from longtake.core.records import Mark, Passage
from longtake.jobs.states import State


class Kind(StrEnum):
    """Why a job exists; speech and probe are claimed first, because someone holds a connection open for them."""

    JOB = "job"
    SPEECH = "speech"
    PROBE = "probe"

    @property
    def priority(self) -> int:
        return {Kind.JOB: 0, Kind.SPEECH: 1, Kind.PROBE: 2}[self]


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What was asked, complete: nothing else decides what the audio will be.

    Attributes:
        voices: Speaker number → voice id, for every speaker of the script.
        labels: Speaker number → what the script calls the speaker.
        loudness: ``off``, ``podcast`` or ``audiobook``.
        trailing_silence_s: A pause that ends the script.
    """

    engine: str
    model: str
    title: str
    voices: Mapping[int, str]
    labels: Mapping[int, str]
    response_format: str = "mp3"
    loudness: str = "off"
    speed: float = 1.0
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    trailing_silence_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PlannedPassage:
    """A passage and what is expected of it.

    Attributes:
        language: Of most of its text; the pace is learned under this name.
        units: Words or characters, as the pace of that language counts them.
        estimated_s: Expected duration, silence before it included.
    """

    passage: Passage
    language: str
    units: int
    estimated_s: float


@dataclass(frozen=True, slots=True)
class SpokenPassage:
    """A passage that was committed. `file` is a name inside the job's passage folder."""

    index: int
    file: str
    sha256: str
    samples: int
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands.

    Attributes:
        number: Order of arrival, over all jobs of the data folder.
        reason: Why it is in this state, where that is not plain.
        error: ``{"message", "type", "param", "code"}`` when it failed.
        audio_samples: Committed so far, joins included.
        estimated_s: Of the whole, by now: what is spoken plus the estimate of the rest.
        remaining_s: Estimated audio not spoken yet.
        rate: Audio seconds per second since the claim; None until that is known.
        audio_file: Name of the finished file inside the job's folder.
        token: The fencing token of its latest claim; names the growing part.
        out_path: Where the command line wants a copy; never set over HTTP.
    """

    id: str
    number: int
    kind: Kind
    state: State
    reason: str | None
    error: Mapping[str, Any] | None
    spec: JobSpec
    created_at: float
    started_at: float | None
    ended_at: float | None
    passages_total: int
    passages_done: int
    audio_samples: int
    estimated_s: float
    remaining_s: float
    rate: float | None
    audio_file: str | None
    audio_bytes: int | None
    token: int
    crashes: int
    out_path: str | None

    @property
    def eta_s(self) -> float | None:
        """Seconds until it is done, if it is being spoken and its rate is known."""
        if self.state is not State.RUNNING or not self.rate:
            return None
        return self.remaining_s / self.rate


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to a job. Every write of the worker carries the token; an outdated one is refused."""

    job: Job
    worker_id: str
    token: int
    passages: tuple[Passage, ...]
    spoken: Mapping[int, SpokenPassage]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a job; `number` counts from 1 without gaps."""

    job_id: str
    number: int
    at: float
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """What a worker says of itself. `beat_monotonic_s` belongs to boot `boot_id`."""

    id: str
    engine: str
    pid: int
    boot_id: str
    state: str
    steps: int
    active: int
    beat_monotonic_s: float


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """The bounded queue: what is accepted but not ended."""

    max_jobs: int = 500
    max_audio_s: float = 200 * 3600.0

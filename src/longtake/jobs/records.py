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
class Stretch:
    """What is committed at once: a passage from where the stretch before it ended, or all of a short passage.

    Attributes:
        index: Of its passage.
        file: A name inside the job's passage folder. It holds ``samples`` int16 samples, then ``trace_bytes`` bytes
            that the engine needs to go on behind it.
        marks: Of the whole passage, with its last stretch.
        number: Within the passage, from 0.
        is_last: The passage ends here.
        remark: What the job's user should know of it.
    """

    index: int
    file: str
    sha256: str
    samples: int
    marks: tuple[Mark, ...] = ()
    number: int = 0
    is_last: bool = True
    trace_bytes: int = 0
    remark: str = ""


@dataclass(frozen=True, slots=True)
class SpokenPassage:
    """What was committed of a passage.

    Attributes:
        stretches: In order, at least one.
        is_whole: The passage is spoken to its end; ``marks`` are there only then.
        expected_s: How long the whole passage will probably last, without the silence before it.
    """

    index: int
    stretches: tuple[Stretch, ...]
    is_whole: bool
    marks: tuple[Mark, ...]
    expected_s: float = field(default=0.0, compare=False)  # a guess about it, no part of it

    @property
    def samples(self) -> int:
        return sum(stretch.samples for stretch in self.stretches)


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
        out_subtitles: Kinds of subtitles that are wanted beside that copy.
        delivered_at: When the copy was made.
        cut_token: Files that were encoded under this token or before hold another take.
        earlier_of: This is the earlier version of that job, which is spoken again from some point.
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
    out_subtitles: tuple[str, ...] = ()
    delivered_at: float | None = None
    earlier_of: str | None = None
    cut_token: int = 0

    @property
    def is_undelivered(self) -> bool:
        """It is done, and whoever asked for a copy has not got it yet."""
        return self.state is State.DONE and self.out_path is not None and self.delivered_at is None

    @property
    def eta_s(self) -> float | None:
        """Seconds until it is done, if it is being spoken and its rate is known."""
        if self.state is not State.RUNNING or not self.rate:
            return None
        return self.remaining_s / self.rate


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to a job. Every write of the worker carries the token; an outdated one is refused.

    Attributes:
        expected_s: Of each passage, how long it will probably last, silence before it included.
        spoken: Passage index → what was committed of it; also passages that are not whole.
        seeds: Passage index → the seed that counts for it instead of the job's.
    """

    job: Job
    worker_id: str
    token: int
    passages: tuple[Passage, ...]
    expected_s: tuple[float, ...]
    spoken: Mapping[int, SpokenPassage]
    seeds: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a job is cut back to, and how it goes on from there.

    Attributes:
        index: Of the passage where it is; all passages behind it are to be spoken anew.
        number: Stretches of that passage that stay as they are.
        tail: What stays of the stretch behind those, under a file of its own; None when nothing does.
        from_s: Where that is in the finished audio.
        seed: Counts from here on instead of the job's.
    """

    index: int
    number: int
    tail: Stretch | None
    from_s: float
    seed: int


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
    """What a worker says of itself, and what the store knows of it. Monotonic times belong to boot `boot_id`.

    Attributes:
        held: Leases: a job counts from its claim on, though the worker may hang before it says that it is active.
        committed_monotonic_s: When something was last committed to one of them, or one was claimed; None without any.
        budget_bytes: What its requests may hold; None until it is measured.
    """

    id: str
    engine: str
    pid: int
    boot_id: str
    state: str
    steps: int
    active: int
    beat_monotonic_s: float
    held: int = 0
    committed_monotonic_s: float | None = None
    cache_hits: int = 0
    cache_misses: int = 0
    budget_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """The bounded queue: what is accepted but not ended."""

    max_jobs: int = 500
    max_audio_s: float = 200 * 3600.0

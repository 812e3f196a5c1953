"""What a health report is made of: numbers, frozen. Knows neither where they come from nor how they are shown.

None, or an empty tuple, is what nobody knows; it is never a zero in its place. Wall times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    BAD = "bad"  # work is lost or stands still, or will soon
    WARNING = "warning"  # it gets on, and not as well as it should
    HINT = "hint"  # something could be better


class Cause(StrEnum):
    """Why a job was interrupted that goes on afterwards."""

    WORKER_DIED = "worker_died"
    WORKER_SILENT = "worker_silent"
    STUMBLED = "stumbled"
    OUT_OF_MEMORY = "out_of_memory"
    MEMORY_TAKEN = "memory_taken"
    DISK_FULL = "disk_full"
    HEAT = "heat"


class Measured(StrEnum):
    """How a speed was found."""

    BY_ENGINE = "engine"  # compute seconds over audio seconds, minute by minute
    BY_JOBS = "jobs"  # from a job's start to its end, over its audio: side by side they share the engine


@dataclass(frozen=True, slots=True)
class Setup:
    """The settings that advice speaks of, as in `config.Settings`."""

    engines: tuple[str, ...]
    max_jobs: int


@dataclass(frozen=True, slots=True)
class Load:
    """
    Attributes:
        accepted: Jobs that came in the window; also those that have not ended.
        ended: State → jobs that ended so in the window.
        audio_s: Engine → audio of the jobs that were done.
        waiting, running: Jobs now.
        wait_p50_s, wait_p95_s: From submit to first claim, of jobs claimed in the window.
        oldest_wait_s: Of the jobs that wait now for their first claim.
        is_cut: There were more jobs than a report looks at; the latest are counted.
    """

    accepted: int
    ended: Mapping[str, int]
    audio_s: Mapping[str, float]
    waiting: int
    running: int
    wait_p50_s: float | None = None
    wait_p95_s: float | None = None
    oldest_wait_s: float | None = None
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one engine. Its RTF is seconds of work over seconds of audio: less is faster.

    Attributes:
        rtf: Median of the window.
        usual_rtf: Median of the thirty days before it; None when nothing was spoken then.
        slow_since_s: When it became slower than `advice.SLOW` times the usual, if it is so at the end of the window.
    """

    engine: str
    measured: Measured
    rtf: float
    usual_rtf: float | None
    slow_since_s: float | None = None

    @property
    def share(self) -> float | None:
        """Speed now over usual speed: 0.6 when it takes 1 / 0.6 times as long."""
        return self.usual_rtf / self.rtf if self.usual_rtf is not None and self.rtf > 0 else None


@dataclass(frozen=True, slots=True)
class Memory:
    """
    Attributes:
        what: ``host``, ``swap``, ``cgroup``, ``gpu:0``, ``web``, ``worker/espeak``.
        limit_bytes: What there is of it; None: it has no limit of its own.
    """

    what: str
    mean_bytes: float
    highest_bytes: float
    limit_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class CardHealth:
    """
    Attributes:
        utilisation_ratio: Mean.
        throttled_s: Slowed down by heat, or by its hardware to protect itself.
        capped_s: Slowed down by its power limit.
        xids: Critical errors that the driver told of.
        lost_s: It was not to be reached.
    """

    index: int
    highest_celsius: float | None
    utilisation_ratio: float | None
    highest_watts: float | None
    throttled_s: float
    capped_s: float
    xids: int
    lost_s: float


@dataclass(frozen=True, slots=True)
class Interruption:
    """Jobs that were interrupted and went on, of one cause.

    Attributes:
        job_id: The latest one.
    """

    cause: Cause
    count: int
    job_id: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Jobs that failed, of one cause.

    Attributes:
        code: The stable word of their error.
        job_id: The latest one.
    """

    code: str
    count: int
    job_id: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Deaths:
    """Of one process, that did not end in good order.

    Attributes:
        process: As in the log: ``web``, ``worker-espeak``.
        at_s: The latest one.
        for_memory: How many of them while the system had none left.
    """

    process: str
    count: int
    at_s: float
    for_memory: int


@dataclass(frozen=True, slots=True)
class SlowJob:
    """
    Attributes:
        took_s: From its first claim to its end, pauses included.
    """

    id: str
    engine: str
    audio_s: float
    took_s: float
    interruptions: int

    @property
    def rtf(self) -> float:
        return self.took_s / self.audio_s


@dataclass(frozen=True, slots=True)
class Disk:
    """
    Attributes:
        free_bytes: Above the floor that must stay free.
        hours: Of audio that fit: spoken, and again as a WAV file.
        days: Until that is used up at the pace of the window; None when nothing was spoken.
    """

    free_bytes: int
    hours: float
    days: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """Values over time; None where nothing is known. The means and the highest values of steps of ``step_s``."""

    start_s: float
    step_s: float
    mean: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """Advice, with its evidence.

    Attributes:
        rule: Names it; `words.ADVICE` has its text.
        facts: What the text is filled in with: numbers in units of the house, ids and names of ours.
    """

    rule: str
    severity: Severity
    facts: Mapping[str, float | str]


@dataclass(frozen=True, slots=True)
class Report:
    """
    Attributes:
        since_s, until_s: The window.
        known_s: Time of the window of which the machine's curves are known.
        cpu_ratio: Mean of all cores.
        budgets: Engine → what the requests of its worker may hold, in bytes.
        ends: State → when jobs ended so, for the picture.
        curves: Name of a series → the curve.
    """

    version: str
    since_s: float
    until_s: float
    setup: Setup
    load: Load
    speeds: tuple[Speed, ...]
    interruptions: tuple[Interruption, ...]
    failures: tuple[Failure, ...]
    deaths: tuple[Deaths, ...]
    slowest: tuple[SlowJob, ...]
    disk: Disk
    known_s: float = 0.0
    cpu_ratio: float | None = None
    memory: tuple[Memory, ...] = ()
    budgets: Mapping[str, int] = field(default_factory=dict)
    cards: tuple[CardHealth, ...] = ()
    ends: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    advice: tuple[Advice, ...] = ()

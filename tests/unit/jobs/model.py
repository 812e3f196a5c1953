"""What the job store should do, in plain Python. Its transition table is read from the page docs/job-states.md.

Knows no SQL and none of the code under test but its records: where the two differ, one of them is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from longtake.core.units import SAMPLE_RATE_HZ, samples_of
from longtake.jobs.records import Kind, Stretch
from longtake.jobs.states import State, Verb
from tests.docs.markdown import read, spans, table
from tests.support.clock import HandClock

_PAGE = read("job-states.md")
EDGES = {(State(row[0]), Verb(row[1])): State(row[2]) for row in table(_PAGE, "from")}
STATES = {State(spans(cell)[0]): (cell, meaning) for cell, meaning in table(_PAGE, "state")}
OWNED = {state for state, (cell, _) in STATES.items() if cell.startswith("**")}
ENDED = {state for state, (_, meaning) in STATES.items() if meaning.startswith("ended")}
LEASE_S = 30.0
MAX_CRASHES = 3


@dataclass
class ModelPassage:
    estimated_s: float
    silence_s: float
    samples: list[int] = field(default_factory=list)
    """Of each stretch."""
    is_spoken: bool = False

    @property
    def heard_samples(self) -> int:
        return sum(self.samples) + samples_of(self.silence_s) if self.samples else 0

    @property
    def remaining_s(self) -> float:
        return 0.0 if self.is_spoken else max(0.0, self.estimated_s - sum(self.samples) / SAMPLE_RATE_HZ)

    def takes(self, stretch: Stretch) -> bool:
        return not self.is_spoken and stretch.number == len(self.samples)

    def take(self, stretch: Stretch) -> None:
        self.samples.append(stretch.samples)
        self.is_spoken = stretch.is_last

    def cut(self, number: int) -> None:
        if number < len(self.samples):
            del self.samples[number:]
            self.is_spoken = False


@dataclass
class ModelJob:
    number: int
    kind: Kind
    passages: list[ModelPassage]
    state: State = State.QUEUED
    token: int = 0
    owner: str | None = None
    lease_boot: str = ""
    lease_until_s: float = 0.0
    crashes: int = 0
    states: list[State] = field(default_factory=lambda: [State.QUEUED])

    @property
    def passages_done(self) -> int:
        return sum(passage.is_spoken for passage in self.passages)

    @property
    def has_holes(self) -> bool:
        return self.passages_done < len(self.passages)

    @property
    def remaining_s(self) -> float:
        return sum(passage.remaining_s for passage in self.passages)

    @property
    def audio_samples(self) -> int:
        return sum(passage.heard_samples for passage in self.passages)

    def after(self, verb: Verb) -> State | None:
        """None: refused."""
        return EDGES.get((self.state, verb))

    def move(self, verb: Verb) -> State:
        after = EDGES[self.state, verb]
        if after is not self.state:
            self.states.append(after)
        self.state = after
        if after not in OWNED:
            self.owner = None
        return after


class ModelStore:
    """All jobs that were submitted and not forgotten, by id."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.jobs: dict[str, ModelJob] = {}
        self.keys: dict[str, tuple[str, str]] = {}
        """Idempotency key → (fingerprint, job id)."""

    @property
    def queue(self) -> list[str]:
        """In the order in which jobs are claimed."""
        queued = [job_id for job_id, job in self.jobs.items() if job.state is State.QUEUED]
        return sorted(queued, key=lambda job_id: (-self.jobs[job_id].kind.priority, self.jobs[job_id].number))

    @property
    def load(self) -> tuple[int, float]:
        open_jobs = [job for job in self.jobs.values() if job.state not in ENDED | {State.CANCELLING}]
        return len(open_jobs), sum(job.remaining_s for job in open_jobs)

    def is_valid(self, worker: str, job_id: str, token: int) -> bool:
        job = self.jobs.get(job_id)
        return job is not None and (job.owner, job.token) == (worker, token)

    def claim(self, worker: str, *, suspects: bool) -> str | None:
        for job in self.jobs.values():
            if job.owner and (job.lease_boot != self.clock.boot_id or job.lease_until_s < self.clock.now_s):
                job.move(Verb.RELEASE)
        for job_id in self.queue:
            job = self.jobs[job_id]
            if suspects or not job.crashes:
                job.move(Verb.CLAIM)
                job.token += 1
                job.owner, job.lease_boot = worker, self.clock.boot_id
                job.lease_until_s = self.clock.now_s + LEASE_S
                return job_id
        return None

    def beat(self, worker: str) -> None:
        for job in self.jobs.values():
            if job.owner == worker:
                job.lease_until_s = self.clock.now_s + LEASE_S

    def release_worker(self, worker: str, *, crashed: bool) -> set[str]:
        """The jobs that it held."""
        held = {job_id for job_id, job in self.jobs.items() if job.owner == worker}
        for job_id in held:
            job = self.jobs[job_id]
            job.crashes += crashed
            job.move(Verb.FAIL if crashed and job.crashes >= MAX_CRASHES else Verb.RELEASE)
        return held

    def release_all(self) -> set[str]:
        held = {job_id for job_id, job in self.jobs.items() if job.owner}
        for job_id in held:
            self.jobs[job_id].move(Verb.RELEASE)
        for job in self.jobs.values():
            if job.kind is not Kind.JOB and job.state in (State.QUEUED, State.PAUSED):
                job.move(Verb.CANCEL)
        return held

    def forget(self, job_id: str) -> None:
        del self.jobs[job_id]
        self.keys = {key: known for key, known in self.keys.items() if known[1] != job_id}

"""The job store as users see it: submit, look, ask for pause, resume, cancel. The worker's side is `desk`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from longtake.core.clock import Clock, SystemClock
from longtake.core.errors import ConflictError, InputError, QueueFullError
from longtake.core.records import Passage
from longtake.core.units import format_duration
from longtake.jobs.changes import MAX_CRASHES, Changes
from longtake.jobs.cuts import Cuts
from longtake.jobs.database import Database
from longtake.jobs.history import History
from longtake.jobs.records import Event, Job, JobSpec, Kind, PlannedPassage, QueueLimits, SpokenPassage, WorkerRow
from longtake.jobs.rows import (
    event_from_row,
    job_from_row,
    passage_from_row,
    planned_to_row,
    spec_to_json,
    spoken_from_rows,
    to_json,
    worker_from_row,
)
from longtake.jobs.states import ENDED, State, Verb

_LAST = 1 << 62


def new_job_id() -> str:
    return f"job_{secrets.token_hex(8)}"


class JobStore:
    """Every method is one transaction and safe from any thread."""

    def __init__(
        self,
        db: Database,
        *,
        clock: Clock | None = None,
        limits: QueueLimits | None = None,
        new_id: Callable[[], str] = new_job_id,
    ) -> None:
        self._db = db
        self._clock = clock or SystemClock()
        self._limits = limits or QueueLimits()
        self._new_id = new_id
        self._changes = Changes(db, self._clock)
        self.cuts = Cuts(db, self._changes)
        self.history = History(db)

    # Submitting

    def submit(
        self,
        spec: JobSpec,
        script: str,
        passages: Sequence[PlannedPassage],
        *,
        kind: Kind = Kind.JOB,
        out_path: str | None = None,
        out_subtitles: Sequence[str] = (),
        idempotency: tuple[str, str] | None = None,
    ) -> tuple[Job, bool]:
        """Queue a job; gives it and whether it is new.

        Args:
            idempotency: The caller's key and a fingerprint of the request. The same pair gives the same job again.

        Raises:
            InputError: Nothing to speak.
            ConflictError: The key was used for another request.
            QueueFullError: The queue's bound in jobs or in audio is reached.
        """
        if not passages:
            raise InputError("The script has nothing to speak.", code="empty_script", param="script")
        estimated_s = sum(planned.estimated_s for planned in passages)
        job_id = self._new_id()
        rows = [planned_to_row(job_id, planned) for planned in passages]  # outside: the write lock is everyone's
        spec_json = spec_to_json(spec)
        with self._db.write("submit"):
            if idempotency is not None and (known := self.known(*idempotency)):
                return known, False
            if kind is not Kind.PROBE:
                self._require_place(estimated_s)
            self._db.execute(
                "insert_job",
                id=job_id,
                kind=kind,
                priority=kind.priority,
                engine=spec.engine,
                spec=spec_json,
                script=script,
                out_path=out_path,
                out_subtitles=to_json(list(out_subtitles)),
                created_at=self._clock.wall_s(),
                passages_total=len(passages),
                remaining_s=estimated_s,
            )
            self._db.execute_many("insert_passage", rows)
            if idempotency is not None:
                key, fingerprint = idempotency
                self._db.execute("insert_idempotency", key=key, fingerprint=fingerprint, job_id=job_id)
            self._changes.append_event(
                job_id, "state", {"from": None, "to": State.QUEUED, "reason": None, "error": None}
            )
            return self._changes.job(job_id), True

    def known(self, key: str, fingerprint: str) -> Job | None:
        """The job that was submitted under this key.

        Raises:
            ConflictError: The key was used for another request.
        """
        row = self._db.row("idempotent_job", key=key)
        if row is None:
            return None
        if row["fingerprint"] != fingerprint:
            raise ConflictError(
                f"The Idempotency-Key {key!r} was used for another request. Use a new key for a new request.",
                code="idempotency_key_reused",
                param="Idempotency-Key",
            )
        return self._changes.job(row["job_id"])

    def _require_place(self, estimated_s: float) -> None:
        row = self._db.row("queue_load")
        assert row is not None  # noqa: S101  (an aggregate always gives a row)
        limits = self._limits
        if row["jobs"] >= limits.max_jobs:
            raise QueueFullError(
                f"The queue holds {row['jobs']} jobs, its limit. Wait, cancel some, or raise --max-queued-jobs.",
                retry_after_s=30.0,
            )
        if row["audio_s"] + estimated_s > limits.max_audio_s:
            raise QueueFullError(
                f"The queue holds {format_duration(row['audio_s'])} of audio to speak; with this job's "
                f"{format_duration(estimated_s)} it would pass its limit of {format_duration(limits.max_audio_s)}. "
                "Wait, cancel some jobs, or raise --max-queued-hours.",
                retry_after_s=60.0,
            )

    # Looking

    def job(self, job_id: str) -> Job:
        """
        Raises:
            NotFoundError: No such job.
        """
        return self._changes.job(job_id)

    def jobs(self, *, before: int | None = None, limit: int = 50) -> list[Job]:
        """The newest first; ``before`` is a job's number, for the next page."""
        rows = self._db.rows("jobs_before", before=_LAST if before is None else before, limit=limit)
        with self._db.parsing():
            return [job_from_row(row) for row in rows]

    def jobs_in(self, state: State) -> list[Job]:
        """All jobs of every kind in a state, the oldest first."""
        return [self._changes.job(row["id"]) for row in self._db.rows("jobs_in_state", state=state)]

    def script(self, job_id: str) -> str:
        self._changes.job(job_id)
        row = self._db.row("job_script", id=job_id)
        assert row is not None  # noqa: S101
        text: str = row["script"]
        return text

    def passages(self, job_id: str) -> list[tuple[Passage, SpokenPassage | None]]:
        """Every passage in order, with what was committed of it."""
        with self._db.read():
            rows = self._db.rows("passages", job_id=job_id)
            stretches = self._db.rows("stretches", job_id=job_id)
        with self._db.parsing():
            spoken = spoken_from_rows(rows, stretches)
            return [(passage_from_row(row), spoken.get(row["position"])) for row in rows]

    def events(self, job_id: str, *, after: int = 0, limit: int = 500) -> list[Event]:
        rows = self._db.rows("events_after", job_id=job_id, after=after, limit=limit)
        with self._db.parsing():
            return [event_from_row(row) for row in rows]

    def place_in_queue(self, job_id: str) -> int:
        """How many jobs of the same engine are claimed before this one; 0 is next."""
        row = self._db.row("place_in_queue", id=job_id)
        return int(row["ahead"]) if row else 0

    def counts(self) -> dict[tuple[str, str], int]:
        """(engine, state) → number of jobs."""
        return {(row["engine"], row["state"]): row["jobs"] for row in self._db.rows("count_by_state")}

    def queue_load(self) -> tuple[int, float]:
        """Jobs accepted and not ended, and their estimated seconds of audio yet to speak."""
        row = self._db.row("queue_load")
        assert row is not None  # noqa: S101
        return row["jobs"], row["audio_s"]

    def oldest_queued_s(self) -> dict[str, float]:
        """Engine → how long its oldest queued job has waited since it was submitted; without those of which none is."""
        rows = self._db.rows("oldest_queued")
        now_s = self._clock.wall_s()
        return {row["engine"]: max(0.0, now_s - row["since"]) for row in rows}

    def stalled_s(self) -> dict[str, float]:
        """Engine → of its running jobs, the longest time since one committed something or was claimed."""
        rows = self._db.rows("last_progress", boot=self._clock.boot_id)
        now_s = self._clock.monotonic_s()
        return {row["engine"]: max(0.0, now_s - row["since"]) for row in rows}

    def workers(self) -> list[WorkerRow]:
        return [worker_from_row(row) for row in self._db.rows("workers")]

    def cache_counts(self) -> dict[str, tuple[int, int]]:
        """Engine → passages found in the cache and not found there, ever, also by workers that are gone."""
        return {row["engine"]: (row["hits"], row["misses"]) for row in self._db.rows("cache_counts")}

    def learned_paces(self, engine: str) -> dict[str, tuple[float, float]]:
        """Language → (units, seconds) of all finished jobs, at speed 1."""
        return {row["language"]: (row["units"], row["seconds"]) for row in self._db.rows("paces", engine=engine)}

    def data_version(self) -> int:
        return self._db.data_version()

    def wal_bytes(self) -> int:
        return self._db.wal_bytes()

    # Asking

    def pause(self, job_id: str) -> Job:
        return self._ask(job_id, Verb.PAUSE)

    def resume(self, job_id: str) -> Job:
        """Also for a failed job: it goes on at the first passage that is missing."""
        return self._ask(job_id, Verb.RESUME)

    def cancel(self, job_id: str) -> Job:
        return self._ask(job_id, Verb.CANCEL)

    def _ask(self, job_id: str, verb: Verb) -> Job:
        with self._db.write():
            before = self._changes.job(job_id)
            after = self._changes.move(job_id, verb)
            if verb is Verb.RESUME and before.state is not after:
                self._db.execute("reset_crashes", id=job_id)
                self._db.execute("stand_alone", id=job_id)  # who goes on with an earlier version wants to keep it
            elif verb is Verb.PAUSE and after is State.PAUSED and before.reason is not None:
                # Paused for a reason, it would go on when the reason is gone; now its user says no.
                self._db.execute("set_state", id=job_id, state=after, reason=None)
            return self._changes.job(job_id)

    def explain_queued(self, engine: str, word: str, reason: str | None) -> None:
        """Say of the jobs that wait for an engine why nobody takes them up, or that nothing is in their way any more.

        Args:
            word: What such reasons begin with. A job that has another reason keeps it, one that was told is not told
                again.
            reason: None takes back what was said.
        """
        if not self._db.rows("queued_to_explain", engine=engine, word=f"{word}%", is_over=reason is None):
            return  # the write lock is everyone's
        with self._db.write():
            for row in self._db.rows("queued_to_explain", engine=engine, word=f"{word}%", is_over=reason is None):
                self._db.execute("explain_queued", id=row["id"], reason=reason)
                self._changes.append_event(row["id"], "waiting", {"reason": reason})

    # Delivering, by the command line

    def reopen(self, job_id: str) -> Job:
        """Queue a done job whose finished file has gone: what is committed is encoded again. Speaks what is damaged.

        Raises:
            ConflictError: It is not done.
        """
        with self._db.write():
            self._changes.move(job_id, Verb.REOPEN, reason="its finished file has gone")
            if not self._db.rows("stretches", job_id=job_id):  # lost, and a repair left it done for its file's sake
                self._db.execute("forget_progress", id=job_id)
            self._db.execute("stand_alone", id=job_id)
            return self._changes.job(job_id)

    def note_delivered(self, job_id: str) -> None:
        """The copy that the command line was asked for lies in its place."""
        with self._db.write("delivered"):
            self._db.execute("set_delivered", id=job_id, now=self._clock.wall_s())

    # Housekeeping, by the host of the data folder

    def release_worker(self, worker_id: str, *, crashed: str | None) -> list[Job]:
        """A worker is gone: its jobs are free at once. ``crashed`` tells how it died, None when it was asked to stop.

        A job that has seen MAX_CRASHES workers die is failed: it would kill the next one too.
        """
        released = []
        with self._db.write():
            for row in self._db.rows("leases_of", worker=worker_id):
                released.append(row["id"])
                self._free(row["id"], crashed)
            self._db.execute("keep_counts", id=worker_id)
            self._db.execute("forget_worker", id=worker_id)
            return [self._changes.job(job_id) for job_id in released]

    def release_all(self) -> list[Job]:
        """The host has just started: leases, and speech that somebody waited for, belong to a host that is gone."""
        released = []
        with self._db.write():
            for row in self._db.rows("leases"):
                released.append(row["id"])
                self._free(row["id"], None)
            for row in self._db.rows("unfinished_transients"):
                self._changes.move(row["id"], Verb.CANCEL, reason="whoever waited for it has gone")
            self._db.execute("keep_counts", id=None)
            self._db.execute("forget_workers")
            return [self._changes.job(job_id) for job_id in released]

    def _free(self, job_id: str, crashed: str | None) -> None:
        if crashed is not None:
            crashes = self._changes.count_crash(job_id)
            if crashes >= MAX_CRASHES:
                message = (
                    f"{crashes} workers died while they spoke this job, the last one so: {crashed}. It is set "
                    f"aside so that it harms no other. What was spoken is kept; `longtake resume {job_id}` tries again."
                )
                error = {"message": message, "type": "worker_error", "param": None, "code": "job_kills_workers"}
                self._changes.move(job_id, Verb.FAIL, reason="it killed its worker", error=error)
                return
        self._changes.move(job_id, Verb.RELEASE, reason=None if crashed is None else "its worker died; it goes on")

    def forget(self, job_id: str) -> None:
        """Delete an ended job's rows. The caller deletes the files afterwards: orphans are harmless, holes are not.

        Raises:
            ConflictError: It has not ended.
        """
        with self._db.write("forget"):
            job = self._changes.job(job_id)
            if job.state not in ENDED:
                raise ConflictError(
                    f"The job {job_id} is {job.state}. Cancel it before it is deleted.", code=f"job_is_{job.state}"
                )
            self._db.execute("outlive", id=job_id)
            self._db.execute("forget_job", id=job_id)

    def deletable_jobs(self) -> list[tuple[str, float]]:
        """(id, since when it is kept) of the ended jobs that nobody waits for, the oldest first: since its end, or, if
        it is an earlier version, since it became one or the new take ended.

        Not among them: one whose copy is not delivered yet, and an earlier version while the new one is being made.
        """
        return [(row["id"], row["kept_since"]) for row in self._db.rows("deletable_jobs")]

    def stale_transients(self, older_than_s: float) -> list[str]:
        """Ended speech and probe jobs that nobody needs any more."""
        before = self._clock.wall_s() - older_than_s
        return [row["id"] for row in self._db.rows("forgotten_transients", before=before)]

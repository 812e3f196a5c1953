"""The job store as a worker sees it: claim, heartbeat, commit, finish. Every write carries the fencing token."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from longtake.core.clock import Clock, SystemClock
from longtake.core.errors import InvariantError, LeaseLostError
from longtake.core.units import seconds_of
from longtake.jobs.changes import MAX_CRASHES, Changes
from longtake.jobs.database import Database
from longtake.jobs.records import Claim, Kind, Stretch
from longtake.jobs.rows import marks_to_json, passage_from_row, spoken_from_rows, stretch_to_row
from longtake.jobs.standing import Standing
from longtake.jobs.states import State, Verb, next_state

LEASE_S = 30.0
REMARK = "remark"  # kind of an event
_ANY_NUMBER = 2**62


class WorkerDesk:
    """What one worker may do with the store.

    Safe from any thread. A worker that was thought dead and wakes up learns it from the first LeaseLostError, and
    nothing that it tried was written.
    """

    def __init__(
        self,
        db: Database,
        worker_id: str,
        engine: str,
        pid: int,
        *,
        only_job: str | None = None,
        lease_s: float = LEASE_S,
        clock: Clock | None = None,
    ) -> None:
        """
        Args:
            only_job: Claim nothing but this job: the command line speaks its own and leaves the queue alone.
            lease_s: How long a claim holds without a heartbeat.
        """
        self.worker_id = worker_id
        self._engine = engine
        self._pid = pid
        self._only_job = only_job
        self._lease_s = lease_s
        self._db = db
        self._clock = clock or SystemClock()
        self._changes = Changes(db, self._clock)

    def heartbeat(self, *, state: str, steps: int, active: int, cache_hits: int = 0, cache_misses: int = 0) -> None:
        """Say how far this worker is, and renew its leases. The supervisor judges by ``steps``, not by the beat."""
        mono = self._clock.monotonic_s()
        with self._db.write("beat"):
            self._db.execute(
                "put_worker",
                id=self.worker_id,
                engine=self._engine,
                pid=self._pid,
                boot_id=self._clock.boot_id,
                state=state,
                steps=steps,
                active=active,
                beat_mono=mono,
                cache_hits=cache_hits,
                cache_misses=cache_misses,
            )
            self._db.execute("renew_leases", worker=self.worker_id, until=mono + self._lease_s)

    def tell_budget(self, budget_bytes: int) -> None:
        """Say what this worker's requests may hold: a job that can never fit is then refused when it is submitted."""
        with self._db.write():
            self._db.execute("set_budget", id=self.worker_id, budget_bytes=budget_bytes)

    def claim(self, *, min_priority: int = 0, suspects: bool = True, place: str = "") -> Claim | None:
        """Take the next queued job of this engine, or one whose owner's lease ran out; None when there is none.

        Args:
            suspects: Also a job whose worker died since it last got on: such a job is spoken alone, so that it takes no
                neighbour along.
            place: What this worker speaks with; the job says so when that changes on its way.
        """
        wanted = {
            "engine": self._engine,
            "priority": min_priority,
            "only": self._only_job,
            "crashes": _ANY_NUMBER if suspects else 0,
        }
        # The write lock is everyone's: an idle worker does not ask for it. In this order: a job whose worker lets go
        # between the two looks has lapsed at the first one, or is queued at the second.
        if not self._lapsed() and self._db.row("next_queued", **wanted) is None:
            return None
        with self._db.write("claim"):
            self._free_lapsed()
            row = self._db.row("next_queued", **wanted)
            if row is None:
                return None
            job_id = row["id"]
            after = next_state(State.QUEUED, Verb.CLAIM)
            reason = None
            if row["audio_samples"] and row["spoken_on"] and row["spoken_on"] != place:
                reason = f"begun with {row['spoken_on']}, it goes on with {place}"
            mono = self._clock.monotonic_s()
            self._db.execute(
                "claim_job",
                id=job_id,
                state=after,
                worker=self.worker_id,
                boot=self._clock.boot_id,
                until=mono + self._lease_s,
                now=self._clock.wall_s(),
                mono=mono,
                reason=reason,
                place=place,
            )
            self._changes.append_event(
                job_id, "state", {"from": State.QUEUED, "to": after, "reason": reason, "error": None}
            )
            job = self._changes.job(job_id)
            rows = self._db.rows("passages", job_id=job_id)
            stretches = self._db.rows("stretches", job_id=job_id)
        with self._db.parsing():
            return Claim(
                job=job,
                worker_id=self.worker_id,
                token=job.token,
                passages=tuple(passage_from_row(row) for row in rows),
                expected_s=tuple(row["estimated_s"] for row in rows),
                spoken=spoken_from_rows(rows, stretches),
                seeds={row["position"]: row["seed"] for row in rows if row["seed"] is not None},
            )

    def queued(self) -> frozenset[str]:
        """The ids of the jobs that this worker could claim."""
        rows = self._db.rows("queued_for", engine=self._engine, only=self._only_job)
        return frozenset(row["id"] for row in rows)

    def _lapsed(self) -> list[sqlite3.Row]:
        return self._db.rows("lapsed_leases", boot=self._clock.boot_id, mono=self._clock.monotonic_s())

    def _free_lapsed(self) -> None:
        for row in self._lapsed():
            self._changes.move(row["id"], Verb.RELEASE, reason="its worker fell silent; it goes on")

    def owned(self) -> dict[str, tuple[int, State]]:
        """Job id → (token, state) of what this worker holds: the place to learn of a pause, a cancel, a lost lease."""
        return {row["id"]: (row["token"], State(row["state"])) for row in self._db.rows("owned", worker=self.worker_id)}

    def commit(self, claim: Claim, stretches: Sequence[Stretch]) -> None:
        """Make stretches part of the job. Their files must be complete and durable before this is called.

        Raises:
            LeaseLostError: The claim is void; nothing was written.
        """
        job_id = claim.job.id
        with self._db.write("row"):
            self._require(claim)
            for stretch in stretches:
                place: dict[str, Any] = {"job_id": job_id, "position": stretch.index}
                before = self._standing(place)
                if before.is_spoken or stretch.number != before.stretches:
                    raise InvariantError(
                        f"Stretch {stretch.number} of passage {stretch.index} of {job_id} does not follow what is "
                        f"committed ({before.stretches} stretches{', to its end' * before.is_spoken})."
                    )
                self._db.execute("insert_stretch", **stretch_to_row(job_id, stretch))
                if stretch.is_last:
                    self._db.execute("end_passage", **place, marks=marks_to_json(stretch.marks))
                if stretch.remark:
                    self._changes.append_event(job_id, REMARK, {"passage": stretch.index, "message": stretch.remark})
                self._count_progress(job_id, before, self._standing(place))
            if any(stretch.is_last or stretch.trace_bytes for stretch in stretches):
                # It got on, so it is no suspect. Half a passage without a trace is spoken again by whoever comes next.
                self._db.execute("reset_crashes", id=job_id)
            job = self._changes.job(job_id)
            self._changes.append_event(
                job_id,
                "progress",
                {
                    "passages_done": job.passages_done,
                    "passages_total": job.passages_total,
                    "audio_seconds": round(seconds_of(job.audio_samples), 3),
                    "estimated_seconds": round(job.estimated_s, 3),
                },
            )

    def uncommit(self, claim: Claim, index: int, number: int = 0) -> None:
        """Take stretch ``number`` of a passage and what follows it out of the job: it will be spoken again.

        Raises:
            LeaseLostError: The claim is void.
        """
        job_id = claim.job.id
        place: dict[str, Any] = {"job_id": job_id, "position": index}
        with self._db.write():
            self._require(claim)
            before = self._standing(place)
            if before.stretches <= number:
                return
            self._db.execute("cut_stretches", **place, number=number)
            self._db.execute("reopen_passage", **place)
            self._count_progress(job_id, before, self._standing(place))
            self._changes.append_event(job_id, "recalled", {"passage": index, "stretch": number})

    def _standing(self, place: Mapping[str, Any]) -> Standing:
        row = self._db.row("passage_progress", **place)
        if row is None:
            raise InvariantError(f"There is no passage {place}.")
        return Standing(
            is_spoken=bool(row["is_spoken"]),
            stretches=row["stretches"],
            samples=row["samples"],
            silence_s=row["silence_before_s"],
            estimated_s=row["estimated_s"],
        )

    def _count_progress(self, job_id: str, before: Standing, after: Standing) -> None:
        self._db.execute(
            "add_progress",
            id=job_id,
            passages=after.is_spoken - before.is_spoken,
            samples=after.heard_samples - before.heard_samples,
            estimated_s=after.settled_s - before.settled_s,
            mono=self._clock.monotonic_s(),
        )

    def finish(self, claim: Claim, audio_file: str, audio_bytes: int) -> State:
        """The finished file is in its place.

        Raises:
            LeaseLostError: The claim is void.
            InvariantError: A passage is missing: nothing with a hole is ever done.
        """
        job_id = claim.job.id
        with self._db.write("finish"):
            self._require(claim)
            row = self._db.row("holes", job_id=job_id)
            if row is None or row["holes"]:
                raise InvariantError(f"{job_id} has passages that were never committed; it cannot be done.")
            after = self._changes.move(
                job_id, Verb.FINISH, reason=self._remarks(job_id), audio_file=audio_file, audio_bytes=audio_bytes
            )
            if after is State.DONE and claim.job.kind is not Kind.PROBE:
                self._learn(claim)
            return after

    def _remarks(self, job_id: str) -> str | None:
        """What its user should know of the audio, though it is done."""
        return " ".join(row["message"] for row in self._db.rows("remarks", job_id=job_id, kind=REMARK)) or None

    def _learn(self, claim: Claim) -> None:
        """Paces are kept at speed 1; a job's own speed is taken out. What has a remark was cut, or hardly spoken."""
        for row in self._db.rows("pace_of_job", job_id=claim.job.id, remark=REMARK):
            seconds = seconds_of(row["samples"]) * claim.job.spec.speed
            self._db.execute(
                "learn_pace", engine=self._engine, language=row["language"], units=row["units"], seconds=seconds
            )

    def fail(self, claim: Claim, error: dict[str, Any]) -> State:
        """The job cannot be finished; what was spoken stays.

        Raises:
            LeaseLostError: The claim is void.
        """
        return self._let_go(claim, Verb.FAIL, error=error)

    def stumble(self, claim: Claim, error: dict[str, Any]) -> State:
        """Something went wrong that may not happen again: the job is tried again, unless it has stumbled too often.

        Raises:
            LeaseLostError: The claim is void.
        """
        with self._db.write():
            self._require(claim)
            if self._changes.count_crash(claim.job.id) >= MAX_CRASHES:
                return self._changes.move(claim.job.id, Verb.FAIL, error=error)
            reason = f"it stumbled and is tried again: {error['message']}"
            return self._changes.move(claim.job.id, Verb.RELEASE, reason=reason)

    def suspend(self, claim: Claim, reason: str) -> State:
        """The job cannot go on now, through no fault of its own; it is paused, and resumed by its user or the host.

        Raises:
            LeaseLostError: The claim is void.
        """
        return self._let_go(claim, Verb.SUSPEND, reason=reason)

    def release(self, claim: Claim, reason: str | None = None) -> State:
        """Let go: a pause or cancel is carried out by this, a running job is queued again.

        Raises:
            LeaseLostError: The claim is void.
        """
        return self._let_go(claim, Verb.RELEASE, reason=reason)

    def explain(self, claim: Claim, reason: str | None) -> None:
        """Say why the job does not get on, or that it does again.

        Raises:
            LeaseLostError: The claim is void.
        """
        job_id = claim.job.id
        with self._db.write():
            self._require(claim)
            self._db.execute("set_reason", id=job_id, reason=reason)
            self._changes.append_event(job_id, "waiting", {"reason": reason})

    def _let_go(
        self, claim: Claim, verb: Verb, *, reason: str | None = None, error: dict[str, Any] | None = None
    ) -> State:
        with self._db.write():
            self._require(claim)
            return self._changes.move(claim.job.id, verb, reason=reason, error=error)

    def sign_off(self) -> None:
        """This worker ends in good order."""
        with self._db.write():
            self._db.execute("keep_counts", id=self.worker_id)
            self._db.execute("forget_worker", id=self.worker_id)

    def data_version(self) -> int:
        return self._db.data_version()

    def _require(self, claim: Claim) -> None:
        row = self._db.row("owner", id=claim.job.id)
        if row is None or row["lease_worker"] != self.worker_id or row["token"] != claim.token:
            raise LeaseLostError(
                f"Worker {self.worker_id} no longer owns {claim.job.id} (token {claim.token}): "
                "another one goes on with it."
            )

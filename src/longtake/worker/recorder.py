"""What becomes of a spoken passage: committed, joined, encoded, finished. One thread a job; knows no engine.

Its order of work is its meaning: commit whatever has been spoken, and only when nothing waits to be committed encode
the next committed passage. The encoder reads passages back from disk, so a job that goes on after a crash is no special
case: its first passages are on disk already.

State, by thread:
    loop      offers spoken passages, reads `lead_s`, `outcome`, `steps`, `damaged`
    recorder  everything else
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from longtake.audio import (
    Assembly,
    Pcm,
    commit_file,
    has_sha256,
    parse_format,
    parse_loudness,
    read_passage,
    write_passage,
)
from longtake.core.errors import LeaseLostError, LongtakeError, WorkerError
from longtake.core.records import Mark
from longtake.core.units import seconds_of
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Claim, SpokenPassage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A passage fresh from the engine. `pcm_T`: int16, mono, 24 kHz."""

    index: int
    pcm_T: NDArray[np.int16]  # noqa: N815  (shape suffix)
    marks: tuple[Mark, ...]


class Outcome(StrEnum):
    FINISHED = "finished"
    LOST = "lost"  # another worker owns the job now: nothing may be written any more
    FAILED = "failed"


class Recorder:
    """Records one claimed job. Memory: the passages that are spoken and not committed yet, and one block of audio."""

    def __init__(self, claim: Claim, desk: WorkerDesk, folder: DataFolder, *, news: Callable[[], None]) -> None:
        """
        Args:
            news: Called from the recorder's thread when the loop should look again.
        """
        self._claim = claim
        self._desk = desk
        self._folder = folder
        self._news = news
        self._changed = threading.Condition()
        self._offered: deque[Spoken] = deque()
        self._damaged: list[int] = []
        self._committed = dict(claim.spoken)
        self._lead: dict[int, float] = {}  # passages spoken under this claim and not encoded yet, in seconds
        self._is_stopping = False
        self.steps = 0  # grows with every commit and every block encoded: encoding is progress, too
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"recorder-{claim.job.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, spoken: Spoken) -> None:
        """Hand over a passage; the bound on how many wait is the loop's: it looks at `lead_s` before it starts more."""
        with self._changed:
            self._offered.append(spoken)
            self._lead[spoken.index] = seconds_of(len(spoken.pcm_T))
            self._changed.notify()

    @property
    def lead_s(self) -> float:
        """Seconds of audio spoken under this claim and not encoded yet."""
        with self._changed:
            return sum(self._lead.values())

    def take_damaged(self) -> list[int]:
        """Passages whose files turned out missing or damaged: to be spoken again."""
        with self._changed:
            damaged, self._damaged = self._damaged, []
            return damaged

    def stop(self, timeout_s: float | None = None) -> bool:
        """Commit what was offered, then end without finishing; False when it did not end in time."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._record()
        except LeaseLostError as error:
            self.error, self.outcome = error, Outcome.LOST
        except BaseException as error:  # a border: the loop decides what becomes of the job
            if not isinstance(error, LongtakeError):
                log.exception("recorder failed", extra={"job": self._claim.job.id})
            self.error, self.outcome = error, Outcome.FAILED
        self._news()

    def _record(self) -> None:
        claim, spec = self._claim, self._claim.job.spec
        audio_format = parse_format(spec.response_format)
        self._folder.passages(claim.job.id).mkdir(parents=True, exist_ok=True)
        self._sweep()
        part = self._folder.part(claim.job.id, claim.token, audio_format.suffix)
        assembly = Assembly(part, audio_format, parse_loudness(spec.loudness))
        try:
            if not self._record_all(assembly):
                return
            finished = assembly.finish()
        finally:
            assembly.abort(
                keep=True
            )  # no effect on a finished one; otherwise what was encoded stays for those who listen
        final = self._folder.finished(claim.job.id, claim.token, audio_format.suffix)
        commit_file(part, final)
        self._desk.finish(claim, final.name, finished.size_bytes)
        self.outcome = Outcome.FINISHED

    def _record_all(self, assembly: Assembly) -> bool:
        """Commit and encode until the last passage; False when told to stop before it."""
        cursor = 0
        while cursor < len(self._claim.passages):
            if offered := self._wait_for_work(cursor):
                self._commit(offered)
            elif self._is_stopping:
                return False
            elif self._assemble(assembly, cursor):
                cursor += 1
        assembly.add(self._claim.job.spec.trailing_silence_s, ())
        return True

    def _wait_for_work(self, cursor: int) -> list[Spoken]:
        with self._changed:
            self._changed.wait_for(lambda: self._offered or self._is_stopping or cursor in self._committed)
            offered = list(self._offered)
            self._offered.clear()
            return offered

    def _commit(self, offered: list[Spoken]) -> None:
        """Files first, each durable; then their rows, all in one transaction."""
        job_id = self._claim.job.id
        self._folder.require_room(sum(2 * len(s.pcm_T) for s in offered), "The audio just spoken")
        committed = []
        for spoken in offered:
            # The token in the name: a worker that was thought dead can only write under its own.
            path = self._folder.passages(job_id) / f"{spoken.index:06d}-{self._claim.token}.pcm"
            file = write_passage(path, (spoken.pcm_T,))
            committed.append(SpokenPassage(spoken.index, path.name, file.sha256, file.samples, spoken.marks))
        self._desk.commit(self._claim, committed)
        self.steps += 1
        self._committed.update((passage.index, passage) for passage in committed)
        self._news()

    def _assemble(self, assembly: Assembly, cursor: int) -> bool:
        """Encode the passage at the cursor; False when its file is not what was committed."""
        passage = self._committed[cursor]
        path = self._folder.passages(self._claim.job.id) / passage.file
        if cursor in self._claim.spoken and not has_sha256(path, passage.sha256):
            log.warning("passage damaged, it is spoken again", extra={"job": self._claim.job.id, "passage": cursor})
            self._desk.uncommit(self._claim, passage)
            del self._committed[cursor]
            with self._changed:
                self._damaged.append(cursor)
            self._news()
            return False
        assembly.add(self._claim.passages[cursor].silence_before_s, self._counted(read_passage(path)))
        with self._changed:
            self._lead.pop(cursor, None)
        self._news()
        return True

    def _counted(self, blocks: Iterator[Pcm]) -> Iterator[Pcm]:
        for block in blocks:
            self.steps += 1
            yield block

    def _sweep(self) -> None:
        """Remove what earlier claims left: growing and finished files without a row, passages that no row names."""
        named = {passage.file for passage in self._committed.values()}
        job = self._folder.job(self._claim.job.id)
        for path in [*job.glob("part-*"), *job.glob("audio-*"), *self._folder.passages(job.name).iterdir()]:
            if path.name not in named:
                path.unlink(missing_ok=True)


def error_to_dict(error: BaseException) -> dict[str, str | None]:
    """How an error is stored with a failed job."""
    if isinstance(error, LongtakeError):
        kind = "engine_error" if isinstance(error, WorkerError) else "invalid_request_error"
        return {"message": error.message, "type": kind, "param": error.param, "code": error.code}
    return {
        "message": f"longtake made a mistake ({type(error).__name__}: {error}). The worker's log has the trace.",
        "type": "server_error",
        "param": None,
        "code": "internal_error",
    }

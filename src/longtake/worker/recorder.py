"""What becomes of speech: committed, joined, encoded, finished. One thread a job; knows no engine.

Its order of work is its meaning: commit whatever has been spoken, and only when nothing waits to be committed encode
the next block. The encoder reads stretches back from disk, so a job that goes on after a crash is no special case: its
first stretches are on disk already.

State, by thread:
    loop      offers stretches, reads `lead_s`, `outcome`, `steps`, `spoken`, `has_damaged`, `take_damaged`
    recorder  everything else
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from longtake.audio import (
    Assembly,
    Pcm,
    commit_file,
    parse_format,
    parse_loudness,
    read_samples,
    read_trace,
    write_stretch,
)
from longtake.core.disk import disk_error
from longtake.core.errors import LeaseLostError, LongtakeError
from longtake.core.failpoints import reach
from longtake.core.records import Mark
from longtake.core.units import seconds_of
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Claim, SpokenPassage, Stretch
from longtake.worker.mend import intact

log = logging.getLogger(__name__)

_LOOK_AT_DISK_EVERY = 16  # blocks of a second: an hour of WAV's silence fills a disk, too


@dataclass(frozen=True, slots=True)
class Spoken:
    """A stretch fresh from the engine. `pcm_T`: int16, mono, 24 kHz; the rest as in `Stretch`."""

    index: int
    pcm_T: NDArray[np.int16]  # noqa: N815  (shape suffix)
    marks: tuple[Mark, ...] = ()
    number: int = 0
    is_last: bool = True
    trace: bytes = b""
    remark: str = ""
    is_cached: bool = False  # the passage cache has it, too

    @property
    def loss_s(self) -> float:
        """Seconds of audio that would have to be spoken again if it were lost now."""
        return 0.0 if self.is_cached else seconds_of(len(self.pcm_T))


class Outcome(StrEnum):
    FINISHED = "finished"
    LOST = "lost"  # another worker owns the job now: nothing may be written any more
    FAILED = "failed"


class _Stopped(Exception):
    """Told to stop before the end."""


class Recorder:
    """Records one claimed job. Memory: what is spoken and not committed yet, and one block of audio."""

    def __init__(
        self,
        claim: Claim,
        desk: WorkerDesk,
        folder: DataFolder,
        *,
        keeps_traces: bool = False,
        news: Callable[[], None],
    ) -> None:
        """
        Args:
            claim: As `mend` gave it.
            keeps_traces: A damaged passage is cut back to its intact stretches; otherwise it is spoken anew as a whole.
            news: Called from the recorder's thread when the loop should look again.
        """
        self._claim = claim
        self._desk = desk
        self._folder = folder
        self._keeps_traces = keeps_traces
        self._news = news
        self._changed = threading.Condition()
        self._offered: deque[Spoken] = deque()
        self._damaged: list[int] = []
        self._spoken = dict(claim.spoken)
        self._lead: dict[tuple[int, int], float] = {}  # stretches of this claim that are not encoded yet, in seconds
        self._uncommitted_s = 0.0
        self._is_stopping = False
        self._is_encoding_on = False  # though it is stopping
        self._is_lost = False
        self.has_committed = False  # under this claim
        self.steps = 0  # grows with every commit and every block encoded: encoding is progress, too
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"recorder-{claim.job.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, spoken: Spoken) -> None:
        """Hand over a stretch; the bound on how many wait is the loop's: it looks at `lead_s` before it starts more."""
        with self._changed:
            self._offered.append(spoken)
            self._uncommitted_s += spoken.loss_s
            self._lead[spoken.index, spoken.number] = seconds_of(len(spoken.pcm_T))
            self._changed.notify()

    @property
    def lead_s(self) -> float:
        """Seconds of audio spoken under this claim and not encoded yet."""
        with self._changed:
            return sum(self._lead.values())

    @property
    def uncommitted_s(self) -> float:
        """Seconds of audio that were offered and would be lost now; what the cache has, too, would not be."""
        with self._changed:
            return self._uncommitted_s

    def spoken(self, index: int) -> SpokenPassage | None:
        """What is committed of a passage by now."""
        with self._changed:
            return self._spoken.get(index)

    def trace(self, index: int) -> bytes:
        """The trace of what is committed of a passage.

        Raises:
            WorkerError: A file cannot be read.
        """
        passage = self.spoken(index)
        folder = self._folder.passages(self._claim.job.id)
        stretches = passage.stretches if passage else ()
        return b"".join(read_trace(folder / s.file, s.samples) for s in stretches if s.trace_bytes)

    @property
    def has_damaged(self) -> bool:
        """It waits for a passage to be spoken again, however much is spoken ahead."""
        with self._changed:
            return bool(self._damaged)

    def take_damaged(self) -> list[int]:
        """Passages that turned out not to be whole: what is missing of them is to be spoken again."""
        with self._changed:
            damaged, self._damaged = self._damaged, []
            return damaged

    def stop(self, timeout_s: float | None = None, *, encode: bool = False) -> bool:
        """Commit what was offered, then end without finishing; False when it did not end in time.

        Args:
            encode: First encode all that is committed, so that it can be heard.
        """
        with self._changed:
            self._is_stopping = True
            self._is_encoding_on = encode
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def lose(self) -> None:
        """The job is another's: what no row names is cleared away when this is stopped."""
        with self._changed:
            self._is_lost = True

    def _run(self) -> None:
        try:
            self._record()
        except _Stopped:
            if self._is_lost:
                self._clear_away()
        except LeaseLostError as error:
            self._clear_away()
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
        # Not before there is a folder: the job's own log shall begin with it.
        facts = {"token": claim.token, "spoken": len(claim.spoken), "of": len(claim.passages)}
        log.info("job begun", extra={"job": claim.job.id, **facts})
        self._sweep()
        part = self._folder.part(claim.job.id, claim.token, audio_format.suffix)
        assembly = Assembly(part, audio_format, parse_loudness(spec.loudness), before_block=self._before_block)
        try:
            for cursor, passage in enumerate(claim.passages):
                self._check(cursor)
                assembly.add(passage.silence_before_s, self._pcm(cursor))
                self._news()
            assembly.add(spec.trailing_silence_s, ())
            finished = assembly.finish()
        finally:
            assembly.abort(keep=True)  # what was encoded stays for those who listen; no effect on a finished one
        final = self._folder.finished(claim.job.id, claim.token, audio_format.suffix)
        commit_file(part, final, "audio")
        self._desk.finish(claim, final.name, finished.size_bytes)
        self.outcome = Outcome.FINISHED

    def _pcm(self, cursor: int) -> Iterator[Pcm]:
        """The passage as it comes."""
        number = 0
        while (stretch := self._await(cursor, number)) is not None:
            yield from read_samples(self._folder.passages(self._claim.job.id) / stretch.file, stretch.samples)
            with self._changed:
                self._lead.pop((cursor, number), None)
            self._news()
            number += 1

    def _before_block(self) -> None:
        """Between two blocks of speech or silence: whatever has been spoken meanwhile comes first."""
        self._commit_offered()
        with self._changed:
            # What came while that was being written is committed, too: `_await` or the next block does it.
            if self._is_stopping and not self._is_encoding_on and not self._offered:
                raise _Stopped
        try:
            reach("audio-grown")
        except OSError as error:
            raise disk_error(error, None) from error
        if self.steps % _LOOK_AT_DISK_EVERY == 0:
            self._folder.require_room(0, "Encoding on")
        self.steps += 1

    def _await(self, cursor: int, number: int) -> Stretch | None:
        """The stretch once it is committed; None behind the last one of its passage."""
        while True:
            self._commit_offered()
            passage = self._spoken.get(cursor)
            if passage is not None and number < len(passage.stretches):
                return passage.stretches[number]
            if passage is not None and passage.is_whole:
                return None
            with self._changed:
                if self._is_stopping and not self._offered:
                    raise _Stopped
                self._changed.wait_for(lambda: self._offered or self._is_stopping)

    def _commit_offered(self) -> None:
        """Files first, each durable; then their rows, all in one transaction."""
        with self._changed:
            offered = list(self._offered)
            self._offered.clear()
        if not offered:
            return
        self._folder.require_room(sum(2 * len(s.pcm_T) + len(s.trace) for s in offered), "The audio just spoken")
        committed = []
        for spoken in offered:
            path = self._folder.stretch(self._claim.job.id, spoken.index, spoken.number, self._claim.token)
            file = write_stretch(path, (spoken.pcm_T,), spoken.trace)
            committed.append(
                Stretch(
                    index=spoken.index,
                    file=path.name,
                    sha256=file.sha256,
                    samples=file.samples,
                    marks=spoken.marks,
                    number=spoken.number,
                    is_last=spoken.is_last,
                    trace_bytes=len(spoken.trace),
                    remark=spoken.remark,
                )
            )
        self._desk.commit(self._claim, committed)
        self.has_committed = True
        self.steps += 1
        for stretch in committed:
            facts = {"passage": stretch.index, "stretch": stretch.number, "seconds": seconds_of(stretch.samples)}
            log.debug("stretch committed", extra={"job": self._claim.job.id, **facts})
        with self._changed:
            self._uncommitted_s -= sum(spoken.loss_s for spoken in offered)
            for stretch in committed:
                before = self._spoken.get(stretch.index)
                stretches = (*before.stretches, stretch) if before else (stretch,)
                self._spoken[stretch.index] = SpokenPassage(stretch.index, stretches, stretch.is_last, stretch.marks)
        self._news()

    def _check(self, cursor: int) -> None:
        """A whole passage of an earlier claim whose files are not what was committed is given back to be spoken."""
        passage = self._claim.spoken.get(cursor)
        if passage is None or not passage.is_whole:
            return
        kept = intact(passage, self._claim, self._folder)
        if len(kept) == len(passage.stretches):
            return
        if not self._keeps_traces:
            kept = ()
        self._desk.uncommit(self._claim, cursor, len(kept))
        with self._changed:
            del self._spoken[cursor]
            if kept:
                self._spoken[cursor] = SpokenPassage(cursor, kept, is_whole=False, marks=())
            self._damaged.append(cursor)
        self._news()

    def _sweep(self) -> None:
        """Remove what earlier claims left: growing and finished files without a row, stretches that no row names.

        What bears a later token belongs to a successor: this worker was frozen until now, and does not know it yet.
        """
        self._remove_unnamed(range(self._claim.token + 1))

    def _clear_away(self) -> None:
        """A successor has swept already; what was written here since, no row names and nobody else removes.

        Without one all stays: the part for those who listen, the rest for the sweep of the next claim.
        """
        own = self._claim.token
        with suppress(OSError):  # as of a job that was deleted meanwhile
            if any(token > own for _, token in self._folder.files_by_token(self._claim.job.id)):
                self._remove_unnamed(range(own, own + 1))

    def _remove_unnamed(self, tokens: range) -> None:
        named = {stretch.file for passage in self._spoken.values() for stretch in passage.stretches}
        for path, token in self._folder.files_by_token(self._claim.job.id):
            if token in tokens and path.name not in named:
                path.unlink(missing_ok=True)

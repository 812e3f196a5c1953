"""Again from here: a job is cut back to the beginning of a turn and spoken on from there. Knows no HTTP, no terminal.

What was there stays as a job of its own, the earlier version: hard links to the same files under rows of its own, so it
takes no room and can be heard, read and resumed like any other. Files first, each durable; then all rows in one
transaction. A crash between any two steps leaves the job with all it had; one that was being spoken is paused, with the
reason.
"""

from __future__ import annotations

import logging
import math
import secrets
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from longtake.audio import has_sha256, read_samples, read_trace, write_stretch
from longtake.core.disk import disk_error, link_file, sync_folder
from longtake.core.errors import InputError, LongtakeError, NotFoundError, TransientError
from longtake.core.failpoints import reach
from longtake.core.records import Line
from longtake.core.units import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ, seconds_of
from longtake.delivery.border import Border, find_border
from longtake.delivery.delivery import audio_path
from longtake.engines.base import EngineAbout
from longtake.engines.registry import about
from longtake.jobs.cuts import Taken, TakenAwayError
from longtake.jobs.folder import CUTTING, DataFolder
from longtake.jobs.paths import FORGOTTEN
from longtake.jobs.records import Cut, Job, SpokenPassage, Stretch
from longtake.jobs.store import JobStore, new_job_id

log = logging.getLogger(__name__)

_TRIES = 5
_FRESH_SEEDS = 1_000_000_000  # short enough to be written down


@dataclass(frozen=True, slots=True)
class Again:
    """What was done.

    Attributes:
        job: As it is now: queued, and spoken up to `from_s`.
        from_s: Where it was cut; at or before the time that was asked for.
        line: What is said from there on.
        earlier_id: The job that holds what was there, until this one is done.
        seed: Counts from there on.
    """

    job: Job
    from_s: float
    line: Line
    earlier_id: str
    seed: int

    @property
    def label(self) -> str:
        """Who says the line."""
        return self.job.spec.labels.get(self.line.speaker, f"Speaker {self.line.speaker}")


def speak_again(store: JobStore, folder: DataFolder, job_id: str, at_s: float, *, seed: int | None = None) -> Again:
    """Cut a job back to the last turn that begins at or before ``at_s``, and queue it.

    Args:
        at_s: In the finished audio, as its subtitles tell time.
        seed: For what is spoken from there on; None is a fresh one, because the same one would give the same take.

    Raises:
        InputError: It is no time, or behind what is spoken.
        NotFoundError: A user made no such job.
        ConflictError: The job was cancelled.
        DiskFullError: There is no room to speak it again.
        TransientError: Others had a hand in the job at every try.
    """
    if not (math.isfinite(at_s) and at_s >= 0):
        raise InputError(
            f"The time is {at_s}; it must be 0 seconds or more.", code="time_out_of_range", param="from_seconds"
        )
    seed = secrets.randbelow(_FRESH_SEEDS) if seed is None else seed
    for _ in range(_TRIES):
        engine = about(store.cuts.require(job_id).spec.engine)
        find_border(store, store.job(job_id), at_s, is_within=engine.info.keeps_traces)  # nothing is touched in vain
        taken = store.cuts.take(job_id)
        try:
            return _cut(store, folder, engine, taken, at_s, seed)
        except TakenAwayError:
            continue
        except BaseException:
            with suppress(LongtakeError):
                store.cuts.give_back(taken)
            raise
    raise TransientError(
        f"The job {job_id} was changed by others at each of {_TRIES} tries. Try again.", retry_after_s=1.0
    )


def _cut(store: JobStore, folder: DataFolder, engine: EngineAbout, taken: Taken, at_s: float, seed: int) -> Again:
    job = taken.job
    border = find_border(store, job, at_s, is_within=engine.info.keeps_traces)
    spoken = dict(enumerate(found for _, found in store.passages(job.id)))
    passage = spoken[border.index]
    assert passage is not None  # noqa: S101  (a border lies in what is spoken)
    audio_s = 2 * job.estimated_s - border.passage_s - seconds_of(border.samples)  # what is spoken anew, and the file
    folder.require_room(round(audio_s * SAMPLE_RATE_HZ) * BYTES_PER_SAMPLE, "Speaking it again")
    earlier_id = new_job_id()
    tail: Stretch | None = None
    try:
        with ExitStack() as marks:
            try:
                for marked_id, mark in ((earlier_id, FORGOTTEN), (job.id, CUTTING)):
                    marks.enter_context(folder.marked(marked_id, mark))
            except OSError as error:
                raise disk_error(error, folder.job(earlier_id)) from error
            _link(folder, job, earlier_id, [s.file for each in spoken.values() if each for s in each.stretches])
            number, kept, tail = _keep(folder, job, engine, passage, border)
            cut = Cut(border.index, number, tail, border.passage_s + seconds_of(kept), seed)
            job = store.cuts.cut(taken, cut, earlier_id)
    except BaseException:
        with suppress(LongtakeError):
            _clean(store, folder, job, earlier_id, tail)
        raise
    facts = {"from_s": cut.from_s, "earlier": earlier_id}
    log.info("job is spoken again from some point", extra={"job": job.id, **facts})
    return Again(job, cut.from_s, border.line, earlier_id, seed)


def _link(folder: DataFolder, job: Job, earlier_id: str, stretches: list[str]) -> None:
    """The earlier version's files: names of its own for what is never written again. Durable on return."""
    try:
        folder.passages(earlier_id).mkdir(parents=True)
    except OSError as error:
        raise disk_error(error, folder.job(earlier_id)) from error
    for name in stretches:
        # A missing one is missing there, too, and is spoken again if the earlier version is gone on with.
        link_file(folder.passages(job.id) / name, folder.passages(earlier_id) / name)
    heard = audio_path(folder, job)
    if heard is not None:
        link_file(heard, folder.job(earlier_id) / heard.name)
    for path in (folder.passages(earlier_id), folder.job(earlier_id), folder.job(earlier_id).parent):
        sync_folder(path)
    try:
        reach("links-kept")
    except OSError as error:
        raise disk_error(error, folder.job(earlier_id)) from error


def _keep(
    folder: DataFolder, job: Job, engine: EngineAbout, passage: SpokenPassage, border: Border
) -> tuple[int, int, Stretch | None]:
    """What stays of the passage with the border: whole stretches, samples, and the beginning of the stretch behind."""
    left = border.samples
    for stretch in passage.stretches:
        if stretch.samples > left:
            tail = _shorten(folder, job, engine, stretch, left)
            return stretch.number, border.samples - left + (tail.samples if tail else 0), tail
        left -= stretch.samples
    return len(passage.stretches), passage.samples, None


def _shorten(folder: DataFolder, job: Job, engine: EngineAbout, stretch: Stretch, samples: int) -> Stretch | None:
    """The beginning of a stretch as a stretch of its own, its file durable; None when nothing of it can stay."""
    path = folder.passages(job.id) / stretch.file
    if not has_sha256(path, stretch.sha256):
        return None
    trace, samples = engine.cut_trace(read_trace(path, stretch.samples), samples)
    if not samples:
        return None
    final = folder.stretch(job.id, stretch.index, stretch.number, job.token)
    written = write_stretch(final, read_samples(path, samples), trace)
    return Stretch(
        index=stretch.index,
        file=final.name,
        sha256=written.sha256,
        samples=written.samples,
        number=stretch.number,
        is_last=False,
        trace_bytes=len(trace),
    )


def _clean(store: JobStore, folder: DataFolder, job: Job, earlier_id: str, tail: Stretch | None) -> None:
    """Nothing came of it: remove the files that were made for it."""
    try:
        store.job(earlier_id)
    except NotFoundError:
        folder.remove_job(earlier_id)
        if tail is not None:
            (folder.passages(job.id) / tail.file).unlink(missing_ok=True)

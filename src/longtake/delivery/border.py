"""Where in a job's audio a turn begins: the points to which it can be cut back. Reads rows alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from longtake.audio import line_starts
from longtake.core.errors import InputError
from longtake.core.records import Line
from longtake.core.units import format_time, samples_of
from longtake.delivery.bare import require_passages
from longtake.delivery.delivery import timeline
from longtake.jobs.records import Job
from longtake.jobs.states import State
from longtake.jobs.store import JobStore

_TOLERANCE_S = 0.0005  # subtitles tell times to the millisecond


@dataclass(frozen=True, slots=True)
class Border:
    """The beginning of a turn, or of a sentence where an engine speaks sentence by sentence.

    Attributes:
        index: Of its passage.
        passage_s: Where that passage begins in the finished audio.
        samples: From there to the border.
        line: What is said from here on.
    """

    index: int
    passage_s: float
    samples: int
    line: Line


def find_border(store: JobStore, job: Job, at_s: float, *, is_within: bool) -> Border:
    """The last border at or before a time of the finished audio, by the times that the subtitles show.

    Args:
        is_within: Also borders inside passages count, not only their beginnings.

    Raises:
        InputError: Nothing is spoken yet, or nothing so far from the beginning.
        ConflictError: The passages of the job are lost.
    """
    found, end_s = None, 0.0
    for start_s, end_s, border in _borders(store, job, is_within=is_within):  # noqa: B007  (the last end is used)
        if found is None or start_s <= at_s + _TOLERANCE_S:
            found = border
    if found is None:
        require_passages(store, job)
        raise InputError(
            f"Nothing of the job {job.id} is spoken yet, so there is nothing to speak again.",
            code="nothing_spoken",
            param="from_seconds",
        )
    if job.state is State.DONE:
        end_s += job.spec.trailing_silence_s
    if at_s > end_s + _TOLERANCE_S:
        raise InputError(
            f"The time {format_time(at_s)} lies behind what is spoken of the job {job.id}: {format_time(end_s)}. Give "
            "a time up to that.",
            code="time_out_of_range",
            param="from_seconds",
        )
    return found


def _borders(store: JobStore, job: Job, *, is_within: bool) -> Iterator[tuple[float, float, Border]]:
    """Each with its time, and the time where its passage ends."""
    for index, passage in enumerate(timeline(store, job.id)):
        end_s = passage.start_s + passage.duration_s
        starts = line_starts(passage) if is_within else [0.0]
        for start_s, line in zip(starts, passage.lines, strict=False):
            yield passage.start_s + start_s, end_s, Border(index, passage.start_s, samples_of(start_s), line)

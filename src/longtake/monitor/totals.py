"""What all workers of this host have counted together. Only reads: the files are the workers'."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from longtake.core.clock import Clock
from longtake.core.stats import Counts, StepStats, read_stats, stats_path

WINDOW_S = 10.0  # of what is told as "now"
STALE_S = 5.0  # a worker that has not written for so long is frozen, or its disk is full


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """One engine.

    Attributes:
        counts: Of all its workers since this process started; they never fall.
        recent: What was counted in the last seconds, at most `WINDOW_S`, by the worker of now.
        recent_s: How many seconds that are; 0 when nothing is known.
        now: Its worker at this moment; None when there is none, or it has not been heard of.
    """

    counts: Counts
    recent: Counts
    recent_s: float
    now: StepStats | None

    @property
    def rtf(self) -> float | None:
        """Compute seconds over audio seconds; None when nothing was spoken."""
        return self.recent.busy_s / self.recent.audio_s if self.recent.audio_s else None

    @property
    def batch_fill(self) -> float | None:
        """Of the places, how many were taken; None when no step was made."""
        if self.now is None or not self.now.max_active or not self.recent.steps:
            return None
        return self.recent.step_requests / self.recent.steps / self.now.max_active


class Totals:
    """To be used by one thread."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """
        Args:
            folder: Where workers write.
        """
        self._folder = folder
        self._clock = clock
        self._latest: dict[str, StepStats] = {}
        self._gone: dict[str, Counts] = {}
        self._past: dict[str, deque[StepStats]] = {}

    def look(self, workers: Mapping[str, str]) -> dict[str, EngineFigures]:
        """Engine → its figures; of every engine of which something is known.

        Args:
            workers: Engine → id of its worker of now, of those that have one.
        """
        for worker_id in {*workers.values(), *self._latest}:
            stats = read_stats(stats_path(self._folder, worker_id))
            if stats is not None and stats.boot_id == self._clock.boot_id:
                self._latest[worker_id] = stats
        for worker_id in self._latest.keys() - set(workers.values()):
            last = self._latest.pop(worker_id)
            self._gone[last.engine] = self._gone.get(last.engine, Counts()) + last.counts
            self._past.pop(worker_id, None)
        figures = {engine: EngineFigures(counts, Counts(), 0.0, None) for engine, counts in self._gone.items()}
        for engine, worker_id in workers.items():
            if (stats := self._latest.get(worker_id)) is not None:
                figures[engine] = self._figures(stats)
        return figures

    def _figures(self, stats: StepStats) -> EngineFigures:
        past = self._past.setdefault(stats.worker_id, deque())
        if not past or past[-1].told_s < stats.told_s:
            past.append(stats)
        while stats.told_s - past[0].told_s > WINDOW_S:
            past.popleft()
        is_fresh = self._clock.monotonic_s() - stats.told_s <= STALE_S
        return EngineFigures(
            counts=self._gone.get(stats.engine, Counts()) + stats.counts,
            recent=_since(past) if is_fresh else Counts(),
            recent_s=stats.told_s - past[0].told_s if is_fresh else 0.0,
            now=stats if is_fresh else None,
        )


def _since(past: Sequence[StepStats]) -> Counts:
    """What came between the first and the last of them, as far as rates are made of it."""
    then, now = past[0].counts, past[-1].counts
    return Counts(
        steps=now.steps - then.steps,
        step_requests=now.step_requests - then.step_requests,
        audio_s=now.audio_s - then.audio_s,
        busy_s=now.busy_s - then.busy_s,
        frames=None if now.frames is None else now.frames - (then.frames or 0),
        tokens=None if now.tokens is None else now.tokens - (then.tokens or 0),
        parts_s={part: seconds - then.parts_s.get(part, 0.0) for part, seconds in now.parts_s.items()},
    )

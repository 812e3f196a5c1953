"""What an engine and its worker tell of themselves in numbers. Frozen records; knows nothing of who reads them.

A worker writes its `StepStats` once a second into ``<data>/run/<worker>.json``; a reader takes what it knows of a file
and leaves the rest, so that either side may be of another version.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

# Upper bounds of the buckets, seconds: from speech, whose first sound comes at once, to a job that waits for a night.
WAIT_BOUNDS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0)


@dataclass(frozen=True, slots=True)
class Spread:
    """How waits were spread.

    Attributes:
        counts: Of each bucket alone, in the order of `WAIT_BOUNDS_S`; the last one is for all beyond.
        sum_s: All waits together.
    """

    counts: tuple[int, ...] = (0,) * (len(WAIT_BOUNDS_S) + 1)
    sum_s: float = 0.0

    def with_wait(self, wait_s: float) -> Spread:
        """One wait more. A clock that was set back makes no negative waits."""
        wait_s = max(0.0, wait_s)
        place = bisect_left(WAIT_BOUNDS_S, wait_s)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return Spread(counts, self.sum_s + wait_s)

    def __add__(self, other: Spread) -> Spread:
        return Spread(tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)), self.sum_s + other.sum_s)


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What an engine has counted since it was loaded, and what it holds now. None: it has no such thing.

    Attributes:
        frames: Of audio, of an engine that speaks frame by frame.
        tokens: Chosen by its language model.
        read_tokens: Positions of prompts read before.
        parts_s: Part of a step → seconds of the device in it.
        kv_bytes: Memory of keys and values, filled or not.
        device_allocated_bytes, device_reserved_bytes: By torch, in a device's own memory.
    """

    frames: int | None = None
    tokens: int | None = None
    read_tokens: int | None = None
    parts_s: Mapping[str, float] = field(default_factory=dict)
    kv_bytes: int | None = None
    device_allocated_bytes: int | None = None
    device_reserved_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """What only grows while a worker lives; the counts of workers that follow one another add up.

    Attributes:
        steps: Of the engine.
        step_requests: Requests active in each step, summed: over ``steps`` it is how full the batch was.
        passages: Spoken to their end.
        audio_s: Audio that the engine has given; not what came from the cache.
        busy_s: Time inside the engine's steps.
        frames, tokens, read_tokens, parts_s: As in `EngineStats`.
        cache_hits, cache_misses: Passages found in the passage cache, and not found there.
        resumes: Jobs taken up behind something that was spoken before.
        preemptions: Jobs put back into the queue because memory ran short.
        out_of_memory: Requests for which the device had no room though they were admitted.
        truncations: Passages that ended at their limit and not by themselves.
        write_failures: Jobs whose audio could not be written.
        first_audio_s: Kind of job → from submit to the first audio of the engine or the cache.
        queue_wait_s: Kind of job → from submit to the first claim.
    """

    steps: int = 0
    step_requests: int = 0
    passages: int = 0
    audio_s: float = 0.0
    busy_s: float = 0.0
    frames: int | None = None
    tokens: int | None = None
    read_tokens: int | None = None
    parts_s: Mapping[str, float] = field(default_factory=dict)
    cache_hits: int = 0
    cache_misses: int = 0
    resumes: int = 0
    preemptions: int = 0
    out_of_memory: int = 0
    truncations: int = 0
    write_failures: int = 0
    first_audio_s: Mapping[str, Spread] = field(default_factory=dict)
    queue_wait_s: Mapping[str, Spread] = field(default_factory=dict)

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{each.name: _sum(getattr(self, each.name), getattr(other, each.name)) for each in fields(self)})


@dataclass(frozen=True, slots=True)
class StepStats:
    """A worker at one moment.

    Attributes:
        told_s: When, on the machine's monotonic clock of boot ``boot_id``.
        state: ``loading``, ``ready``, ``unloaded`` or ``gone``.
        jobs: It holds.
        active: Requests that the engine speaks now, of at most ``max_active``.
        held_bytes: Reserved by them, of ``limit_bytes`` that may be held now and ``budget_bytes`` at best.
        kv_bytes, device_allocated_bytes, device_reserved_bytes: As in `EngineStats`.
        resident_bytes: Of the process.
    """

    worker_id: str
    engine: str
    pid: int
    boot_id: str
    told_s: float
    state: str
    counts: Counts = Counts()
    jobs: int = 0
    active: int = 0
    max_active: int | None = None
    held_bytes: int | None = None
    limit_bytes: int | None = None
    budget_bytes: int | None = None
    kv_bytes: int | None = None
    device_allocated_bytes: int | None = None
    device_reserved_bytes: int | None = None
    resident_bytes: int | None = None


def stats_path(folder: Path, worker_id: str) -> Path:
    """Where a worker of that id writes."""
    return folder / f"{worker_id}.json"


def write_stats(folder: Path, stats: StepStats) -> None:
    """Replace what the worker wrote before; a reader never sees half of it. After a power loss it may be gone.

    Raises:
        OSError: It cannot be written.
    """
    path = stats_path(folder, stats.worker_id)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(asdict(stats)), encoding="utf-8")
    os.replace(new, path)


def read_stats(path: Path) -> StepStats | None:
    """What a worker wrote last; None when it wrote nothing, or nothing that can be read."""
    try:
        return _from_dict(StepStats, json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, AttributeError):
        return None


_Record = TypeVar("_Record")


def _from_dict(kind: type[_Record], given: Mapping[str, Any]) -> _Record:
    """A record from what ``asdict`` made of it; fields that it does not know are left."""
    hints = get_type_hints(kind)
    known = {each.name: hints[each.name] for each in fields(kind) if each.name in given}  # type: ignore[arg-type]
    return kind(**{name: _from_json(hint, given[name]) for name, hint in known.items()})


def _from_json(hint: Any, value: Any) -> Any:
    if hint is Spread and len(value["counts"]) != len(Spread().counts):
        raise ValueError("it has other buckets")
    if is_dataclass(hint):
        return _from_dict(hint, value)  # type: ignore[arg-type]
    if hint == Mapping[str, Spread]:
        return {name: _from_json(Spread, each) for name, each in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _sum(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, Mapping):
        return {name: _sum(a.get(name), b.get(name)) for name in {*a, *b}}
    return a + b

"""Many jobs of mixed length in memory for a few: all end, memory stays below its budget, nobody waits for ever.

The jobs go through the real store, loop, recorder and encoder; what they hold is looked at every 100 ms. For comparison
the same passages are spoken in fixed batches, each begun when the one before has ended, without store and encoder. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from longtake.config import WorkerSettings
from longtake.core.clock import SystemClock
from longtake.core.records import Line, Passage
from longtake.core.units import format_bytes
from longtake.engines.base import SpeakRequest
from longtake.engines.vibevoice.about import INFO
from longtake.engines.vibevoice.engine import VibeVoiceEngine
from longtake.engines.vibevoice.load import load_engine
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job, JobSpec, PlannedPassage
from longtake.jobs.states import ENDED, State
from longtake.jobs.store import JobStore
from longtake.voices import VoiceStore
from longtake.worker.loop import WorkerLoop

SAMPLE_S = 0.1
STEPS = 2


@dataclass(frozen=True, slots=True)
class Result:
    """What was seen. Times in seconds of the clock, `audio_s` in seconds of sound."""

    jobs: int
    done: int
    audio_s: float
    wall_s: float
    budget_bytes: int
    most_held_bytes: int
    samples: int
    most_side_by_side: int
    longest_wait_s: float
    explained: int

    @property
    def speed(self) -> float:
        return self.audio_s / self.wall_s


def lengths(jobs: int, seed: int = 0) -> list[float]:
    """Mostly short ones, and every eighth ten times as long."""
    chance = random.Random(seed)
    return [chance.uniform(2.0, 8.0) * (10 if number % 8 == 0 else 1) for number in range(jobs)]


def request_of(number: int, expected_s: float) -> SpeakRequest:
    return SpeakRequest(
        f"r{number}", _passage(number), {1: "hum"}, expected_s=expected_s, seed=number, settings={"steps": STEPS}
    )


def _passage(number: int) -> Passage:
    return Passage(0, (Line(1, f"This is job number {number}.", "en"),), 0.0)


def load(folder: Path, model: str) -> VibeVoiceEngine:
    hum = (8000 * np.sin(np.arange(72_000) * 0.05)).astype(np.int16)
    VoiceStore(folder).add(hum, name="hum", language="en")
    return load_engine(INFO, voices=folder, model=model, dtype="fp32", device="cpu")


def speak_all(engine: VibeVoiceEngine, root: Path, wanted: Sequence[float], budget: int) -> Result:
    """All of them through a worker's loop; the engine is free again afterwards."""
    folder = DataFolder(root, floor_bytes=0)
    db = Database(folder.database)
    store = JobStore(db)
    desk = WorkerDesk(db, "w1", INFO.name, 1)
    settings = WorkerSettings(max_jobs=len(wanted), poll_s=0.01)
    loop = WorkerLoop(engine, desk, folder, settings, SystemClock(), budget_bytes=budget)
    thread = threading.Thread(target=loop.run)
    jobs = [_submit(store, number, expected_s) for number, expected_s in enumerate(wanted)]
    begun = time.perf_counter()
    thread.start()
    held, side_by_side, samples, explained = 0, 0, 0, set[str]()
    first: dict[str, float] = {}
    left = {job.id for job in jobs}
    while left:
        now = time.perf_counter() - begun
        held = max(held, engine.used_bytes)
        side_by_side = max(side_by_side, engine.active)
        samples += 1
        for job in [store.job(job_id) for job_id in left]:
            if job.audio_samples:
                first.setdefault(job.id, now)
            if "waits for" in (job.reason or ""):
                explained.add(job.id)
            if job.state in ENDED:
                left.discard(job.id)
        time.sleep(SAMPLE_S)
    wall_s = time.perf_counter() - begun
    loop.stop()
    thread.join()
    ended = [store.job(job.id) for job in jobs]
    db.close()
    return Result(
        jobs=len(jobs),
        done=sum(job.state is State.DONE for job in ended),
        audio_s=sum(job.audio_samples for job in ended) / 24_000,
        wall_s=wall_s,
        budget_bytes=budget,
        most_held_bytes=held,
        samples=samples,
        most_side_by_side=side_by_side,
        longest_wait_s=max(first.values(), default=0.0),
        explained=len(explained),
    )


def _submit(store: JobStore, number: int, expected_s: float) -> Job:
    spec = JobSpec(
        engine=INFO.name,
        model=INFO.name,
        title="Many",
        voices={1: "hum"},
        labels={1: "Speaker 1"},
        response_format="pcm",
        seed=number,
        settings={"steps": STEPS},
    )
    return store.submit(spec, "x", [PlannedPassage(_passage(number), "en", 4, expected_s)])[0]


def fixed_batches(engine: VibeVoiceEngine, wanted: Sequence[float], size: int) -> float:
    """Seconds of sound a second, so many side by side, all of a batch from its first frame to its last."""
    begun, samples = time.perf_counter(), 0
    for first in range(0, len(wanted), size):
        left = set()
        for number in range(first, min(first + size, len(wanted))):
            engine.start(request_of(number, wanted[number]))
            left.add(f"r{number}")
        while left:
            result = engine.step()
            samples += sum(chunk.pcm_T.size for chunk in result.chunks)
            left -= {ended.request_id for ended in result.ended}
    return samples / 24_000 / (time.perf_counter() - begun)


def budget_for(engine: VibeVoiceEngine, wanted: Sequence[float], jobs: int) -> int:
    """Bytes of so many jobs of the middling size, and at least of the largest one."""
    costs = sorted(engine.cost(request_of(number, each)).used_bytes for number, each in enumerate(wanted))
    return max(costs[-1], jobs * sum(costs) // len(costs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="random:tiny")
    parser.add_argument("--jobs", type=int, default=32)
    parser.add_argument("--room-for", type=int, default=6)
    arguments = parser.parse_args()
    wanted = lengths(arguments.jobs)
    with tempfile.TemporaryDirectory() as folder:
        engine = load(Path(folder) / "voices", arguments.model)
        threads = torch.get_num_threads()
        budget = budget_for(engine, wanted, arguments.room_for)
        fixed = {size: fixed_batches(engine, wanted, size) for size in (1, 4, INFO.max_active)}
        seen = speak_all(engine, Path(folder) / "data", wanted, budget)
    best = max(fixed.values())
    print(
        f"{seen.done} of {seen.jobs} jobs done, {seen.audio_s:.0f} s of sound in {seen.wall_s:.1f} s, {threads} threads"
    )
    print(f"held at the most {format_bytes(seen.most_held_bytes)} of {format_bytes(budget)}, seen {seen.samples} times")
    print(f"at most {seen.most_side_by_side} side by side; the last first sound after {seen.longest_wait_s:.1f} s")
    print("fixed batches: " + ", ".join(f"{size}: {speed:.1f}×" for size, speed in fixed.items()))
    print(
        json.dumps(asdict(seen) | {"speed": round(seen.speed, 2), "share_of_best_batch": round(seen.speed / best, 3)})
    )


if __name__ == "__main__":
    main()

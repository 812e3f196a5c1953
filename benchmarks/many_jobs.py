"""Many jobs of mixed length in memory for a few: all end, memory stays below its budget, nobody waits for ever.

The jobs go through the real store, loop, recorder and encoder; what they hold is looked at every 100 ms. For comparison
the same passages are spoken in fixed batches, each begun when the one before has ended, without store and encoder and
whatever they hold. Jobs and batches take turns; what counts is the median over the turns, by the clock and by the CPU
time of the whole process: on a machine with neighbours the clock tells more of them than of us. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
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
LEAST_SHARE = 0.9
SIZES = (1, 4, INFO.max_active)


class Stopwatch:
    """Seconds since it was made: of the clock, and of all processors in this process."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self._wall

    @property
    def cpu_s(self) -> float:
        return time.process_time() - self._cpu


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of sound in a second of the clock, and in one of CPU time."""

    by_clock: float
    by_cpu: float


@dataclass(frozen=True, slots=True)
class Result:
    """What was seen. Times in seconds, `audio_s` in seconds of sound."""

    jobs: int
    done: int
    audio_s: float
    wall_s: float
    cpu_s: float
    budget_bytes: int
    most_held_bytes: int
    samples: int
    most_side_by_side: int
    longest_wait_s: float
    explained: int

    @property
    def speed(self) -> Speed:
        return Speed(self.audio_s / self.wall_s, self.audio_s / self.cpu_s)


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
    watch = Stopwatch()
    thread.start()
    held, side_by_side, samples, explained = 0, 0, 0, set[str]()
    first: dict[str, float] = {}
    left = {job.id for job in jobs}
    while left:
        held = max(held, engine.used_bytes)
        side_by_side = max(side_by_side, engine.active)
        samples += 1
        for job in [store.job(job_id) for job_id in left]:
            if job.audio_samples:
                first.setdefault(job.id, watch.wall_s)
            if "waits for" in (job.reason or ""):
                explained.add(job.id)
            if job.state in ENDED:
                left.discard(job.id)
        time.sleep(SAMPLE_S)
    wall_s, cpu_s = watch.wall_s, watch.cpu_s
    loop.stop()
    thread.join()
    ended = [store.job(job.id) for job in jobs]
    db.close()
    return Result(
        jobs=len(jobs),
        done=sum(job.state is State.DONE for job in ended),
        audio_s=sum(job.audio_samples for job in ended) / 24_000,
        wall_s=wall_s,
        cpu_s=cpu_s,
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


def fixed_batches(engine: VibeVoiceEngine, wanted: Sequence[float], size: int) -> Speed:
    """So many side by side, all of a batch from its first frame to its last."""
    watch, samples = Stopwatch(), 0
    for first in range(0, len(wanted), size):
        left = set()
        for number in range(first, min(first + size, len(wanted))):
            engine.start(request_of(number, wanted[number]))
            left.add(f"r{number}")
        while left:
            result = engine.step()
            samples += sum(chunk.pcm_T.size for chunk in result.chunks)
            left -= {ended.request_id for ended in result.ended}
    audio_s = samples / 24_000
    return Speed(audio_s / watch.wall_s, audio_s / watch.cpu_s)


def budget_for(engine: VibeVoiceEngine, wanted: Sequence[float], jobs: int) -> int:
    """Bytes of so many jobs of the middling size, and at least of the largest one."""
    costs = sorted(engine.cost(request_of(number, each)).used_bytes for number, each in enumerate(wanted))
    return max(costs[-1], jobs * sum(costs) // len(costs))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="random:tiny")
    parser.add_argument("--jobs", type=int, default=32)
    parser.add_argument("--room-for", type=int, default=6)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    wanted = lengths(arguments.jobs)
    seen: list[Result] = []
    by_clock, by_cpu = [], []
    with tempfile.TemporaryDirectory() as folder:
        engine = load(Path(folder) / "voices", arguments.model)
        budget = budget_for(engine, wanted, arguments.room_for)
        fixed_batches(engine, wanted[: INFO.max_active], INFO.max_active)  # encodes the voice, and warms up
        for turn in range(arguments.turns):
            fixed = {size: fixed_batches(engine, wanted, size) for size in SIZES}
            seen.append(speak_all(engine, Path(folder) / f"data{turn}", wanted, budget))
            ours = seen[-1].speed
            by_clock.append(ours.by_clock / max(speed.by_clock for speed in fixed.values()))
            by_cpu.append(ours.by_cpu / max(speed.by_cpu for speed in fixed.values()))
            print(f"turn {turn + 1}: {_told(ours)}; " + ", ".join(f"{n} fixed {_told(s)}" for n, s in fixed.items()))
    held, last = max(each.most_held_bytes for each in seen), seen[-1]
    print(f"{last.done} of {last.jobs} jobs done, {last.audio_s:.0f} s of sound; {torch.get_num_threads()} threads")
    print(f"held at the most {format_bytes(held)} of {format_bytes(budget)}, seen {sum(s.samples for s in seen)} times")
    print(f"at most {last.most_side_by_side} side by side; the last first sound after {last.longest_wait_s:.1f} s")
    share, share_by_cpu = statistics.median(by_clock), statistics.median(by_cpu)
    is_good = (
        all(each.done == each.jobs for each in seen) and held <= budget and max(share, share_by_cpu) >= LEAST_SHARE
    )
    shares = {"share_of_best_batch": round(share, 3), "share_by_cpu": round(share_by_cpu, 3)}
    print(json.dumps(asdict(last) | {"most_held_bytes": held} | shares | {"is_within_bar": is_good}))
    return 0 if is_good else 1


def _told(speed: Speed) -> str:
    return f"{speed.by_clock:.1f}× (CPU {speed.by_cpu:.1f}×)"


if __name__ == "__main__":
    sys.exit(main())

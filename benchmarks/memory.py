"""Resident memory and time of a step along a job of ninety minutes, and of one of nine, in real workers.

    passages  spoken passage by passage, the two before in view: a script that is longer than the window
    window    one passage, all of it in view to its end: the most that a model of this window can hold

Each job is submitted to a store of its own and spoken by a fresh worker process, one thread, the same budget. What is
resident is asked of the kernel every 100 ms, what is spoken of the worker's own figures. Keys and values are written as
they are spoken, and what they take is counted: `beyond` is what is resident without them. The start and the end of such
a run lie half an hour apart on a machine with neighbours, so the time of a step is judged by `far_step`, in turns. The
last line is JSON; exit code 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.far_step import Far, measure_far
from longtake.config import EngineSettings, Settings
from longtake.core.records import Line, Passage
from longtake.core.stats import read_stats, stats_path
from longtake.engines.vibevoice.about import INFO
from longtake.engines.vibevoice.planning.budget import FRAMES_PER_S, PAST_PASSAGES
from longtake.engines.vibevoice.planning.footprint import kv_bytes
from longtake.engines.vibevoice.weights.shapes import config_of
from longtake.jobs.database import Database
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import JobSpec, PlannedPassage
from longtake.jobs.states import ENDED, State
from longtake.jobs.store import JobStore
from longtake.nn.decoder_config import DecoderConfig
from longtake.voices import VoiceStore
from longtake.worker.figures import PERIOD_S
from longtake.worker.orders import Assignment

SAMPLE_S = 0.1
PASSAGE_S = 180.0  # of both jobs, so that the short one, too, has come to have two passages in view
FP32 = 4
MOST_GROWTH = 0.03
MOST_SLOWDOWN = 1.5
START, EDGE = 0.01, 0.05  # of the frames: where the start begins, and how long start and end are
POINTS = 12  # of the curve that is printed


@dataclass(frozen=True, slots=True)
class Point:
    """A worker when it told of more frames: how many, bytes resident, seconds of CPU since it was started."""

    frames: int
    resident_bytes: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """One job in one worker.

    Attributes:
        in_view: Frames of one passage and of those before it, at the most.
    """

    kind: str
    minutes: float
    in_view: int
    points: list[Point]
    peak_bytes: int
    wall_s: float

    @property
    def frames(self) -> int:
        return self.points[-1].frames

    def between(self, first: float, last: float) -> list[Point]:
        """From the last point before the first share of all frames to the last one within."""
        within = [number for number, point in enumerate(self.points) if point.frames <= last * self.frames]
        before = [number for number in within if self.points[number].frames <= first * self.frames]
        return self.points[before[-1] : within[-1] + 1]

    def step_ms(self, first: float, last: float) -> float:
        """CPU of the worker for a frame, between two shares of all frames."""
        some = self.between(first, last)
        return (some[-1].cpu_s - some[0].cpu_s) / (some[-1].frames - some[0].frames) * 1000


def lengths(kind: str, minutes: float) -> list[float]:
    """Expected seconds of the passages."""
    total = 60 * minutes
    if kind == "window":
        return [total]
    return [PASSAGE_S] * max(1, round(total / PASSAGE_S))


def speak(kind: str, minutes: float, arguments: argparse.Namespace) -> Run:
    """One job from its submit to its end."""
    with tempfile.TemporaryDirectory() as place:
        folder = DataFolder(Path(place), floor_bytes=0)
        hum = (8000 * np.sin(np.arange(72_000) * 0.05)).astype(np.int16)
        VoiceStore(folder.voices).add(hum, name="hum", language="en")
        db = Database(folder.database)
        store = JobStore(db)
        expected_s = lengths(kind, minutes)
        job = store.submit(_spec(arguments.steps), "x", [_planned(n, each) for n, each in enumerate(expected_s)])[0]
        points, peak = [Point(0, 0, 0.0)], 0
        begun = time.perf_counter()
        with worker(folder, arguments) as process:
            watched, figures = psutil.Process(process.pid), stats_path(folder.run, "w1")
            while (seen := store.job(job.id)).state not in ENDED:
                if process.poll() is not None:
                    raise SystemExit(f"The worker ended with {process.returncode}.")
                peak = max(peak, watched.memory_info().rss)
                points += _news(watched, figures, points[-1].frames)
                time.sleep(SAMPLE_S)
            time.sleep(2 * PERIOD_S)  # its last frames
            points += _news(watched, figures, points[-1].frames)
        if seen.state is not State.DONE:
            raise SystemExit(f"The job is {seen.state}: {seen.error}")
        db.close()
    in_view = round(FRAMES_PER_S * sum(expected_s[-1 - PAST_PASSAGES :]))
    peak = max([peak, *(point.resident_bytes for point in points)])
    return Run(kind, minutes, in_view, points, peak, time.perf_counter() - begun)


def _news(process: psutil.Process, figures: Path, known: int) -> list[Point]:
    """A point, if the worker has told of more frames."""
    told = read_stats(figures)
    if told is None or (told.counts.frames or 0) <= known:
        return []
    times = process.cpu_times()
    return [Point(told.counts.frames or 0, process.memory_info().rss, times.user + times.system)]


@contextmanager
def worker(folder: DataFolder, arguments: argparse.Namespace) -> Iterator[subprocess.Popen[str]]:
    """A real worker of the engine on this folder; its end is the end of the block."""
    engine = EngineSettings(model=arguments.model, device="cpu", dtype="fp32", memory_budget=arguments.memory_budget)
    settings = Settings(data=folder.root, engines=(INFO.name,), engine=engine)
    with (Path(folder.root) / "worker.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "longtake.worker.main"],
            stdin=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert process.stdin is not None
        try:
            process.stdin.write(Assignment("w1", INFO.name, settings).to_line())
            process.stdin.flush()
            yield process
        finally:
            process.stdin.close()
            process.wait(60)


def _spec(steps: int) -> JobSpec:
    return JobSpec(
        engine=INFO.name,
        model=INFO.name,
        title="Long",
        voices={1: "hum"},
        labels={1: "Speaker 1"},
        response_format="pcm",
        seed=7,
        settings={"steps": steps},
    )


def _planned(index: int, expected_s: float) -> PlannedPassage:
    passage = Passage(index, (Line(1, f"This is passage {index + 1} of a very long script.", "en"),), 0.0)
    return PlannedPassage(passage, "en", 9, expected_s)


def written_bytes(decoder: DecoderConfig, frames: int) -> int:
    """Keys and values of so many frames in both rows; the prompt, some hundred positions, is not counted."""
    return kv_bytes(decoder, 2 * frames, FP32)


def judge(short: Run, long: Run, decoder: DecoderConfig, far: Far) -> dict[str, object]:
    """Both runs side by side, and whether they are within the bars.

    Args:
        far: A step behind as much as the long one has in view, and behind next to nothing, in turns.
    """
    written = {run.minutes: written_bytes(decoder, run.in_view) for run in (short, long)}
    beyond = {run.minutes: run.peak_bytes - written[run.minutes] for run in (short, long)}
    start_ms, end_ms = long.step_ms(START, START + EDGE), long.step_ms(1 - EDGE, 1)
    growth = beyond[long.minutes] / beyond[short.minutes] - 1
    return {
        "kind": long.kind,
        "minutes": [short.minutes, long.minutes],
        "frames": [short.frames, long.frames],
        "peak_bytes": [short.peak_bytes, long.peak_bytes],
        "keys_and_values_bytes": list(written.values()),
        "beyond_bytes": list(beyond.values()),
        "peak_growth": round(long.peak_bytes / short.peak_bytes - 1, 4),
        "beyond_growth": round(growth, 4),
        "step_start_ms": round(start_ms, 2),
        "step_end_ms": round(end_ms, 2),
        "in_turns_ms": [round(far.near_ms, 2), round(far.far_ms, 2)],
        "attention_ms": round(far.attention_ms, 2),
        "slowdown_beyond_attention": round(far.slowdown, 3),
        "wall_s": [round(short.wall_s), round(long.wall_s)],
        "is_within_bar": growth < MOST_GROWTH and far.slowdown <= MOST_SLOWDOWN,
    }


def curve(run: Run) -> Iterator[str]:
    """Some points of a run, for people."""
    yield "frames | resident MB | CPU ms a frame"
    for number in range(POINTS):
        first, last = number / POINTS, (number + 1) / POINTS
        some = run.between(first, last)
        yield f"{some[-1].frames:6d} | {some[-1].resident_bytes / 1e6:7.1f} | {run.step_ms(first, last):6.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="random:tiny", help="random:NAME")
    parser.add_argument("--minutes", type=float, default=90.0, help="of the long job; the short one has a tenth")
    parser.add_argument("--steps", type=int, default=2, help="of the diffusion")
    parser.add_argument("--memory-budget", default="2GiB")
    parser.add_argument("--kinds", nargs="+", default=["passages", "window"], choices=["passages", "window"])
    arguments = parser.parse_args()
    decoder = config_of(arguments.model).decoder
    told = []
    for kind in arguments.kinds:
        short, long = (speak(kind, minutes, arguments) for minutes in (arguments.minutes / 10, arguments.minutes))
        print(f"{kind}: {arguments.minutes:g} minutes of {arguments.model}", *curve(long), sep="\n", flush=True)
        seen = judge(short, long, decoder, measure_far(arguments.model, long.in_view))
        told.append(seen)
        print(*(f"{name:26} {value}" for name, value in seen.items()), sep="\n", flush=True)
    print(json.dumps({"model": arguments.model, "steps": arguments.steps, "runs": told}))
    return 0 if all(seen["is_within_bar"] for seen in told) else 1


if __name__ == "__main__":
    sys.exit(main())

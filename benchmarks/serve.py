"""Jobs over HTTP: a real server, and a listener for each job, who plays it from its first byte on as it is spoken.

A listener has a clock of his own: a sample that comes later than it should be heard is a gap (`late`), and its longest
lateness is what he waits for in all. Where more jobs are spoken side by side than the machine has speed for, gaps are
what must come: `speed` says how many times real time all of them were spoken together. Half of the jobs come at once,
the others one by one, `--every` seconds apart. The last line is JSON; exit code 1 when a job does not end, or what a
listener has got is not the file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from longtake.jobs.folder import DataFolder
from longtake.voices import VoiceStore

LONGTAKE = str(Path(sys.executable).with_name("longtake"))
BYTES_A_SECOND = 2 * 24_000  # of pcm
SENTENCES = (
    "The sea was calm that night, and nobody slept.",
    "For the moon stood over the water like a lamp, he said.",
    "And what did you answer?",
    "That we had better row on before the wind came up.",
)
PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Heard:
    """One job, seen by who waits for it; seconds since it was submitted.

    Attributes:
        late_s: How much later than its time the latest sample came.
        is_whole: What came is byte for byte what the finished file holds.
    """

    submit_s: float
    first_s: float
    finish_s: float
    late_s: float
    audio_s: float
    is_whole: bool


def script(number: int) -> str:
    """From one sentence to sixteen, each job another."""
    count = 1 + 5 * number % 16
    return "\n".join(
        f"Speaker {1 + n % 2}: {SENTENCES[n % len(SENTENCES)]} That was {n + 1} of job {number}." for n in range(count)
    )


async def listen(http: httpx.AsyncClient, number: int, body: dict[str, object], after_s: float) -> Heard:
    """Submit a job and play it while it is spoken."""
    await asyncio.sleep(after_s)
    begun = time.perf_counter()
    answer = await http.post("/v1/audio/jobs", json=body | {"script": script(number), "seed": number})
    answer.raise_for_status()
    submit_s = time.perf_counter() - begun
    path = f"/v1/audio/jobs/{answer.json()['id']}"
    got, first_s, late_s = bytearray(), 0.0, 0.0
    async with http.stream("GET", f"{path}/audio", params={"wait": "true"}) as stream:
        stream.raise_for_status()
        async for block in stream.aiter_bytes():
            now_s = time.perf_counter() - begun
            if not got:
                first_s = now_s
            late_s = max(late_s, now_s - first_s - len(got) / BYTES_A_SECOND)
            got += block
    finish_s = time.perf_counter() - begun
    job = (await http.get(path)).json()
    if job["state"] != "done":
        raise SystemExit(f"Job {number} is {job['state']}: {job['error']}")
    whole = (await http.get(f"{path}/audio")).content
    return Heard(submit_s, first_s, finish_s, late_s, len(got) / BYTES_A_SECOND, bytes(got) == whole)


async def listen_to_all(url: str, body: dict[str, object], jobs: int, every_s: float) -> list[Heard]:
    limits = httpx.Limits(max_connections=2 * jobs)
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, limits=limits) as http:
        waits = [max(0, number - jobs // 2) * every_s for number in range(jobs)]
        return await asyncio.gather(*(listen(http, number, body, wait) for number, wait in enumerate(waits)))


@contextmanager
def server(data: Path, options: Sequence[str], side_by_side: int) -> Iterator[str]:
    """`longtake serve` on a free port, ready; gives its address."""
    command = [LONGTAKE, "serve", "--port", "0", "--no-studio", "--data", str(data), *options]
    environment = os.environ | {"LONGTAKE_WORKER__MAX_JOBS": str(side_by_side)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        if found is None:
            raise SystemExit("The server did not start.")
        deadline = time.monotonic() + PATIENCE_S
        while not is_ready(found[0]):
            if time.monotonic() > deadline:
                raise SystemExit("The server did not become ready.")
            time.sleep(0.2)
        yield found[0]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:  # it tells its address a moment before it listens
        return False


def spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 3),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 3),
        "worst": round(ordered[-1], 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="espeak", choices=["espeak", "vibevoice"])
    parser.add_argument("--model", default="random:tiny", help="of vibevoice")
    parser.add_argument("--jobs", type=int, default=16)
    parser.add_argument("--every", type=float, default=0.5, help="seconds between those that come one by one")
    parser.add_argument("--side-by-side", type=int, default=8)
    arguments = parser.parse_args()
    body: dict[str, object] = {"model": arguments.engine, "response_format": "pcm"}
    options = ["--engine", arguments.engine]
    with tempfile.TemporaryDirectory() as data:
        if arguments.engine == "vibevoice":
            options += ["--model", arguments.model, "--device", "cpu", "--dtype", "fp32"]
            hum = (8000 * np.sin(np.arange(72_000) * 0.05)).astype(np.int16)
            VoiceStore(DataFolder(Path(data)).voices).add(hum, name="hum", language="en")
            body |= {"voice": "hum", "settings": {"steps": 2}}
        with server(Path(data), options, arguments.side_by_side) as url:
            begun = time.perf_counter()
            heard = asyncio.run(listen_to_all(url, body, arguments.jobs, arguments.every))
            wall_s = time.perf_counter() - begun
    figures = {
        "submit_s": spread([each.submit_s for each in heard]),
        "first_audio_s": spread([each.first_s for each in heard]),
        "finish_s": spread([each.finish_s for each in heard]),
        "late_s": spread([each.late_s for each in heard]),
    }
    audio_s = sum(each.audio_s for each in heard)
    is_whole = all(each.is_whole for each in heard)
    print(f"{arguments.jobs} jobs, {audio_s:.0f} s of sound in {wall_s:.1f} s, with {' '.join(options[1:])}")
    for name, values in figures.items():
        print(f"{name:14} " + "  ".join(f"{part} {value:7.2f}" for part, value in values.items()))
    told = {
        "engine": arguments.engine,
        "jobs": arguments.jobs,
        "audio_s": round(audio_s, 1),
        "wall_s": round(wall_s, 1),
        "speed": round(audio_s / wall_s, 1),
        "without_gap": sum(each.late_s < 0.05 for each in heard),
        "is_whole": is_whole,
    }
    print(json.dumps(told | figures))
    return 0 if is_whole else 1


if __name__ == "__main__":
    sys.exit(main())

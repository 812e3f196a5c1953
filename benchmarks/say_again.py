"""The 54-minute script spoken, one line edited, and spoken again: what the passage cache saves, and what it costs.

Each run is a `longtake say` of its own, with its own worker. The audio of the second must be that of a run without a
cache. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.say_long_script import SCRIPT
from longtake.cache import PassageCache

ENTRIES, ENTRY_BYTES = 10_000, 100_000


@dataclass(frozen=True)
class Run:
    wall_s: float
    cpu_s: float  # of all its processes
    audio: bytes


def say(script: Path, data: Path, out: Path, *options: str, cache_mib: int = 1024) -> Run:
    command = [sys.executable, "-m", "longtake", "say", str(script), "--data", str(data), "-o", str(out), *options]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = os.environ | {"LONGTAKE_WORKER__CACHE_MIB": str(cache_mib)}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    wall_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Run(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, out.read_bytes())


def edited(script: Path, folder: Path) -> Path:
    """With a word more in the line in its middle."""
    lines = script.read_text(encoding="utf-8").splitlines()
    middle = next(place for place in range(len(lines) // 2, len(lines)) if lines[place].startswith("Speaker"))
    lines[middle] = re.sub(r"^(Speaker \d+: )", r"\1Well. ", lines[middle])
    (folder / "edited.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder / "edited.txt"


def counts(data: Path) -> tuple[int, int]:
    command = [sys.executable, "-m", "longtake", "cache", "show", "--json", "--data", str(data)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["engines"]["espeak"]
    return told["hits"], told["misses"]


def look_ms(folder: Path) -> float:
    """Sparse files: looking does not read them."""
    for number in range(ENTRIES):
        path = folder / f"{number % 256:02x}" / f"{number}.pcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(ENTRY_BYTES)
    start = time.perf_counter()
    usage = PassageCache(folder).usage()
    assert usage.used_bytes == ENTRIES * ENTRY_BYTES
    return (time.perf_counter() - start) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--script", type=Path, default=SCRIPT)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rounds: dict[str, list[tuple[Run, Run, Run]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        changed = edited(arguments.script, folder)
        for suffix, options in (("wav", ["--loudness", "off"]), ("mp3", ["--loudness", "podcast"])):
            for number in range(arguments.rounds):
                data = folder / f"data-{suffix}-{number}"
                first = say(arguments.script, data, folder / f"first.{suffix}", *options)
                again = say(changed, data, folder / f"again.{suffix}", *options)
                anew = say(changed, folder / f"none-{suffix}-{number}", folder / f"n.{suffix}", *options, cache_mib=0)
                if again.audio != anew.audio:
                    raise SystemExit("the audio differs from that without a cache")
                rounds.setdefault(suffix, []).append((first, again, anew))
                hits, misses = counts(data)
                print(
                    f"{suffix} {number + 1}: first {first.wall_s:.1f} s ({first.cpu_s:.1f} s of CPU), again "
                    f"{again.wall_s:.1f} s ({again.cpu_s:.1f} s), without a cache {anew.wall_s:.1f} s "
                    f"({anew.cpu_s:.1f} s); {hits} passages found, {misses} spoken in both"
                )
        milliseconds = look_ms(folder / "many")
    wav = rounds["wav"]
    figures = {
        "wall_ratio": statistics.median(again.wall_s / first.wall_s for first, again, _ in wav),
        "cpu_ratio": statistics.median(again.cpu_s / first.cpu_s for first, again, _ in wav),
        "wall_ratio_mp3": statistics.median(again.wall_s / first.wall_s for first, again, _ in rounds["mp3"]),
        "kept_cpu_ratio": statistics.median(first.cpu_s / anew.cpu_s for first, _, anew in wav),
    }
    print(json.dumps({name: round(value, 2) for name, value in figures.items()} | {"look_ms": round(milliseconds)}))


if __name__ == "__main__":
    main()

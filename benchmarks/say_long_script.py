"""`longtake say` on a real 54-minute, four-speaker script, against espeak-ng and the MP3 encoder alone.

The floor does the same speech work and nothing else: no store, no files per passage, no loudness, no subtitles. Both
run in processes of their own, one after the other, in pairs; the ratio of each pair counts. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from longtake.audio import measure

SCRIPT = Path(__file__).parent / "data" / "4p_climate_45min.txt"
LONGTAKE = str(Path(sys.executable).with_name("longtake"))


@dataclass(frozen=True)
class Run:
    wall_s: float
    peak_bytes: int
    growth_bytes: int  # resident memory in the last tenth over that in the middle


def watch(command: list[str]) -> Run:
    """Run a command to its end and watch the resident memory of its whole process tree."""
    start = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen: list[int] = []
    while process.poll() is None:
        try:
            tree = [process, *process.children(recursive=True)]
            seen.append(sum(member.memory_info().rss for member in tree))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.05)
    wall_s = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    tenth = max(1, len(seen) // 10)
    middle, end = seen[len(seen) // 2 :][:tenth], seen[-2 * tenth : -tenth]  # the very end is the shutdown
    return Run(wall_s, max(seen), round(statistics.median(end) - statistics.median(middle)))


def floor(script: Path, out: Path) -> None:
    """espeak-ng turn by turn, resampled to 24 kHz, encoded as MP3 at the same bit rate. Run in a process of its own."""
    import av

    from longtake.audio.formats import AudioFormat
    from longtake.engines.espeak.library import Library

    recipe = AudioFormat.MP3.recipe
    library = Library()
    library.set_voice("gmw/en-US")
    library.set_manner(words_per_minute=175)
    with av.open(str(out), "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=24_000, layout="mono")
        stream.bit_rate = recipe.bit_rate or 0
        stream.options = dict(recipe.codec_options)
        resampler = av.AudioResampler("s16p", "mono", 24_000, frame_size=stream.codec_context.frame_size or 576)
        for line in script.read_text(encoding="utf-8").splitlines():
            if text := re.sub(r"^Speaker \d+: ", "", line).strip():
                frame = av.AudioFrame.from_ndarray(library.say(text).pcm_T[None, :], format="s16", layout="mono")
                frame.sample_rate = 22_050
                for resampled in resampler.resample(frame):
                    resampled.pts = None
                    container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--script", type=Path, default=SCRIPT)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--loudness", default="podcast")
    parser.add_argument("--floor", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.floor:
        floor(arguments.script, arguments.floor)
        return
    ratios, ours = [], []
    with tempfile.TemporaryDirectory() as folder:
        out, base = Path(folder) / "ours.mp3", Path(folder) / "floor.mp3"
        lint = [LONGTAKE, "lint", str(arguments.script), "--json", "--data", f"{folder}/data"]
        estimated_s = json.loads(subprocess.run(lint, capture_output=True, check=True).stdout)["estimate"]["seconds"]
        script = str(arguments.script)
        floor_command = [sys.executable, "-m", "benchmarks.say_long_script", "--script", script, "--floor"]
        say_command = [LONGTAKE, "say", script, "--loudness", arguments.loudness]
        for pair in range(arguments.pairs):
            least = watch([*floor_command, str(base)])
            run = watch([*say_command, "--data", f"{folder}/data-{pair}", "-o", str(out)])
            ratios.append(run.wall_s / least.wall_s)
            ours.append(run)
            print(
                f"pair {pair + 1}: floor {least.wall_s:.1f} s, longtake {run.wall_s:.1f} s, ratio {ratios[-1]:.2f}, "
                f"peak {run.peak_bytes / 1e6:.0f} MB, growth over the second half {run.growth_bytes / 1e6:+.1f} MB"
            )
        spoken_s, floor_s = measure(out).seconds, measure(base).seconds
    print(
        json.dumps(
            {
                "ratio_median": round(statistics.median(ratios), 2),
                "wall_s_median": round(statistics.median(run.wall_s for run in ours), 1),
                "peak_bytes_max": max(run.peak_bytes for run in ours),
                "growth_bytes_max": max(run.growth_bytes for run in ours),
                "audio_s": round(spoken_s, 1),
                "floor_audio_s": round(floor_s, 1),
                "estimate_error": round(estimated_s / spoken_s - 1, 4),
            }
        )
    )


if __name__ == "__main__":
    main()

"""Our loop against transformers' own `generate`: the same weights, machine and run, in turns. The last line is JSON.

Ratios are of audio seconds in a second: the median over the turns, each the median of its frames. One thread each. The
choice of tokens is forced in both, and no prompt is counted. That both make the same sound is checked first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.floor import frame_bytes, read_bytes_per_s
from benchmarks.ours import Ours, Spoken
from benchmarks.rival import Rival
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.network.names import START
from longtake.engines.vibevoice.network.quantization import read_dtype
from longtake.engines.vibevoice.weights.random_model import build_random
from longtake.nn.affine import pack_all

FRAME_S = 3200 / 24_000
PROMPT_TOKENS = 200
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
SHIPPED, REPAIRED = "transformers as shipped", "transformers without its third forward"


@dataclass(slots=True)
class Speeds:
    """Seconds of a frame, wall and CPU: per competitor one number for each turn."""

    wall_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, who: str, wall_s: list[float], cpu_s: list[float]) -> None:
        self.wall_s[who].append(statistics.median(wall_s))
        self.cpu_s[who].append(statistics.median(cpu_s))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="random:small")
    parser.add_argument(
        "--dtype", default="fp32", help="fp32, fp16, bf16; int8+bf16, int4+bf16 …, without transformers"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--streams", type=_numbers, default=[1, 2, 4, 8])
    parser.add_argument("--contexts", type=_numbers, default=[1024, 4096, 16_384])
    parser.add_argument("--no-rival", action="store_true", help="without transformers")
    parser.add_argument("--diffusers", action="store_true", help="its own solver, which must be installed")
    parser.add_argument("--out", type=Path, help="keep the table there, and the JSON beside it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    quantization, rest = read_dtype(arguments.dtype)
    if rest not in DTYPES:
        parser.error(f"--dtype {arguments.dtype}: the type of all else is needed, too: {', '.join(DTYPES)}")
    model = build_random(
        arguments.model.removeprefix("random:"),
        dtype=DTYPES[rest],
        device=arguments.device,
        quantization=quantization,
    )
    model.acoustic_tokenizer.encoder = None
    rival = (
        None if arguments.no_rival or quantization else Rival(model, use_diffusers=arguments.diffusers)
    )  # before it is packed
    pack_all(model)
    ours = Ours(model, max(arguments.streams))
    lines = [f"# {arguments.model}, {arguments.dtype}, {arguments.device}, one thread", "", _machine(model.device), ""]
    result: dict[str, Any] = {"model": arguments.model, "dtype": arguments.dtype, "device": arguments.device}
    if rival is not None:
        result["largest_difference"] = _same_sound(ours, rival, model.device)
        lines += [f"Largest difference of our sound from transformers': {result['largest_difference']:.1e}.", ""]
    if "graphs" in ours.tellers:
        result["graph_eager_difference"] = _graph_is_eager(ours)
        lines += [f"Largest difference of a sample, graphs from eager: {result['graph_eager_difference']:.1e}.", ""]
    speeds = _take_turns(ours, rival, arguments)
    lines += _speed_table(speeds, arguments.streams, result)
    lines += _floor(model, result)
    lines += _part_table(ours, arguments, result)
    lines += _context_table(ours, arguments, result)
    table = "\n".join(lines)
    print(table)
    print(json.dumps(result))
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(table + "\n", encoding="utf-8")
        arguments.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _same_sound(ours: Ours, rival: Rival, device: torch.device) -> float:
    """Largest difference of six frames' samples; both were given the same noise."""
    ids = prompt(PROMPT_TOKENS)
    torch.manual_seed(1)
    theirs = rival.speak(torch.tensor([ids], device=device), 6, has_third_forward=False).audio[0].float().cpu()
    mine = torch.cat(ours.speak(ids, 6, seed=1).audio).float().cpu()
    difference = float((mine - theirs).abs().max())
    limit = 1e-4 if ours.model.dtype == torch.float32 else 0.5
    if difference > limit:
        raise SystemExit(f"The two do not say the same: they differ by {difference:.1e}, and {limit:.0e} is allowed.")
    return difference


def _graph_is_eager(ours: Ours) -> float:
    """Largest difference of six frames' samples. In fp32 at most 1e-3; in half precision each rounding counts."""
    said = {}
    for how, teller in ours.tellers.items():
        ours.runner.teller = teller
        said[how] = torch.cat(ours.speak(prompt(PROMPT_TOKENS), 6, seed=1).audio).float()
    difference = float((said["graphs"] - said["eager"]).abs().max())
    limit = 1e-3 if ours.model.dtype == torch.float32 else 0.5
    if difference > limit:
        raise SystemExit(f"Graphs do not say the same: they differ by {difference:.1e}, and {limit:.0e} is allowed.")
    return difference


def _floor(model: VibeVoiceModel, result: dict[str, Any]) -> list[str]:
    count, speed = frame_bytes(model), read_bytes_per_s(model.device)
    result["floor"] = {
        "frame_bytes": count,
        "bytes_per_s": round(speed),
        "frame_ms": round(1000 * count / speed, 2),
        "rtf": round(count / speed / FRAME_S, 4),
    }
    return [
        f"A frame of one stream reads {count / 1e9:.2f} GB of weights; a copy here reads and writes {speed / 1e9:.0f} "
        f"GB/s: no less than {result['floor']['frame_ms']} ms, RTF {result['floor']['rtf']}.",
        "",
    ]


def _take_turns(ours: Ours, rival: Rival | None, arguments: argparse.Namespace) -> Speeds:
    speeds, ids, frames = Speeds(), prompt(PROMPT_TOKENS), arguments.frames
    device = ours.model.device
    for turn in range(-1, arguments.turns):  # the first warms up
        found = Speeds()
        if rival is not None:
            for who, third in ((SHIPPED, True), (REPAIRED, False)):
                said = rival.speak(torch.tensor([ids], device=device), frames, has_third_forward=third)
                found.add(who, said.frame_s, said.cpu_s)
        for how, teller in ours.tellers.items():
            ours.runner.teller = teller
            for streams in arguments.streams:
                spoken = ours.speak(ids, frames, streams=streams)
                found.add(f"{streams} {how}", spoken.frame_s, spoken.cpu_s)
        if turn >= 0:
            for who in found.wall_s:
                speeds.wall_s[who] += found.wall_s[who]
                speeds.cpu_s[who] += found.cpu_s[who]
    return speeds


def _speed_table(speeds: Speeds, streams: list[int], result: dict[str, Any]) -> list[str]:
    """Audio seconds in a second, and how many times those of transformers that is."""
    wall = {who: statistics.median(each) for who, each in speeds.wall_s.items()}
    cpu = {who: statistics.median(each) for who, each in speeds.cpu_s.items()}
    lines = [
        "| | ms a frame | CPU ms a frame | audio s / s | RTF of each | × as shipped | × without third forward "
        "| × by CPU time |",
        "|---|---|---|---|---|---|---|---|",
    ]
    result["speeds"] = []
    for who, frame_s in wall.items():
        first, how = who.split(" ", 1)
        count = int(first) if first.isdigit() else 1
        row: dict[str, Any] = {
            "who": f"longtake, {first} stream{'s' * (count > 1)}, {how}" if first.isdigit() else who,
            "streams": count,
            "frame_ms": round(1000 * frame_s, 2),
            "frame_cpu_ms": round(1000 * cpu[who], 2),
            "audio_s_per_s": round(count * FRAME_S / frame_s, 3),
            "rtf": round(frame_s / FRAME_S, 4),
        }
        if SHIPPED in wall:
            row["times_shipped"] = round(count * wall[SHIPPED] / frame_s, 2)
            row["times_repaired"] = round(count * wall[REPAIRED] / frame_s, 2)
            row["times_shipped_by_cpu"] = round(count * cpu[SHIPPED] / cpu[who], 2)
        result["speeds"].append(row)
        lines.append("| " + " | ".join(str(row.get(key, "")) for key in _COLUMNS) + " |")
    return [*lines, ""]


_COLUMNS = (
    "who",
    "frame_ms",
    "frame_cpu_ms",
    "audio_s_per_s",
    "rtf",
    "times_shipped",
    "times_repaired",
    "times_shipped_by_cpu",
)


def _part_table(ours: Ours, arguments: argparse.Namespace, result: dict[str, Any]) -> list[str]:
    lines = [
        "| ms of a frame (on a CPU, of its time) | " + " | ".join(f"{n} streams" for n in arguments.streams) + " |",
        "|---|" + "---|" * len(arguments.streams),
    ]
    found = {
        n: ours.speak(prompt(PROMPT_TOKENS), arguments.frames, streams=n, has_parts=True) for n in arguments.streams
    }
    result["parts_ms"] = {}
    for part in ("decoder", "diffusion", "coding", "of it semantic"):
        if any(part not in each.parts_s for each in found.values()):
            continue
        row = [round(1000 * statistics.median(each.parts_s[part]), 2) for each in found.values()]
        result["parts_ms"][part] = dict(zip(map(str, found), row, strict=True))
        lines.append(f"| {part} | " + " | ".join(map(str, row)) + " |")
    return [*lines, ""]


def _context_table(ours: Ours, arguments: argparse.Namespace, result: dict[str, Any]) -> list[str]:
    """One stream behind a prompt of so many tokens; CPU time on a CPU."""
    is_cuda = ours.model.device.type == "cuda"

    def clock(spoken: Spoken) -> list[float]:
        return spoken.frame_s if is_cuda else spoken.cpu_s

    lines = [
        "| tokens of the prompt | ms a frame | of it in the decoder | ms to read one token |",
        "|---|---|---|---|",
    ]
    result["contexts"] = []
    for tokens in arguments.contexts:
        now = time.perf_counter if is_cuda else time.thread_time
        begun = now()
        spoken = ours.speak(prompt(tokens), arguments.frames, has_parts=True)
        read_s = now() - begun - sum(clock(spoken))
        row = {
            "tokens": tokens,
            "frame_ms": round(1000 * statistics.median(clock(spoken)), 2),
            "decoder_ms": round(1000 * statistics.median(spoken.parts_s["decoder"]), 2),
            "read_token_ms": round(1000 * read_s / tokens, 3),
        }
        result["contexts"].append(row)
        lines.append("| " + " | ".join(str(value) for value in row.values()) + " |")
    return lines


def prompt(tokens: int) -> list[int]:
    """Byte tokens, then START."""
    return [(7 * place) % 256 for place in range(tokens - 1)] + [START]


def _machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    load = os.getloadavg()[0]
    return f"{name}, torch {torch.__version__}; load when it began: {load:.1f} on {os.cpu_count()} cores."


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), "CPU")


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",") if each]


if __name__ == "__main__":
    main()

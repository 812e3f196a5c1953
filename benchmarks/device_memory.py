"""What a device holds against what `longtake plan` says, of jobs side by side. Last line: JSON; exit code 1: it is off.

    weights   the model that stays, and the states of all places
    kv        rows of so many jobs of so many minutes, written to their ends
    peak      the most while as many streams are spoken beside those rows: plan's workspace is an upper estimate

Measured on CUDA is what torch has allocated, and at the peak what it has reserved and what was taken beside torch since
the model was there: graphs lie there, and kernels that are loaded when they are first called. On a CPU it is resident
memory of this process, less what it was before. Weights, keys and values must be within 5 %, the peak no more than 5 %
above.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.engine import DTYPES, prompt
from benchmarks.ours import Ours
from longtake.engines.vibevoice.network.quantization import read_dtype
from longtake.engines.vibevoice.planning.budget import MAX_ACTIVE
from longtake.engines.vibevoice.planning.footprint import EMBEDDING
from longtake.engines.vibevoice.planning.memory_plan import Wish, plan_memory
from longtake.engines.vibevoice.weights.random_model import build_random
from longtake.engines.vibevoice.weights.shapes import random_config
from longtake.nn.affine import pack_all
from longtake.nn.memory import give_back

BAR = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="random:1.5b", help="random:NAME")
    parser.add_argument("--dtype", default="bf16", help="fp32, fp16, bf16, int8+bf16, int4+bf16 …")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each job")
    parser.add_argument("--streams", type=int, default=4, help="jobs, and streams that are spoken")
    parser.add_argument("--frames", type=int, default=10, help="that are spoken of each")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device, is_cuda = torch.device(arguments.device), arguments.device.startswith("cuda")
    name = arguments.model.removeprefix("random:")
    quantization, rest = read_dtype(arguments.dtype)
    kind = "bf16" if rest == "auto" else rest
    config = replace(random_config(name), quantization=quantization)
    wish = Wish(config, arguments.minutes, arguments.streams, 1 << 50, on_host=not is_cuda, dtype=kind, is_bytes=True)
    plan = plan_memory(wish)
    codec = torch.float32 if kind == "fp16" else None
    toy = build_random("tiny", dtype=DTYPES[kind], device=device, codec_dtype=codec)
    Ours(toy, 1).speak(prompt(32), 2)  # so that libraries have taken what they take by themselves
    del toy
    give_back()
    before = held_bytes(device)
    model = build_random(name, dtype=DTYPES[kind], device=device, codec_dtype=codec, quantization=quantization)
    model.acoustic_tokenizer.encoder = None
    pack_all(model)
    ours = Ours(model, MAX_ACTIVE)
    give_back()
    weights = held_bytes(device) - before
    rows = [ours.runner.kv.open_row(plan.rows.positive) for _ in range(arguments.streams)]
    rows += [ours.runner.kv.open_row(plan.rows.negative) for _ in range(arguments.streams)]
    for row in rows:
        for keys, values in ours.runner.kv._rows[row].layers:
            keys.fill_(1)
            values.fill_(1)
    kv = held_bytes(device) - before - weights
    beside = 0
    if is_cuda:
        torch.cuda.reset_peak_memory_stats(device)
        beside = beside_bytes(device)
    ours.speak(prompt(4096 if is_cuda else 256), arguments.frames, streams=arguments.streams)
    if is_cuda:
        beside = beside_bytes(device) - beside
        peak = torch.cuda.max_memory_reserved(device) + beside
    else:
        peak = peak_resident_bytes() - before
    unwritten = 0 if is_cuda else plan.resident[EMBEDDING]  # of a random model, but for a handful of rows
    planned = {
        "weights": plan.weights_bytes - unwritten + plan.state_bytes,
        "kv": plan.kv_bytes,
        "peak": plan.weights_bytes - unwritten + plan.state_bytes + plan.kv_bytes + plan.workspace_bytes,
    }
    measured = {"weights": weights, "kv": kv, "peak": peak}
    ratios = {part: round(measured[part] / planned[part], 4) for part in planned}
    is_within = all(abs(ratios[part] - 1) <= BAR for part in ("weights", "kv")) and ratios["peak"] <= 1 + BAR
    for part, ratio in ratios.items():
        print(f"{part:8} {measured[part] / 1e6:10.1f} MB of {planned[part] / 1e6:10.1f} MB planned  {ratio:.3f}")
    told = {
        "model": arguments.model,
        "dtype": arguments.dtype,
        "device": arguments.device,
        "streams": arguments.streams,
        "beside_torch_bytes": beside,
    }
    told |= {"planned_bytes": planned, "measured_bytes": measured, "ratios": ratios, "is_within_bar": is_within}
    print(json.dumps(told))
    sys.exit(not is_within)


def held_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def beside_bytes(device: torch.device) -> int:
    """What is taken of a CUDA device and not by torch's tensors: by the driver, and by others."""
    free, total = torch.cuda.mem_get_info(device)
    return total - free - torch.cuda.memory_reserved(device)


def peak_resident_bytes() -> int:
    # Kilobytes, but on macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()

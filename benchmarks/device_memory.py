"""What a device really holds while so many streams speak, against what admission counts. The last line is JSON.

Counted are weights, keys and values, and states of the convolutions; the workspace of a beat is an upper estimate and
only a bound. Measured is what torch reserved on a GPU at its highest; on a CPU resident memory of this process, less
what it was before anything was loaded, of which the rows of the embedding that nobody reads are no part.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from pathlib import Path

import torch

from benchmarks.engine import DTYPES, prompt
from benchmarks.ours import Ours
from longtake.engines.vibevoice.quantization import read_dtype
from longtake.engines.vibevoice.random_model import build_random
from longtake.engines.vibevoice.workspace import workspace_bytes
from longtake.nn.affine import pack_all
from longtake.nn.kv import KVStore
from longtake.nn.memory import give_back


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="random:1.5b")
    parser.add_argument("--dtype", default="bf16", help="with the type of all else: bf16, int8+bf16, int4+head+bf16")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--frames", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.ones(64, 64) @ torch.ones(64, 64)  # what torch takes by itself
    is_cuda = arguments.device.startswith("cuda")
    before = 0 if is_cuda else resident_bytes()
    quantization, kind = read_dtype(arguments.dtype)
    model = build_random(
        arguments.model.removeprefix("random:"), dtype=DTYPES[kind], device=arguments.device, quantization=quantization
    )
    model.acoustic_tokenizer.encoder = None
    pack_all(model)
    give_back()
    ours = Ours(model, arguments.streams)
    decoder = model.config.decoder
    counted = {
        "weights": model.weights_bytes - (0 if is_cuda else model.language_model.embed_tokens.weight.nbytes),
        "keys_and_values": arguments.streams
        * KVStore.row_bytes(
            layers=decoder.num_hidden_layers,
            kv_heads=decoder.num_key_value_heads,
            head_dim=decoder.head_dim,
            dtype=model.dtype,
            capacity=arguments.tokens + 2 * arguments.frames + 3,
        ),
        "convolutions": ours.runner.state_bytes,
    }
    bound = workspace_bytes(
        model.config,
        itemsize=model.dtype.itemsize,
        codec_itemsize=model.codec_dtype.itemsize,
        positions=512,
        streams=arguments.streams,
        frames=8,
    )
    ours.speak(prompt(arguments.tokens), arguments.frames, streams=arguments.streams)
    measured = torch.cuda.max_memory_reserved() if is_cuda else peak_resident_bytes() - before
    total = sum(counted.values())
    for name, each in counted.items():
        print(f"{name:16} {each / 1e6:10.1f} MB")
    print(f"{'counted':16} {total / 1e6:10.1f} MB, and at most {bound / 1e6:.1f} MB of workspace")
    print(f"{'measured':16} {measured / 1e6:10.1f} MB")
    print(
        json.dumps(
            {
                "model": arguments.model,
                "dtype": arguments.dtype,
                "device": arguments.device,
                "counted_bytes": total,
                "workspace_bound_bytes": bound,
                "measured_bytes": measured,
                "measured_over_counted": round(measured / total, 3),
                "is_within": measured <= total + bound,
            }
        )
    )


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def peak_resident_bytes() -> int:
    # Kilobytes, but on macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()

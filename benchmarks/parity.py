"""The golden runs of the reference on a device, without a test framework. The last line is JSON; exit 1 if one fails.

As `tests/gpu/test_golden_cuda.py`, for a machine that has only torch, transformers, safetensors and numpy.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch

from longtake.engines.vibevoice.decoding.graphs import use_graphs
from longtake.engines.vibevoice.decoding.runner import Runner
from longtake.engines.vibevoice.weights.checkpoint import load_model
from longtake.nn.affine import pack_all
from tests.support.checkpoints import write_checkpoint
from tests.support.runs import CASES, Run, differences, speak

LIMIT = 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")  # fp32 means fp32
    torch.backends.cudnn.allow_tf32 = False
    found: dict[str, float] = {}
    why_not: str | None = None
    with tempfile.TemporaryDirectory() as folder:
        toy = write_checkpoint(Path(folder) / "toy")
        for is_packed in (False, True):
            model = load_model(toy, dtype=torch.float32, device=arguments.device)
            if is_packed:
                pack_all(model)
            for name in sorted(CASES):
                for how in ("eager", "graphs"):
                    runner = Runner(model, slots=1)
                    if how == "graphs" and (why_not := use_graphs(runner, 1)) is not None:
                        continue
                    run = Run(name, runner)
                    speak(runner, run)
                    is_told = [outcome.token for outcome in run.outcomes] == run.tokens
                    label = f"case {name}, {'packed' if is_packed else 'as loaded'}, {how}"
                    found[label] = max(differences(run)) if is_told else float("inf")
                    print(f"{label}: {found[label]:.1e}")
    is_right = max(found.values()) <= LIMIT
    told = {"device": arguments.device, "is_right": is_right, "largest_difference": max(found.values())}
    print(json.dumps(told | {"no_graphs": why_not}))
    sys.exit(not is_right)


if __name__ == "__main__":
    main()

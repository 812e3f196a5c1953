"""Resident memory of the real shapes while they speak, against what was planned. The last line is JSON.

Planned is what speaking needs: the weights of `--model` without acoustic encoder and embedding table (a handful of its
rows is read), the convolution states, and the keys and values that were reserved. Resident is what the kernel says of
this process, less what Python and torch took before anything was loaded.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import torch

from longtake.core.records import Line, Passage
from longtake.engines.base import SpeakRequest
from longtake.engines.vibevoice.about import INFO
from longtake.engines.vibevoice.load import load_engine
from longtake.voices import VoiceStore


def resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="random:1.5b")
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--frames", type=int, default=20)
    arguments = parser.parse_args()
    torch.ones(64, 64) @ torch.ones(64, 64)  # what torch takes by itself
    before = resident_bytes()
    with tempfile.TemporaryDirectory() as folder:
        hum = (8000 * np.sin(np.arange(72_000) * 0.05)).astype(np.int16)
        voice = VoiceStore(Path(folder)).add(hum, name="hum", language="en").id
        begun = time.perf_counter()
        engine = load_engine(INFO, voices=Path(folder), model=arguments.model, dtype=arguments.dtype, device="cpu")
        loaded_s = time.perf_counter() - begun
        passage = Passage(0, (Line(1, "Twenty frames of noise in the real shapes.", "en"),), 0.0)
        request = SpeakRequest("r", passage, {1: voice}, expected_s=arguments.frames / 7.5)
        cost = engine.cost(request)
        engine.start(request)
        frames, peak, begun = 0, 0, time.perf_counter()
        while not (result := engine.step()).ended:
            frames += len(result.chunks)
            peak = max(peak, resident_bytes())
        spoken_s = time.perf_counter() - begun
    model = engine.model
    embedding = model.language_model.embed_tokens.weight.nbytes
    planned = model.weights_bytes - embedding + engine.state_bytes + cost.used_bytes
    print(f"{frames} frames, {spoken_s / frames * 1000:.0f} ms a frame, loaded in {loaded_s:.1f} s")
    print(
        json.dumps(
            {
                "model": arguments.model,
                "dtype": arguments.dtype,
                "frames": frames,
                "planned_bytes": planned,
                "resident_bytes": peak - before,
                "ratio": round((peak - before) / planned, 3),
                "ratio_with_python_and_torch": round(peak / planned, 3),
            }
        )
    )


if __name__ == "__main__":
    main()

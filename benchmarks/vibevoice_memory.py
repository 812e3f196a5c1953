"""Resident memory against the plan of `longtake plan`: weights, keys and values, and the peak. The last line is JSON.

    weights   after loading; of a random model without its embedding table, of which a handful of rows is written
    kv        both rows of a job of so many minutes, written to their ends
    peak      the most while the model is loaded, and while a voice of a minute is encoded, a prompt is read and frames
              are spoken beside those rows

Resident is what the kernel says of this process, less what it had when the toy had spoken a word; it is looked at every
10 ms. Exit code 1 when one of them is off by more than 5 %, or the peak is above what is planned.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from longtake.core.records import Line, Passage
from longtake.engines.base import SpeakRequest
from longtake.engines.vibevoice.about import INFO
from longtake.engines.vibevoice.load import load_engine
from longtake.engines.vibevoice.network.quantization import KV_DTYPES, read_dtype
from longtake.engines.vibevoice.planning.footprint import EMBEDDING
from longtake.engines.vibevoice.planning.memory_plan import Wish, plan_memory
from longtake.engines.vibevoice.weights.shapes import config_of
from longtake.nn.kv import KVStore
from longtake.nn.kv_int8 import Int8Row
from longtake.nn.memory import give_back
from longtake.voices import VoiceStore

BAR = 0.05
SAMPLE_S = 0.01
VOICE_S = 60


def resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


@contextmanager
def watched() -> Iterator[list[int]]:
    """The most that was resident within the block, as the one number of a list."""
    most, is_over = [resident_bytes()], threading.Event()

    def watch() -> None:
        while not is_over.wait(SAMPLE_S):
            most[0] = max(most[0], resident_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        is_over.set()
        thread.join()


def write_rows(store: KVStore, capacities: tuple[int, ...]) -> tuple[list[int], int]:
    """Open rows, write them to their ends; gives them and how much resident memory grew."""
    before = resident_bytes()
    rows = [store.open_row(capacity) for capacity in capacities]
    for row in rows:
        for keys, values in store._rows[row].layers:
            keys.fill_(1)
            values.fill_(1)
        if isinstance(kept := store._rows[row], Int8Row):
            kept.scales.fill_(1)
    return rows, resident_bytes() - before


def speak_once(dtype: str) -> None:
    """With the toy, so that all libraries are there and have taken what they take by themselves."""
    with tempfile.TemporaryDirectory() as folder:
        hum = (8000 * np.sin(np.arange(VOICE_S * 24_000) * 0.05)).astype(np.int16)
        voice = VoiceStore(Path(folder)).add(hum, name="hum", language="en").id
        engine = load_engine(INFO, voices=Path(folder), model="random:tiny", dtype=dtype, device="cpu")
        engine.start(SpeakRequest("r", Passage(0, (Line(1, "Hm.", "en"),), 0.0), {1: voice}, expected_s=0.3))
        while not engine.step().ended:
            pass
    del engine
    give_back()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="random:1.5b", help="random:NAME")
    parser.add_argument(
        "--dtype", default="bf16", help="with the type of all else: bf16, fp32, int8+bf16, int4+head+bf16"
    )
    parser.add_argument("--kv-dtype", default="auto", choices=KV_DTYPES)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the job whose rows are written")
    parser.add_argument("--frames", type=int, default=10, help="that are spoken")
    arguments = parser.parse_args()
    quantization, kind = read_dtype(arguments.dtype)
    config = replace(config_of(arguments.model), quantization=quantization)
    has_int8_kv = arguments.kv_dtype == "int8"
    wish = Wish(config, arguments.minutes, 1, 1 << 40, on_host=True, dtype=kind, is_bytes=True, has_int8_kv=has_int8_kv)
    plan = plan_memory(wish)
    speak_once(arguments.dtype)
    before = resident_bytes()
    with tempfile.TemporaryDirectory() as folder, watched() as most:
        hum = (8000 * np.sin(np.arange(VOICE_S * 24_000) * 0.05)).astype(np.int16)
        voice = VoiceStore(Path(folder)).add(hum, name="hum", language="en").id
        engine = load_engine(
            INFO,
            voices=Path(folder),
            model=arguments.model,
            dtype=arguments.dtype,
            kv_dtype=arguments.kv_dtype,
            device="cpu",
        )
        weights = resident_bytes() - before
        loading = most[0] - before
        rows, kv = write_rows(engine._runner.kv, (plan.rows.positive, plan.rows.negative))
        most[0] = 0
        passage = Passage(0, (Line(1, "Frames of noise in the real shapes. " * 30, "en"),), 0.0)
        request = SpeakRequest("r", passage, {1: voice}, expected_s=arguments.frames / 7.5)
        spoken = engine.cost(request).used_bytes
        engine.start(request)
        frames, begun = 0, time.perf_counter()
        while not (result := engine.step()).ended:
            frames += len(result.chunks)
        frame_ms = (time.perf_counter() - begun) / frames * 1000
        time.sleep(2 * SAMPLE_S)
        peak = max(loading, most[0] - before)
        for row in rows:
            engine._runner.kv.close_row(row)
        released = most[0] - resident_bytes()
    untouched = plan.resident[EMBEDDING]
    planned = {
        "weights": plan.weights_bytes - untouched + plan.state_bytes,
        "kv": plan.kv_bytes,
        "peak": plan.peak_bytes - untouched + spoken,
    }
    measured = {"weights": weights, "kv": kv, "peak": peak}
    ratios = {name: measured[name] / planned[name] for name in planned}
    is_good = all(abs(ratio - 1) <= BAR for ratio in ratios.values()) and ratios["peak"] <= 1
    for name, ratio in ratios.items():
        print(f"{name:<8} {measured[name] / 1e6:10.1f} MB of {planned[name] / 1e6:10.1f} MB planned  {ratio:.3f}")
    print(f"{frames} frames, {frame_ms:.0f} ms a frame; at most {loading / 1e6:.0f} MB while loading")
    told = {
        "model": arguments.model,
        "dtype": arguments.dtype,
        "kv_dtype": arguments.kv_dtype,
        "frames": frames,
        "planned_bytes": planned,
        "resident_bytes": measured,
        "ratios": {name: round(ratio, 4) for name, ratio in ratios.items()},
        "loading_bytes": loading,
        "released_bytes": released,
        "is_within_bar": is_good,
    }
    print(json.dumps(told))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())

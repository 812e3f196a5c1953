"""The benchmarks run, in a cut, and what they tell is true of what they saw."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import device_memory, memory, queue, serve
from benchmarks.far_step import Far, measure_far
from longtake.engines.vibevoice.weights.shapes import CONFIGS


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return told


def test_queue(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["queue", "--rows", "40", "--count", "5"])
    queue.main()
    told = last_line(capsys)
    assert set(told["times_slower"]) == set(told["empty"]) == set(told["full"])
    assert told["full"]["claim"]["p50_ms"] > 0


def test_serve(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["serve", "--jobs", "3", "--every", "0.1"])
    assert serve.main() == 0
    told = last_line(capsys)
    assert told["is_whole"]
    assert told["audio_s"] > 3
    assert told["first_audio_s"]["p50"] <= told["finish_s"]["p50"] <= told["wall_s"] + 0.1


def test_memory_watches_a_real_worker() -> None:
    run = memory.speak("window", 0.3, Namespace(model="random:tiny", steps=1, memory_budget="64MiB"))
    assert run.frames > 50
    assert run.peak_bytes >= max(point.resident_bytes for point in run.points) > 100e6


def points(frames: int) -> list[memory.Point]:
    """A hundred moments."""
    return [memory.Point(frames * n // 100, 0, frames * n / 100 * 0.01) for n in range(101)]


@pytest.mark.parametrize(
    ("grown_bytes", "far_ms", "is_good"),
    [(0, 18.0, True), (20_000_000, 18.0, False), (0, 24.0, False)],
    ids=["as it is", "it leaks", "it slows down"],
)
def test_memory_judges_what_grows_beyond_keys_and_values(grown_bytes: int, far_ms: float, is_good: bool) -> None:
    decoder, resident = CONFIGS["tiny"].decoder, 400_000_000
    short, long = (
        memory.Run(
            "window",
            minutes,
            frames,
            points(frames),
            resident + memory.written_bytes(decoder, frames) + grown,
            1.0,
        )
        for minutes, frames, grown in ((9.0, 4050, 0), (90.0, 40_500, grown_bytes))
    )
    told = memory.judge(short, long, decoder, Far(10.0, far_ms, 7.0))
    assert told["is_within_bar"] is is_good
    assert told["beyond_growth"] == pytest.approx(grown_bytes / resident, abs=1e-4)


def test_a_step_behind_much_is_measured_beside_one_behind_little() -> None:
    seen = measure_far("random:tiny", 20_000)
    assert 0 < seen.near_ms < seen.far_ms
    assert 0 < seen.attention_ms < seen.far_ms


# In the place of Python: a part that tells what it was asked, then complains; one hangs.
PYTHON = """#!/bin/sh
[ "$1" = - ] && exec {python} "$@"
[ "$2" = benchmarks.quantization ] && exec sleep 30
echo '{{"part": "'$2'"}}'
echo "a library says good-bye" >&2
"""


def gpu_sh(folder: Path, parts: str) -> tuple[int, dict[str, Any]]:
    python = folder / "python"
    python.write_text(PYTHON.format(python=sys.executable), encoding="ascii")
    python.chmod(0o755)
    given = {"PARTS": parts, "PYTHON": str(python), "OUT": str(folder / "out"), "DEVICE": "cpu", "LIMIT": "2"}
    done = subprocess.run(["benchmarks/gpu.sh"], env=os.environ | given, capture_output=True, text=True, timeout=60)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return done.returncode, told


@pytest.mark.skipif(sys.platform != "linux", reason="GPUs with CUDA are looked for on Linux")
def test_the_parts_on_a_gpu_may_be_run_in_pieces(tmp_path: Path) -> None:
    """One that hangs takes none of the others with it, and all that is left can be fetched from anywhere."""
    assert gpu_sh(tmp_path, "memory") == (
        0,
        {"failed": False}
        | {
            f"memory-{dtype}": {"part": "benchmarks.device_memory"}
            for dtype in ("bf16", "fp16", "int8-bf16", "int4-bf16")
        },
    )
    code, told = gpu_sh(tmp_path, "quantization parity")
    assert (code, told["failed"]) == (1, True)
    assert told["parity"] == {"part": "benchmarks.parity"}
    assert told["memory-bf16"], "of the piece before"
    assert all(re.fullmatch(r"[\w.-]+", path.name) for path in (tmp_path / "out").iterdir())


def test_what_graphs_take_is_not_torchs_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10 << 30, 24 << 30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 13 << 30)
    assert device_memory.beside_bytes(torch.device("cuda")) == 1 << 30

"""Modules without memory."""

from __future__ import annotations

import subprocess
import sys

from torch import nn

from longtake.nn.shapes import shapes_only


def test_modules_are_shapes_and_behave_again_behind_the_block() -> None:
    with shapes_only():
        layers = nn.Sequential(nn.Linear(3, 5), nn.Conv1d(2, 4, 7), nn.Embedding(10, 6), nn.LayerNorm(5))
    assert all(parameter.is_meta for parameter in layers.parameters())
    assert [tuple(p.shape) for p in layers.parameters()] == [(5, 3), (5,), (4, 2, 7), (4,), (10, 6), (5,), (5,)]
    behind = nn.Embedding(100, 60)
    assert not behind.weight.is_meta
    assert 0.8 < float(behind.weight.detach().std()) < 1.2, "written as ever"


def test_the_compiler_is_not_imported_for_it() -> None:
    code = (
        "import sys; from torch import nn; from longtake.nn.shapes import shapes_only\n"
        "with shapes_only():\n    nn.Embedding(10, 6); nn.Linear(3, 5)\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0

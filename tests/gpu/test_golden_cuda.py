"""The golden runs on a CUDA device. Skipped where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from longtake.engines.vibevoice.decoding.runner import Runner
from longtake.engines.vibevoice.weights.checkpoint import load_model
from tests.support.checkpoints import write_checkpoint
from tests.support.runs import CASES, Run, differences, speak

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    # Of torch, to whom asks how precise products are: the names are new.
    pytest.mark.filterwarnings("ignore:Please use the new API settings"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("toy") / "model")


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """fp32 means fp32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.set_float32_matmul_precision(before)
    torch.backends.cudnn.allow_tf32 = True


@pytest.mark.parametrize("name", sorted(CASES))
def test_fp32_is_the_reference(name: str, folder: Path) -> None:
    runner = Runner(load_model(folder, dtype=torch.float32, device="cuda"), slots=1)
    run = Run(name, runner)
    speak(runner, run)
    assert [outcome.token for outcome in run.outcomes] == run.tokens
    assert max(differences(run)) <= 1e-3


def test_bf16_is_near_it(folder: Path) -> None:
    """Forced tokens; the reference's own bf16 is 5 % (median) to 11 % (largest) of a frame's RMS away in case a."""
    runner = Runner(load_model(folder, dtype=torch.bfloat16, device="cuda"), slots=1)
    run = Run("a", runner)
    speak(runner, run)
    frames = [outcome.frame for outcome in run.outcomes if outcome.frame is not None]
    ours = torch.stack([frame.latent_64.float().cpu() for frame in frames])
    golden = run.arrays["latent"]
    relative = (ours - golden).pow(2).mean(1).sqrt() / golden.pow(2).mean(1).sqrt()
    assert relative.median() <= 0.10
    assert relative.max() <= 0.25

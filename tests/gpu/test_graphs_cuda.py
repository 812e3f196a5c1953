"""Steps told as CUDA graphs, on a CUDA device. Skipped where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from longtake.engines.vibevoice.decoding.graphs import Graphs, use_graphs
from longtake.engines.vibevoice.decoding.runner import Runner
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.weights.checkpoint import load_model
from longtake.engines.vibevoice.weights.random_model import build_random
from tests.support.checkpoints import write_checkpoint
from tests.support.runs import CASES, Kept, Run, differences, speak

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    # Of torch, to whom asks how precise products are: the names are new.
    pytest.mark.filterwarnings("ignore:Please use the new API settings"),
]


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """fp32 means fp32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.set_float32_matmul_precision(before)
    torch.backends.cudnn.allow_tf32 = True


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> VibeVoiceModel:
    folder = write_checkpoint(tmp_path_factory.mktemp("toy") / "model")
    return load_model(folder, dtype=torch.float32, device="cuda")


def runner_of(model: VibeVoiceModel, slots: int, *, is_graph: bool = True) -> Runner:
    runner = Runner(model, slots)
    if is_graph:
        assert use_graphs(runner, slots) is None
    return runner


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_run_is_the_reference(name: str, toy: VibeVoiceModel) -> None:
    runner = runner_of(toy, 3)
    run = Run(name, runner)
    speak(runner, run)
    assert [outcome.token for outcome in run.outcomes] == run.tokens
    assert max(differences(run)) <= 1e-3


def test_side_by_side_and_graph_is_eager(toy: VibeVoiceModel) -> None:
    """The batch shrinks through all sizes as the runs end."""

    def outcomes(is_graph: bool) -> list[list[Kept]]:
        runner = runner_of(toy, len(CASES), is_graph=is_graph)
        runs = [Run(name, runner) for name in sorted(CASES)]
        speak(runner, *runs)
        for run in runs:
            assert max(differences(run)) <= 1e-3
        return [run.outcomes for run in runs]

    for graph, eager in zip(outcomes(True), outcomes(False), strict=True):
        for one, other in zip(graph, eager, strict=True):
            assert one.token == other.token
            if one.frame is not None and other.frame is not None:
                assert (one.frame.latent_64 - other.frame.latent_64).abs().max() <= 1e-3
                assert (one.frame.wave_T - other.frame.wave_T).abs().max() <= 1e-3


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_all_is_recorded_and_a_step_waits_for_nothing_but_its_tokens(toy: VibeVoiceModel) -> None:
    runner = runner_of(toy, 2)
    run = Run("a", runner)
    stream = run.open(runner)
    runner.step([stream])
    teller = runner.teller
    assert isinstance(teller, Graphs)
    assert all(work.__name__ == "replay" for work in teller._recorded.values()), "recorded, and not given up"
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")  # an event that is waited for is no synchronisation to it
    try:
        for _ in range(3):
            runner.step([stream])
    finally:
        torch.cuda.set_sync_debug_mode(before)


def test_what_is_given_back_is_free_again(toy: VibeVoiceModel) -> None:
    runner = runner_of(toy, 2)

    def reserved_after_release() -> int:
        speak(runner, Run("a", runner))
        assert isinstance(runner.teller, Graphs)
        assert runner.teller._recorded
        runner.teller.release()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        return torch.cuda.memory_reserved()

    before = reserved_after_release()  # with what libraries keep of each stream
    assert reserved_after_release() <= before


def test_the_embedding_is_not_on_the_device() -> None:
    model = build_random("tiny", dtype=torch.bfloat16, device="cuda")
    assert model.language_model.embed_tokens.weight.device.type == "cpu"
    assert {each.device.type for name, each in model.named_parameters() if "embed_tokens" not in name} == {"cuda"}

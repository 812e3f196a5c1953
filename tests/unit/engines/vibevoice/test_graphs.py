"""A step told in recordings is the step told operation by operation: whoever takes part, whoever did before."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from longtake.engines.vibevoice.decoding.eager import Eager
from longtake.engines.vibevoice.decoding.graphs import MOST_GRAPHS, Graphs, fails, is_kernel_shape, use_graphs
from longtake.engines.vibevoice.decoding.runner import Runner
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.network.names import EOS
from longtake.engines.vibevoice.planning.workspace import batch_sizes
from longtake.engines.vibevoice.trace import read_trace
from longtake.engines.vibevoice.weights.checkpoint import load_model
from longtake.engines.vibevoice.weights.shapes import CONFIGS
from tests.support.checkpoints import write_checkpoint
from tests.support.runs import CASES, Kept, Run, keep, shares, speak
from tests.support.tape import Tape, table_attend
from tests.unit.engines.vibevoice.conftest import Bench, Said, ask, build_bench


def tell_from_tape(runner: Runner, slots: int) -> Tape:
    tape = Tape()
    attend = table_attend(runner.model.config.decoder)
    runner.teller = Graphs(runner.stages, runner.kv, slots, attend=attend, recorder=tape)
    return tape


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> VibeVoiceModel:
    torch.set_num_threads(1)
    folder = write_checkpoint(tmp_path_factory.mktemp("toy") / "model")
    return load_model(folder, dtype=torch.float32, device="cpu")


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_run_is_the_reference(name: str, toy: VibeVoiceModel) -> None:
    runner = Runner(toy, slots=3)
    tape = tell_from_tape(runner, 3)
    run = Run(name, runner)
    speak(runner, run)
    assert [outcome.token for outcome in run.outcomes] == run.tokens
    assert max(shares(run).values()) <= 1.0
    assert tape.recorded == 3  # decode, diffuse, code
    frames = sum(outcome.frame is not None for outcome in run.outcomes)
    assert tape.told == len(run.outcomes) + 2 * frames


def test_all_runs_side_by_side_are_the_reference(toy: VibeVoiceModel) -> None:
    """They end one after the other, so the batch shrinks through all sizes; steps and solvers differ."""
    runner = Runner(toy, slots=len(CASES))
    tell_from_tape(runner, len(CASES))
    runs = [Run(name, runner) for name in sorted(CASES)]
    speak(runner, *runs)
    for run in runs:
        assert [outcome.token for outcome in run.outcomes] == run.tokens
        assert max(shares(run).values()) <= 1.0


def test_who_comes_and_goes_leaves_no_trace(toy: VibeVoiceModel) -> None:
    """One speaks throughout; others join in slots before and behind it, end, and leave their rows to the next."""
    runner = Runner(toy, slots=4)
    tell_from_tape(runner, 4)
    first, constant = Run("b", runner), Run("a", runner)
    active = [(first, first.open(runner)), (constant, constant.open(runner))]
    names = iter(["c", "b", "a", "b", "c"])
    guests: list[Run] = []
    sizes = set()
    while active:
        sizes.add(len(active))
        outcomes = runner.step([stream for _, stream in active])
        for (run, stream), outcome in zip(list(active), outcomes, strict=True):
            run.outcomes.append(keep(outcome))
            if outcome.token == EOS:
                runner.close(stream)
                active.remove((run, stream))
        # A join in the midst of all others' speech, and rows that lie where those of somebody else lay.
        if (name := next(names, None)) is not None and runner.free_slots:
            guest = Run(name, runner)
            guests.append(guest)
            active.insert(0, (guest, guest.open(runner)))
    assert sizes >= {1, 2, 3, 4}
    for run in (first, constant, *guests):
        assert [outcome.token for outcome in run.outcomes] == run.tokens
        assert max(shares(run).values()) <= 1.0


def test_graph_is_eager(toy: VibeVoiceModel) -> None:
    """Bit for bit, but for the products, whose kernels differ with the size of the batch."""

    def outcomes(is_graph: bool) -> list[list[Kept]]:
        runner = Runner(toy, slots=8)
        if is_graph:
            tell_from_tape(runner, 8)
        runs = [Run(name, runner) for name in ("a", "b", "c")]
        speak(runner, *runs)
        return [run.outcomes for run in runs]

    for graph, eager in zip(outcomes(True), outcomes(False), strict=True):
        for one, other in zip(graph, eager, strict=True):
            assert one.token == other.token
            torch.testing.assert_close(one.hidden_H, other.hidden_H, atol=1e-4, rtol=1e-4)
            assert (one.frame is None) == (other.frame is None)
            if one.frame is not None and other.frame is not None:
                assert (one.frame.latent_64 - other.frame.latent_64).abs().max() <= 1e-3
                assert (one.frame.wave_T - other.frame.wave_T).abs().max() <= 1e-3


def test_recordings_are_made_anew_after_a_release(toy: VibeVoiceModel) -> None:
    runner = Runner(toy, slots=2)
    tape = tell_from_tape(runner, 2)
    run = Run("a", runner)
    speak(runner, run)
    runner.teller.release()
    again = Run("a", runner)
    speak(runner, again)
    assert tape.recorded == 6
    assert max(shares(again).values()) <= 1.0


def test_where_there_is_no_room_the_step_is_told_without(toy: VibeVoiceModel, caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner(toy, slots=2)
    tape = tell_from_tape(runner, 2)
    tape.has_room = False
    run = Run("a", runner)
    with caplog.at_level(logging.WARNING):
        speak(runner, run)
    assert max(shares(run).values()) <= 1.0
    assert (tape.recorded, tape.told) == (0, 0)
    assert len([each for each in caplog.messages if "out of memory" in each]) == 3  # once for each, not in each step
    assert all(each.exc_info for each in caplog.records), "which operation it was"


def test_no_more_recordings_are_kept_than_stated(tiny: VibeVoiceModel) -> None:
    bench = build_bench(tiny)
    tape = tell_from_tape(bench.runner, 8)
    for steps in range(1, MOST_GRAPHS + 2):
        bench.speak(ask(expected_s=0.3, settings={"steps": steps}))
    assert isinstance(bench.runner.teller, Graphs)
    assert len(bench.runner.teller._recorded) == MOST_GRAPHS
    recorded = tape.recorded
    bench.speak(ask(expected_s=0.3, settings={"steps": MOST_GRAPHS + 1}))  # what was used last is there still
    assert tape.recorded == recorded


@pytest.fixture
def ahead(tiny: VibeVoiceModel) -> Bench:
    """As on a GPU: with graphs, and frames that are read one step late."""
    bench = build_bench(tiny)
    tell_from_tape(bench.runner, 8)
    bench.runner.is_ahead = True
    return bench


def test_an_engine_that_runs_ahead_says_the_same(ahead: Bench, bench: Bench) -> None:
    requests = [ask(f"r{number}", expected_s=0.5 + number, seed=number) for number in range(3)]
    for mine, theirs in zip(ahead.speak(*requests), bench.speak(*requests), strict=True):
        ours, other = read_trace(mine.trace), read_trace(theirs.trace)
        assert ours.tokens == other.tokens
        assert np.abs(ours.features_F192 - other.features_F192).max() <= 1e-3
        assert np.abs(mine.pcm.astype(int) - theirs.pcm.astype(int)).max() <= 40
        assert mine.pcm.size == 3200 * ours.frames


def test_what_is_late_is_in_neither_trace_nor_chunks_and_is_spoken_again(ahead: Bench) -> None:
    request = ask(expected_s=2.0)
    (whole,) = ahead.speak(request)
    said = {"r": Said()}
    ahead.engine.start(request)
    for _ in range(9):
        ahead.beat(said)
    trace = ahead.engine.trace("r")
    assert read_trace(trace).frames * 3200 == said["r"].pcm.size > 0
    ahead.engine.stop("r")
    (rest,) = ahead.speak(replace(request, trace=trace))
    joined = np.concatenate([said["r"].pcm, rest.pcm])
    assert np.abs(joined.astype(int) - whole.pcm.astype(int)).max() <= 40


@pytest.mark.parametrize(("slots", "sizes"), [(1, [1]), (3, [1, 2, 3]), (8, [1, 2, 4, 8]), (12, [1, 2, 4, 8, 12])])
def test_sizes_of_batches(slots: int, sizes: list[int]) -> None:
    assert batch_sizes(slots) == sizes


def test_without_cuda_steps_are_told_as_they_were(bench: Bench) -> None:
    assert use_graphs(bench.runner, 8) == "cpu has no CUDA graphs"
    assert isinstance(bench.runner.teller, Eager)


def test_released_models_and_ours_have_a_kernel() -> None:
    assert all(is_kernel_shape(config.decoder.head_dim) for config in CONFIGS.values())
    assert not is_kernel_shape(80)


@pytest.mark.parametrize("how", ["release", "no room"])
def test_recordings_are_given_back(ahead: Bench, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """When somebody asks for it, and when a step finds no room: then the others get it."""
    ahead.speak(ask())
    teller = ahead.runner.teller
    assert isinstance(teller, Graphs)
    assert teller._recorded
    if how == "release":
        ahead.engine.release()
    else:
        ahead.engine.start(ask())
        with monkeypatch.context() as patch:
            patch.setattr(ahead.runner.stages, "code", failing(torch.OutOfMemoryError("out of memory")))
            teller._recorded.clear()
            assert ahead.speak_all({"r": Said()})["r"].code == "out_of_memory"
    assert not teller._recorded
    assert ahead.speak(ask())[0].end is not None


def failing(error: Exception) -> Callable[..., None]:
    def fail(*args: object) -> None:
        raise error

    return fail


def test_kernels_are_tried_before_they_are_used(toy: VibeVoiceModel) -> None:
    """A machine without a C compiler speaks, operation by operation, instead of failing in its first step."""
    runner = Runner(toy, slots=1)
    attend = table_attend(toy.config.decoder)
    assert fails(attend, runner.kv, toy) is None

    def no_compiler(*_: object) -> torch.Tensor:
        raise subprocess.CalledProcessError(1, "gcc")

    why_not = fails(no_compiler, runner.kv, toy)
    assert why_not is not None
    assert "gcc" in why_not
    why_not = fails(lambda *given: attend(*given) * float("nan"), runner.kv, toy)
    assert why_not is not None
    assert "wrong numbers" in why_not
    assert runner.kv.used_bytes == 0

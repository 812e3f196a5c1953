"""Whole runs of the reference, cases a to g: same tokens, same latents, same audio, within the stated limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from longtake.engines.vibevoice.decoding.feed import Feed
from longtake.engines.vibevoice.decoding.runner import Runner
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.network.names import DIFFUSION, EOS
from longtake.engines.vibevoice.prompting.prompt import Prompt
from longtake.engines.vibevoice.trace import Trace
from longtake.engines.vibevoice.weights.checkpoint import load_model
from longtake.nn import affine
from longtake.nn.affine import pack_all
from longtake.nn.kv import Segment
from tests.support import golden
from tests.support.checkpoints import write_checkpoint
from tests.support.runs import CASES, Run, shares, speak


@pytest.fixture(scope="module", params=["as loaded", "packed", "all packed"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VibeVoiceModel]:
    """As loaded; as it is spoken with; and with the products packed, too, that are too small for that in the toy."""
    torch.set_num_threads(1)
    folder = write_checkpoint(tmp_path_factory.mktemp("toy") / "model")
    loaded = load_model(folder, dtype=torch.float32, device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "all packed":
            patch.setattr(affine, "_LEAST_NUMBERS", 0)
        if request.param != "as loaded":
            pack_all(loaded)
        yield loaded


@pytest.fixture
def runner(model: VibeVoiceModel) -> Runner:
    return Runner(model, slots=len(CASES))


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_run_is_the_reference(name: str, runner: Runner, record_property: Any) -> None:
    run = Run(name, runner)
    speak(runner, run)
    assert [outcome.token for outcome in run.outcomes] == run.tokens == run.arrays["tokens"].tolist()
    found = shares(run)
    record_property("largest_share_of_a_limit", max(found.values()))
    assert max(found.values()) <= 1.0, found
    assert runner.kv.used_bytes == 0
    assert runner.free_slots == len(CASES)


def test_all_runs_side_by_side_are_the_reference(runner: Runner) -> None:
    """Other lengths, guidance, steps and solvers beside each other, and nobody notices."""
    runs = [Run(name, runner) for name in sorted(CASES)]
    speak(runner, *runs)
    for run in runs:
        assert [outcome.token for outcome in run.outcomes] == run.tokens
        assert max(shares(run).values()) <= 1.0


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_prompt_is_read_as_the_reference_reads_it(name: str, runner: Runner) -> None:
    run = Run(name, runner)
    embeds_PH = run.feed.embed(torch.arange(len(run.feed)))
    row = runner.kv.open_row(len(run.feed))
    hidden_PH = runner.model.language_model(embeds_PH, [Segment(row, 0, len(run.feed))], runner.kv)
    assert golden.share_of_limit("case", "prompt_embeds", embeds_PH, run.arrays["prompt_embeds"]) <= 1
    assert golden.share_of_limit("case", "prompt_hidden", hidden_PH, run.arrays["prompt_hidden"]) <= 1


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_inputs_of_both_branches_are_the_references(name: str, runner: Runner) -> None:
    """The feed of a whole past is what the loop consumed: so a resumed run reads what it spoke."""
    run = Run(name, runner)
    arrays = run.arrays
    features_F192 = torch.cat([arrays["latent"], arrays["semantic"]], 1).numpy()
    past = Trace(tuple(token for token in run.tokens if token != EOS), features_F192)
    prompt = Prompt(tuple(arrays["input_ids"].tolist()), run.places)
    feed = Feed(runner.model, prompt, run.voices, past)
    inputs_SH = feed.embed(torch.arange(len(prompt) - 1, len(feed)))
    assert golden.share_of_limit("case", "step_input", inputs_SH, arrays["step_input"]) <= 1
    # What the negative branch has in view at the end, newest last.
    seen = int(arrays["neg_context_len"][-1]) if run.tokens[-2] == DIFFUSION else None
    if seen is not None:
        assert len(feed.negative) == seen

"""Whole runs of the reference, cases a to g: same tokens, same latents, same audio, within the stated limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from longtake.engines.vibevoice.checkpoint import load_model
from longtake.engines.vibevoice.feed import Feed
from longtake.engines.vibevoice.model import VibeVoiceModel
from longtake.engines.vibevoice.names import DIFFUSION, END, EOS, START
from longtake.engines.vibevoice.prompt import Prompt
from longtake.engines.vibevoice.runner import Outcome, Runner, Stream
from longtake.engines.vibevoice.solver import Solver, solver_table
from longtake.engines.vibevoice.tokens import Chooser, Greedy, Scripted
from longtake.engines.vibevoice.trace import Trace, read_trace
from longtake.nn import affine
from longtake.nn.affine import pack_all
from longtake.nn.kv import Segment
from tests.support import golden
from tests.support.checkpoints import write_checkpoint

CASES: dict[str, dict[str, Any]] = golden.read_json("cases.json")["cases"]
LETTERS = {"S": START, "E": END, "F": DIFFUSION, "X": EOS}


class GivenNoise:
    """The reference's draws; row 0 is the one that counts at batch 1."""

    def __init__(self, arrays: dict[str, Tensor], is_stochastic: bool) -> None:
        self._noise_F2D = arrays["noise"]
        self._step_noise = arrays["sde_noise"] if is_stochastic else None

    def draw(self, frame: int) -> tuple[Tensor, Tensor | None]:
        return self._noise_F2D[frame, 0], None if self._step_noise is None else self._step_noise[frame, :, 0]


class Run:
    """One case, spoken by our runner; made from the golden prompt and the golden voices."""

    def __init__(self, name: str, runner: Runner) -> None:
        case = CASES[name]
        self.arrays = golden.arrays(f"case_{name}")
        self.tokens = [LETTERS[letter] for letter in case["tokens"]]
        ids = self.arrays["input_ids"].tolist()
        places: dict[int, range] = {}
        voices: dict[int, Tensor] = {}
        begin = None
        for place, is_speech in enumerate([*self.arrays["speech_input_mask"].tolist(), 0]):
            if is_speech and begin is None:
                begin = place
            elif not is_speech and begin is not None:
                number = len(places)
                places[number] = range(begin, place)
                voices[number] = self.arrays["voice_scaled"][number, : place - begin]
                begin = None
        self.places, self.voices = places, voices
        self.feed = Feed(runner.model, Prompt(tuple(ids), places), voices, NO_PAST)
        self.chooser: Chooser = Scripted(self.tokens) if case["forced"] else Greedy()
        self.table = solver_table(case["diffusion_steps"], Solver(case["solver"]))
        self.noise = GivenNoise(self.arrays, case["solver"] == Solver.SDE)
        self.guidance = case["cfg_scale"]
        self.outcomes: list[Outcome] = []

    def open(self, runner: Runner) -> Stream:
        stream = runner.open(
            self.feed,
            chooser=self.chooser,
            noise=self.noise,  # type: ignore[arg-type]
            table=self.table,
            guidance=self.guidance,
            capacity=len(self.feed) + len(self.tokens),
            context=len(self.tokens) + 1,
            past=NO_PAST,
        )
        while runner.read(stream, self.feed, 16):
            pass
        return stream


NO_PAST: Trace = read_trace(b"")


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


def speak(runner: Runner, *runs: Run) -> None:
    """All runs side by side, each until its EOS."""
    active = [(run, run.open(runner)) for run in runs]
    while active:
        outcomes = runner.step([stream for _, stream in active])
        for (run, stream), outcome in zip(list(active), outcomes, strict=True):
            run.outcomes.append(outcome)
            if outcome.token == EOS:
                runner.close(stream)
                active.remove((run, stream))
            assert len(run.outcomes) <= len(run.tokens)


def shares(run: Run) -> dict[str, float]:
    """Array → the largest share of its limit that our difference takes."""
    frames = [outcome.frame for outcome in run.outcomes if outcome.frame is not None]
    ours = {
        "legal_logits": torch.stack([outcome.logits_4 for outcome in run.outcomes]),
        "step_hidden": torch.stack([outcome.hidden_H for outcome in run.outcomes]),
        "cond_neg": torch.stack([frame.negative_H for frame in frames]),
        "latent": torch.stack([frame.latent_64 for frame in frames]),
        "vae_latent": torch.stack([frame.vae_latent_64 for frame in frames]),
        "audio": torch.stack([frame.wave_T for frame in frames]),
        "semantic": torch.stack([frame.semantic_128 for frame in frames]),
        "acoustic_embed": torch.stack([frame.acoustic_H for frame in frames]),
        "semantic_embed": torch.stack([frame.semantic_H for frame in frames]),
        "next_embed": torch.stack([frame.acoustic_H + frame.semantic_H for frame in frames]),
    }
    return {name: golden.share_of_limit("case", name, array, run.arrays[name]) for name, array in ours.items()}


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

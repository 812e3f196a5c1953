"""Golden runs of the reference, spoken by our runner. Needs no test framework: `benchmarks.parity` uses it, too."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from longtake.engines.vibevoice.decoding.feed import Feed
from longtake.engines.vibevoice.decoding.runner import Runner
from longtake.engines.vibevoice.decoding.solver import Solver, solver_table
from longtake.engines.vibevoice.decoding.streams import Outcome, Stream
from longtake.engines.vibevoice.decoding.tokens import Chooser, Greedy, Scripted
from longtake.engines.vibevoice.network.names import DIFFUSION, END, EOS, START
from longtake.engines.vibevoice.prompting.prompt import Prompt
from longtake.engines.vibevoice.trace import Trace, read_trace
from tests.support import golden

CASES: dict[str, dict[str, Any]] = golden.read_json("cases.json")["cases"]
LETTERS = {"S": START, "E": END, "F": DIFFUSION, "X": EOS}
NO_PAST: Trace = read_trace(b"")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a step made, copied from the board before the next step writes over it."""

    token: int
    hidden_H: Tensor
    logits_4: Tensor
    frame: SimpleNamespace | None


_OF_FRAME = ("negative_H", "latent_64", "vae_latent_64", "wave_T", "semantic_128", "acoustic_H", "semantic_H")


def keep(outcome: Outcome) -> Kept:
    place = outcome.place
    frame = None
    if outcome.frame is not None:
        frame = SimpleNamespace(**{name: getattr(place, name).clone() for name in _OF_FRAME})
        frame.features_192, frame.pcm_T = outcome.frame.features_192.clone(), outcome.frame.pcm_T.clone()
    return Kept(outcome.token, place.hidden_H.clone(), place.logits_4.clone(), frame)


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
        self.outcomes: list[Kept] = []

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


def speak(runner: Runner, *runs: Run) -> None:
    """All runs side by side, each until its EOS."""
    active = [(run, run.open(runner)) for run in runs]
    while active:
        outcomes = runner.step([stream for _, stream in active])
        for (run, stream), outcome in zip(list(active), outcomes, strict=True):
            run.outcomes.append(keep(outcome))
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
    return {
        name: golden.share_of_limit("case", name, array.float().cpu(), run.arrays[name]) for name, array in ours.items()
    }


def differences(run: Run) -> tuple[float, float]:
    """Largest difference of latents and of audio from the reference's."""
    frames = [outcome.frame for outcome in run.outcomes if outcome.frame is not None]
    latents = torch.stack([frame.latent_64.float().cpu() for frame in frames])
    audio = torch.stack([frame.wave_T.float().cpu() for frame in frames])
    in_latents = (latents - run.arrays["latent"]).abs().max()
    return float(in_latents), float((audio - run.arrays["audio"]).abs().max())

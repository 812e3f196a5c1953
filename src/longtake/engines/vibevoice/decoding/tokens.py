"""Who chooses the next token: the model, or a script where the model's weights are random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from longtake.core.records import Line
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS, DIFFUSION, END, EOS, START

FRAMES_PER_S = 7.5


class Chooser(Protocol):
    """Chooses one of `CONTROL_TOKENS` at each step."""

    def choose(self, step: int, favourite: int) -> int:
        """The token of that step of the passage, counted from 0; ``favourite`` has the highest logit."""
        ...


class Greedy:
    """The favourite, as in every demo of the reference."""

    def choose(self, step: int, favourite: int) -> int:
        return CONTROL_TOKENS[favourite]


class Scripted:
    """What was planned; behind the plan, EOS."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = tokens

    def choose(self, step: int, favourite: int) -> int:
        return self._tokens[step] if step < len(self._tokens) else EOS


def plan_tokens(lines: Sequence[Line], expected_s: float) -> list[int]:
    """Frames for about as long as the lines would last, END and START between two of them, and EOS.

    Random weights have no opinion on when to stop; with this plan every path of the loop is taken.
    """
    total = round(expected_s * FRAMES_PER_S)
    characters = sum(len(line.text) for line in lines)
    plan: list[int] = []
    spoken = done = 0
    for line in lines:
        spoken += len(line.text)
        frames = round(total * spoken / max(characters, 1)) - done
        done += frames
        plan += [START] * bool(plan) + [DIFFUSION] * max(frames, 1) + [END]
    return [*plan, EOS]

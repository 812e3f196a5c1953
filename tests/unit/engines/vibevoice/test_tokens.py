"""Who chooses the next token."""

from __future__ import annotations

from longtake.core.records import Line
from longtake.engines.vibevoice.decoding.tokens import Greedy, Scripted, plan_tokens
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS, DIFFUSION, END, EOS, START


def lines(*texts: str) -> list[Line]:
    return [Line(1 + place % 2, text, "en") for place, text in enumerate(texts)]


def test_the_model_chooses_its_favourite() -> None:
    assert [Greedy().choose(9, place) for place in range(4)] == list(CONTROL_TOKENS)


def test_a_script_is_followed_and_then_it_ends() -> None:
    chooser = Scripted([DIFFUSION, END])
    assert [chooser.choose(step, 0) for step in range(4)] == [DIFFUSION, END, EOS, EOS]


def test_a_plan_lasts_as_long_as_expected_and_takes_every_path() -> None:
    plan = plan_tokens(lines("A short one.", "One that is three times as long as it."), 8.0)
    assert plan.count(DIFFUSION) == 60
    border = plan.index(END)
    assert 10 <= border <= 20, "each line has its share"
    assert plan[border + 1] == START
    assert plan[-2:] == [END, EOS]
    assert plan.count(EOS) == 1


def test_every_line_is_heard_even_if_nobody_expects_it_to_last() -> None:
    assert plan_tokens(lines("a", "b"), 0.0) == [DIFFUSION, END, START, DIFFUSION, END, EOS]

"""Settings of a request: known, of the right kind, in range."""

from __future__ import annotations

from typing import Any

import pytest

from longtake.core.errors import InputError
from longtake.engines.vibevoice.decoding.solver import MAX_STEPS, Solver
from longtake.engines.vibevoice.settings import VibeVoiceSettings, read_settings


def test_what_is_left_open_is_as_in_the_references_demos() -> None:
    assert read_settings({}) == VibeVoiceSettings(steps=10, guidance=1.3, solver="dpmsolver++", context=None)


def test_good_ones_are_taken() -> None:
    asked: dict[str, Any] = {
        "steps": MAX_STEPS,
        "guidance": 0,
        "solver": str(Solver.SDE),
        "context": "window",
        "voice_noise": False,
    }
    assert read_settings(asked) == VibeVoiceSettings(**asked)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"steps": 0}, "from 1 to 100"),
        ({"steps": 101}, "from 1 to 100"),
        ({"steps": True}, "from 1 to 100"),
        ({"steps": 2.5}, "from 1 to 100"),
        ({"steps": "10"}, "from 1 to 100"),
        ({"guidance": -0.1}, "from 0 to 10"),
        ({"guidance": float("nan")}, "from 0 to 10"),
        ({"guidance": float("inf")}, "from 0 to 10"),
        ({"guidance": None}, "from 0 to 10"),
        ({"guidance": 10**400}, "from 0 to 10"),
        ({"guidance": -(10**400)}, "from 0 to 10"),
        ({"guidance": 10**5000}, "is .*; give a number from 0 to 10"),
        ({"steps": 10**400}, "from 1 to 100"),
        ({"context": "x" * 9000}, "full or window"),
        ({"solver": "euler"}, "dpmsolver"),
        ({"context": "half"}, "full or window"),
        ({"voice_noise": 1}, "true or false"),
        ({"allow_truncated": "yes"}, "true or false"),
        ({"colour": "red"}, "Known settings: allow_truncated, context"),
    ],
)
def test_bad_ones_are_told_with_what_they_may_be(bad: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told) as refused:
        read_settings(bad)
    assert refused.value.param == f"settings.{next(iter(bad))}"
    assert len(refused.value.message) < 200, "whatever it was given"

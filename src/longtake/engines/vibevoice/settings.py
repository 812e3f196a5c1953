"""The settings of a request that VibeVoice accepts. Knows no model."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from longtake.core.errors import InputError

CONTEXTS = ("full", "window")
SOLVERS = ("dpmsolver++", "sde-dpmsolver++")
MAX_STEPS = 100
MAX_GUIDANCE = 10.0


@dataclass(frozen=True, slots=True)
class VibeVoiceSettings:
    """What a request may ask of the model.

    Attributes:
        steps: Diffusion steps a frame. More takes longer; the reference's demos take 10.
        guidance: Strength of the text over the voice's habits (cfg); 1 is none, the reference's demos take 1.3.
        solver: ``dpmsolver++``, or ``sde-dpmsolver++``, which draws noise at each step.
        context: ``full``: the whole script in the model's window at once. ``window``: passage by passage, each with
            those before it in view, for any length. None: full if it fits.
        voice_noise: Blur the voices a little, as the reference does. Always in the same way for the same recording.
        allow_truncated: A script that does not end within its limit is done with what was spoken, instead of failed.
    """

    steps: int = 10
    guidance: float = 1.3
    solver: str = "dpmsolver++"
    context: str | None = None
    voice_noise: bool = True
    allow_truncated: bool = False


def read_settings(settings: Mapping[str, Any]) -> VibeVoiceSettings:
    """Check the settings of a request and fill in what it leaves open.

    Raises:
        InputError: A setting is not known, or its value is of the wrong kind or out of range.
    """
    known = {field.name for field in fields(VibeVoiceSettings)}
    for name, value in settings.items():
        if name not in known:
            raise InputError(
                f"VibeVoice has no setting {name!r}. Known settings: {', '.join(sorted(known))}.",
                code="unknown_setting",
                param=f"settings.{name}",
            )
        if wanted := _wanted(name, value):
            raise InputError(
                f"Setting {name!r} is {_shown(value)}; give {wanted}.",
                code="setting_out_of_range",
                param=f"settings.{name}",
            )
    return VibeVoiceSettings(**settings)


def _shown(value: Any) -> str:
    """Short, whatever it is: Python refuses to write out a number of 5,000 digits."""
    try:
        return reprlib.repr(value)
    except ValueError:
        return "a very long number"


def _wanted(name: str, value: Any) -> str | None:
    """What the value should be; None when it is."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match name:
        case "steps":
            good = is_number and isinstance(value, int) and 1 <= value <= MAX_STEPS
            return None if good else f"a whole number from 1 to {MAX_STEPS}"
        case "guidance":
            good = is_number and 0 <= value <= MAX_GUIDANCE
            return None if good else f"a number from 0 to {MAX_GUIDANCE:g}"
        case "solver":
            return None if value in SOLVERS else " or ".join(SOLVERS)
        case "context":
            return None if value is None or value in CONTEXTS else " or ".join(CONTEXTS)
        case _:
            return None if isinstance(value, bool) else "true or false"

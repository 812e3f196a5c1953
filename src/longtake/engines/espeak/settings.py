"""The settings of a request that espeak-ng accepts. Knows nothing of voices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from longtake.core.errors import InputError

_LIMITS = {"pitch": (0, 99), "word_gap": (0, 100)}


@dataclass(frozen=True, slots=True)
class EspeakSettings:
    """Attributes:
    pitch: 0 to 99; 50 is the voice's own.
    word_gap: Extra silence between words, in units of 10 ms at normal speed.
    """

    pitch: int = 50
    word_gap: int = 0


def read_settings(settings: Mapping[str, Any]) -> EspeakSettings:
    """Check the settings of a request and fill in what it leaves open.

    Raises:
        InputError: A setting is not known, is no whole number or is out of range.
    """
    for name, value in settings.items():
        if name not in _LIMITS:
            known = ", ".join(field.name for field in fields(EspeakSettings))
            raise InputError(
                f"espeak has no setting {name!r}. Known settings: {known}.",
                code="unknown_setting",
                param=f"settings.{name}",
            )
        low, high = _LIMITS[name]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise InputError(
                f"Setting {name!r} is {value!r}; give a whole number from {low} to {high}.",
                code="setting_out_of_range",
                param=f"settings.{name}",
            )
    return EspeakSettings(**settings)

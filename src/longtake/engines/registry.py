"""Which engines there are, by name. Knows where each one's `EngineAbout` lives; imports it when it is asked for."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from longtake.core.errors import NotFoundError
from longtake.engines.base import EngineAbout

ENGINES: Mapping[str, str] = MappingProxyType(
    {
        "espeak": "longtake.engines.espeak.about:EspeakAbout",
        "vibevoice": "longtake.engines.vibevoice.about:VibeVoiceAbout",
    }
)
"""Engine name → ``module:class`` of its `EngineAbout`, a class that is made without arguments."""


def engine_names() -> tuple[str, ...]:
    """Names of all engines, the one that works everywhere first."""
    return tuple(ENGINES)


@functools.cache
def about(name: str) -> EngineAbout:
    """What is known of the engine of that name, without loading it.

    Raises:
        NotFoundError: There is no such engine (code ``unknown_engine``).
    """
    if name not in ENGINES:
        raise NotFoundError(
            f"There is no engine {name!r}. Known engines: {', '.join(engine_names())}.",
            code="unknown_engine",
            param="model",
        )
    module, _, attribute = ENGINES[name].partition(":")
    return cast("EngineAbout", getattr(importlib.import_module(module), attribute)())

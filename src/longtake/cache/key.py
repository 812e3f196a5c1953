"""The key of a passage: a digest of all that decides its samples. Knows neither files nor engines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from longtake.core.records import Passage

# Part of every key: raised when the key is made of other things, or an entry is read otherwise than before.
_FORMAT = 1


def passage_key(
    passage: Passage,
    *,
    engine: str,
    revision: str,
    voices: Mapping[int, str],
    speed: float,
    settings: Mapping[str, Any],
    seed: int | None,
) -> str:
    """64 hexadecimal digits. Where the passage stands, and the silence before it, are no part of it.

    Args:
        revision: `Engine.revision` for these voices.
        voices: Speaker number → voice id; those of other speakers do not count.
        seed: None for an engine that does not use it.
    """
    speakers = sorted({line.speaker for line in passage.lines})
    fields = [
        _FORMAT,
        engine,
        revision,
        [[speaker, voices.get(speaker)] for speaker in speakers],
        [[line.speaker, line.text, line.language] for line in passage.lines],
        float(speed),
        dict(settings),
        seed,
    ]
    # Escaped and sorted: the same bytes for the same things, also for half a surrogate pair.
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

"""Jobs made without a script."""

from __future__ import annotations

from typing import Any

from longtake.core.records import Line, Mark, Passage
from longtake.jobs.records import JobSpec, PlannedPassage, Stretch


def spec(**changes: Any) -> JobSpec:
    fields: dict[str, Any] = {
        "engine": "espeak",
        "model": "espeak",
        "title": "A test",
        "voices": {1: "en-us"},
        "labels": {1: "Speaker 1"},
        "response_format": "pcm",
    }
    return JobSpec(**(fields | changes))


def planned(count: int, *, estimated_s: float = 2.0, silence_s: float = 0.5, units: int = 4) -> list[PlannedPassage]:
    return [
        PlannedPassage(
            Passage(index, (Line(1, f"Passage number {index}.", "en"),), silence_s if index else 0.0),
            language="en",
            units=units,
            estimated_s=estimated_s,
        )
        for index in range(count)
    ]


def spoken(index: int, *, samples: int = 24_000, token: int = 1) -> Stretch:
    return Stretch(index, f"{index:06d}-{token}.pcm", "0" * 64, samples, (Mark(0.0, 1.0, "Passage", 1),))

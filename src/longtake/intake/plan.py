"""What is expected of a script: its passages, how long each will last, and all of them. Keeps nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from longtake.core.records import Passage
from longtake.engines.base import EngineAbout
from longtake.intake.request import JobRequest
from longtake.jobs.records import PlannedPassage
from longtake.script import (
    Estimate,
    Finding,
    Gaps,
    Script,
    Severity,
    estimate_units,
    split_passages,
    units_of,
)


def plan_passages(
    script: Script, engine: EngineAbout, paces: Mapping[str, float], request: JobRequest, *, model: str | None
) -> tuple[tuple[PlannedPassage, ...], Estimate]:
    """Split the script for the engine; the estimate holds every silence, also the one that ends the script.

    Raises:
        CapacityError: The settings ask for more in one passage than the engine can hold.
    """
    gaps = Gaps(request.turn_silence_s, request.sentence_silence_s)
    passages = split_passages(script, engine.info, gaps)
    planned, estimate = _expect(passages, paces, request.speed, script.trailing_pause_s)
    # The cap may depend on how long the whole script is, and that is known only now.
    speech_s = estimate.seconds - script.trailing_pause_s
    cap = engine.passage_cap(script.characters, speech_s, request.settings, model)
    if cap >= engine.info.max_passage_characters:
        return planned, estimate
    passages = split_passages(script, replace(engine.info, max_passage_characters=cap), gaps)
    return _expect(passages, paces, request.speed, script.trailing_pause_s)


def find_cut_context(planned: Sequence[PlannedPassage], engine: EngineAbout, request: JobRequest) -> Finding | None:
    """A note for who wants the whole script in view at once, and has put pauses into it."""
    info = engine.info
    if request.settings.get("context") != "full" or not info.past_passages or len(planned) < 2:
        return None
    message = (
        f"The pause marks cut this script into {len(planned)} passages: although the whole of it was asked to be in "
        f"view (context full), each passage has the {info.past_passages} before it in view. Take them out where one "
        "long breath matters more than the pause."
    )
    return Finding(Severity.NOTE, "context_cut", None, None, message)


def _expect(
    passages: Sequence[Passage], paces: Mapping[str, float], speed: float, trailing_s: float
) -> tuple[tuple[PlannedPassage, ...], Estimate]:
    """Units are counted once, for the passages and for all of them."""
    planned = []
    total: Counter[str] = Counter()
    silence_s = trailing_s
    for passage in passages:
        units = units_of(passage)
        total.update(units)
        silence_s += passage.silence_before_s
        language = max(units, key=units.__getitem__, default=passage.lines[0].language)
        # Only a passage in one language teaches its pace.
        learnable = units[language] if len(units) == 1 else 0
        seconds = estimate_units(units, passage.silence_before_s, paces, speed).seconds
        planned.append(PlannedPassage(passage, language, learnable, seconds))
    return tuple(planned), estimate_units(total, silence_s, paces, speed)

"""What is expected of a script: its passages, how long each will last, and all of them. Keeps nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from longtake.core.records import Passage
from longtake.core.units import format_bytes, format_duration
from longtake.engines.base import EngineAbout, Loads
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


@dataclass(frozen=True, slots=True)
class Room:
    """What is known of the engine that will speak.

    Attributes:
        budget_bytes: What its requests may hold; None: not known before its worker has measured it.
    """

    loads: Loads = field(default_factory=Loads)
    budget_bytes: int | None = None


def plan_passages(
    script: Script, engine: EngineAbout, paces: Mapping[str, float], request: JobRequest, *, room: Room
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
    cap = engine.passage_cap(script.characters, speech_s, request.settings, room.loads, room.budget_bytes)
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


def find_too_large(
    planned: Sequence[PlannedPassage],
    engine: EngineAbout,
    request: JobRequest,
    room: Room,
    recordings_s: Mapping[int, float],
) -> Finding | None:
    """The passage that no worker could ever begin, because it alone holds more than all of them may.

    Args:
        recordings_s: Speaker → length of the voice's recording.
    """
    if room.budget_bytes is None:
        return None
    for plan in planned:
        voices_s = sum(recordings_s.get(speaker, 0.0) for speaker in {line.speaker for line in plan.passage.lines})
        expected_s = max(0.0, plan.estimated_s - plan.passage.silence_before_s)
        needed = engine.least_bytes(expected_s, voices_s, room.loads)
        if needed > room.budget_bytes:
            remedy = "raise --memory-budget, shorten its turns, or take --dtype bf16 or --kv-dtype int8"
            if request.settings.get("context") == "full":
                remedy = f"leave out --context full, or {remedy}"
            message = (
                f"Passage {plan.passage.index + 1} of {len(planned)}, about {format_duration(expected_s)} long, holds "
                f"at least {format_bytes(needed)} of memory while it is spoken, and {engine.info.title} may hold "
                f"{format_bytes(room.budget_bytes)}: {remedy}."
            )
            return Finding(Severity.ERROR, "does_not_fit", None, None, message)
    return None


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

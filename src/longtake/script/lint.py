"""Is this script good to speak? Knows the engine by its limits, voices by a question, estimates as given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from longtake.core.errors import CapacityError, InputError, TooLargeError
from longtake.core.records import EngineInfo, PassageShape
from longtake.core.units import format_duration
from longtake.script.characters import escape_unshowable, is_speakable
from longtake.script.estimate import Estimate, count_units
from longtake.script.finding import Finding, Severity
from longtake.script.limits import Limits, characters_message
from longtake.script.records import Script, Speaker, Turn

# Dialogue models were trained on short turns and speak long ones ever faster: about a minute and a half is safe. Other
# engines speak any length, but a turn of ten minutes is mostly a script whose labels or blank lines were lost.
_LONG_TURN_MINUTES = {PassageShape.DIALOGUE: 1.5, PassageShape.SENTENCE: 10.0}
_LEAST_CHARACTERS_PER_MINUTE = 150  # no writing has fewer at the paces below: shorter turns need no counting
_MANY_SPEAKERS = 20  # for engines without a limit: beyond it voices are hard to tell apart
_PACE_OF_NOBODY = 150.0
_DENSE_PACE = 260.0
_DENSE = frozenset({"zh", "ja", "ko", "th"})
_PARAMS = dict.fromkeys(("unknown_voice", "voice_missing", "voice_needed", "voice_unused"), "voices")


@dataclass(frozen=True, slots=True)
class Report:
    """What `check_script` found.

    Attributes:
        findings: By position; what is about the whole script comes first.
        characters: How many are spoken.
        estimate: None when none was made.
    """

    findings: tuple[Finding, ...]
    speakers: tuple[Speaker, ...]
    characters: int
    turns: int
    estimate: Estimate | None

    @property
    def is_ok(self) -> bool:
        """Whether the script may be spoken: warnings do not hinder."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)


def check_script(
    script: Script,
    *,
    info: EngineInfo,
    voices: Mapping[int, str] | None,
    known_voice: Callable[[str], bool],
    estimate: Estimate | None,
    limits: Limits,
) -> Report:
    """Check a script against an engine, voices and limits, without speaking it.

    Args:
        voices: Speaker number → voice id, as the caller gave them; None when the caller gave none and all are chosen.
        known_voice: Whether the engine has a voice of that id.
        estimate: Of the finished audio, with `Script.trailing_pause_s` in its silence; None skips the check of
            `Limits.max_minutes`.
    """
    findings = [
        *script.findings,
        *_check_size(script, estimate, limits),
        *_check_speakers(script, info),
        *_check_voices(script, voices or {}, known_voice, is_given=bool(voices)),
        *_check_turns(script, info),
    ]
    findings.sort(key=lambda finding: (finding.line or 0, finding.column or 0))
    return Report(tuple(findings), script.speakers, script.characters, len(script.turns), estimate)


def raise_for(report: Report) -> None:
    """Raise the first error of a report; do nothing when there is none.

    Raises:
        TooLargeError: ``too_many_characters``.
        CapacityError: ``too_long``, ``does_not_fit``.
        InputError: Everything else, under the finding's code, with line and column in the message.
    """
    for finding in report.findings:
        if finding.severity is not Severity.ERROR:
            continue
        if finding.code == "too_many_characters":
            raise TooLargeError(finding.message, code=finding.code, param="script")
        if finding.code in ("too_long", "does_not_fit"):
            raise CapacityError(finding.message, code=finding.code, param="script")
        place = "" if finding.line is None else f"Line {finding.line}, column {finding.column}: "
        raise InputError(place + finding.message, code=finding.code, param=_PARAMS.get(finding.code, "script"))


def _check_size(script: Script, estimate: Estimate | None, limits: Limits) -> Iterator[Finding]:
    if script.input_characters > limits.max_characters:
        message = characters_message(script.input_characters, limits)
        yield Finding(Severity.ERROR, "too_many_characters", None, None, message)
    if estimate is not None and estimate.seconds > limits.max_minutes * 60:
        message = (
            f"The script would take about {format_duration(estimate.seconds)}, the limit is "
            f"{format_duration(limits.max_minutes * 60)} ({limits.max_minutes:g} minutes). "
            f"Cut it into several scripts, or raise {limits.minutes_option}."
        )
        yield Finding(Severity.ERROR, "too_long", None, None, message)
    is_broken = any(finding.severity is Severity.ERROR for finding in script.findings)
    if not is_broken and not any(is_speakable(turn.text) for turn in script.turns):
        message = "There is nothing to speak in this script. Write at least one line of text."
        yield Finding(Severity.ERROR, "empty_script", None, None, message)


def _check_speakers(script: Script, info: EngineInfo) -> Iterator[Finding]:
    limit = _MANY_SPEAKERS if info.max_speakers is None else info.max_speakers
    if len(script.speakers) <= limit:
        return
    extra = list(_first_turns(script).values())[limit]
    if info.max_speakers is None:
        message = (
            f"The script has {len(script.speakers)} speakers; with more than {limit}, voices are hard to tell apart "
            "and some may be shared. Merge small parts, and see that no line of text was taken for a label."
        )
        yield Finding(Severity.WARNING, "many_speakers", extra.line, extra.column, message)
        return
    message = (
        f"The script has {len(script.speakers)} speakers, {info.title} speaks for {info.max_speakers} at most. "
        f"Merge speakers or choose another engine."
    )
    yield Finding(Severity.ERROR, "too_many_speakers", extra.line, extra.column, message)


def _check_voices(
    script: Script, voices: Mapping[int, str], known_voice: Callable[[str], bool], *, is_given: bool
) -> Iterator[Finding]:
    labels = {speaker.number: speaker.label for speaker in script.speakers}
    first = _first_turns(script)
    for number, voice in voices.items():
        turn = first.get(number)
        line, column = (turn.line, turn.column) if turn else (None, None)
        told = escape_unshowable(voice)
        if not known_voice(voice):
            message = f"There is no voice “{told}” (speaker {number}). List the voices there are and choose one."
            yield Finding(Severity.ERROR, "unknown_voice", line, column, message)
        if turn is None:
            message = f"The voice “{told}” is for speaker {number}, who says nothing. Speakers: {_list(labels)}."
            yield Finding(Severity.WARNING, "voice_unused", None, None, message)
    if not is_given:
        return
    for number, label in labels.items():
        if number not in voices:
            turn = first[number]
            name = f"Speaker {number}" if label == f"Speaker {number}" else f"Speaker {number} ({label})"
            message = f"{name} has no voice; one is chosen. Give a voice for {number} to choose yourself."
            yield Finding(Severity.WARNING, "voice_missing", turn.line, turn.column, message)


def _check_turns(script: Script, info: EngineInfo) -> Iterator[Finding]:
    limit = _LONG_TURN_MINUTES[info.shape]
    for turn in script.turns:
        text = turn.text
        if text and not is_speakable(text):
            message = f"“{text[:20]}” is punctuation alone and is not spoken. Write words, or [pause]."
            yield Finding(Severity.WARNING, "punctuation_only", turn.line, turn.column, message)
        if len(text) <= limit * _LEAST_CHARACTERS_PER_MINUTE:
            continue
        minutes = _minutes(text)
        if minutes > limit:
            length, most = format_duration(minutes * 60), format_duration(limit * 60)
            is_dialogue = info.shape is PassageShape.DIALOGUE
            why = f"{info.title} may speed up in turns over {most}" if is_dialogue else f"few turns take over {most}"
            remedy = "Put a blank line between its paragraphs" + (
                "." if is_dialogue else ", and check the labels in it."
            )
            message = f"This turn takes about {length}; {why}. {remedy}"
            yield Finding(Severity.WARNING, "long_turn", turn.line, turn.column, message)


def _minutes(text: str) -> float:
    units = count_units(text)
    return sum(count / (_DENSE_PACE if language in _DENSE else _PACE_OF_NOBODY) for language, count in units.items())


def _first_turns(script: Script) -> dict[int, Turn]:
    first: dict[int, Turn] = {}
    for turn in script.turns:
        first.setdefault(turn.speaker, turn)
    return first


def _list(labels: Mapping[int, str]) -> str:
    return (
        ", ".join(label if label == f"Speaker {number}" else f"{number} ({label})" for number, label in labels.items())
        or "none"
    )

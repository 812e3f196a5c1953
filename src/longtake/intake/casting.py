"""Which voices an engine has here, its own and recordings, and who of a script speaks with which. Keeps nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from longtake.core.records import Passage, Voice
from longtake.engines.base import EngineAbout
from longtake.script import Finding, Script, Severity
from longtake.script.language import primary
from longtake.voices import RecordedVoice, VoiceStore
from longtake.voices.names import UNKNOWN_LANGUAGE


def voices_of(engine: EngineAbout, recordings: VoiceStore) -> tuple[Voice, ...]:
    """Recordings first: whoever added some wants them."""
    recorded = recordings.voices() if engine.info.speaks_recordings else ()
    return (*(voice.to_voice(engine.info.name) for voice in recorded), *engine.voices())


def find_voice(engine: EngineAbout, recordings: VoiceStore, voice_id: str) -> Voice | None:
    recorded = recordings.find(voice_id) if engine.info.speaks_recordings else None
    return recorded.to_voice(engine.info.name) if recorded else engine.find_voice(voice_id)


def stand_in(engine: EngineAbout, recordings: VoiceStore, place: int, language: str) -> str | None:
    """The voice that stands for the `place`-th of a list of strangers; recordings come again when there are too few."""
    recorded = recordings.voices() if engine.info.speaks_recordings else ()
    if recorded:
        fit = sorted(recorded, key=lambda voice: _misfit(voice.language, language))
        return fit[place % len(fit)].id
    return engine.default_voices(dict.fromkeys(range(place + 1), language)).get(place)


def choose_voices(
    script: Script,
    passages: Sequence[Passage],
    wanted: Mapping[int, str],
    for_the_rest: str | None,
    engine: EngineAbout,
    recordings: VoiceStore,
) -> dict[int, str]:
    """The wanted voices, and for the rest the given one, or recordings, or the engine's choice: distinct ones.

    A speaker is left out for whom there is none.
    """
    languages = _main_languages(script, passages)
    # Under the voice's own id: "en" is "en-us", and nobody else is to get it.
    found = {number: find_voice(engine, recordings, voice_id) for number, voice_id in wanted.items()}
    chosen = {number: voice.id if voice else wanted[number] for number, voice in found.items()}
    if for_the_rest is not None:
        return chosen | {number: for_the_rest for number in languages if number not in chosen}
    if engine.info.speaks_recordings:
        rest = {number: language for number, language in languages.items() if number not in chosen}
        free = [voice for voice in recordings.voices() if voice.id not in chosen.values()]
        chosen |= _give_out(free, rest)
    defaults = engine.default_voices(languages)
    taken = set(chosen.values())
    for number, language in languages.items():
        if number in chosen:
            continue
        voice = defaults.get(number)
        if voice in taken:
            voice = _another(engine, language, taken)
        if voice is not None:
            chosen[number] = voice
            taken.add(voice)
    return chosen


def find_missing(
    script: Script, voices: Mapping[int, str], engine: EngineAbout, recordings: VoiceStore
) -> Finding | None:
    """An error that names the speakers for whom there is no voice, and what their user can do."""
    missing = [speaker for speaker in script.speakers if speaker.number not in voices]
    if not missing:
        return None
    first = missing[0]
    turn = next(turn for turn in script.turns if turn.speaker == first.number)
    told = ", ".join(
        s.label if s.label == f"Speaker {s.number}" else f"Speaker {s.number} ({s.label})" for s in missing[:3]
    )
    who = told + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    verb = "has" if len(missing) == 1 else "have"
    title, name = engine.info.title, engine.info.name
    if not engine.info.speaks_recordings:
        message = (
            f"{who} {verb} no voice, and {name} has none of its own. Give one with --voice {first.number}=ID, or "
            "`voices` in the request."
        )
    else:
        count = len(recordings.voices())
        there = f"there are {count} for {len(script.speakers)} speakers" if count else "there are none yet"
        message = (
            f"{who} {verb} no voice: {title} speaks with recordings, and {there}; {len(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing. Add 10 to 30 s of clean speech with `longtake voices add "
            f"FILE` or POST /v1/audio/voices, name a file with --voice {first.number}=FILE, or let speakers share one."
        )
    return Finding(Severity.ERROR, "voice_needed", turn.line, turn.column, message)


def _main_languages(script: Script, passages: Sequence[Passage]) -> dict[int, str]:
    """Speaker → language of most of what the speaker says."""
    languages: dict[int, Counter[str]] = {speaker.number: Counter() for speaker in script.speakers}
    for passage in passages:
        for line in passage.lines:
            languages[line.speaker][line.language] += len(line.text)
    return {number: (counts.most_common(1) or [("en", 0)])[0][0] for number, counts in languages.items()}


def _give_out(free: Sequence[RecordedVoice], languages: Mapping[int, str]) -> dict[int, str]:
    """Distinct recordings to speakers: the best fits first, so that nobody takes the only Chinese voice from a Chinese
    speaker; among equals by the speaker's number, then by the voice's name."""
    pairs = [
        (_misfit(voice.language, language), number, place)
        for number, language in languages.items()
        for place, voice in enumerate(free)
    ]
    given: dict[int, str] = {}
    for _, number, place in sorted(pairs):
        if number not in given and free[place].id not in given.values():
            given[number] = free[place].id
    return given


def _misfit(voice: str, wanted: str) -> int:
    """How badly a recording's language fits: 0 is best. A recording may speak any language, with an accent."""
    if voice.lower() == wanted.lower():
        return 0
    if primary(voice) == primary(wanted):
        return 1
    return 2 if voice == UNKNOWN_LANGUAGE else 3


def _another(engine: EngineAbout, language: str, taken: set[str]) -> str | None:
    """A default voice of that language which is not taken yet."""
    candidates = engine.default_voices(dict.fromkeys(range(1, len(taken) + 2), language))
    return next((voice for voice in candidates.values() if voice not in taken), next(iter(candidates.values()), None))

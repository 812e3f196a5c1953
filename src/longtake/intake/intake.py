"""Judges a request and queues it. The only place where script, engine, voices, limits and store meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longtake.audio import parse_format, parse_loudness
from longtake.core.errors import InputError, NotFoundError
from longtake.core.records import Passage, Voice
from longtake.core.units import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ
from longtake.engines.base import EngineAbout
from longtake.engines.registry import about
from longtake.intake.request import JobRequest
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job, JobSpec, Kind, PlannedPassage
from longtake.jobs.store import JobStore
from longtake.script import (
    Estimate,
    Gaps,
    Limits,
    Report,
    Script,
    check_script,
    check_size,
    estimate_units,
    parse_script,
    raise_for,
    resolve_voices,
    split_passages,
    units_of,
)

# A learned pace starts to count beside the built-in one after this much speech: two minutes.
PRIOR_MINUTES = 2.0
MIN_SPEED, MAX_SPEED = 0.25, 4.0
MAX_SILENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Judged:
    """A request, understood: what it will become, and what is wrong with it."""

    engine: EngineAbout
    script: Script
    passages: tuple[PlannedPassage, ...]
    voices: Mapping[int, str]
    estimate: Estimate
    report: Report

    def to_dict(self) -> dict[str, Any]:
        """For --json and POST /v1/audio/check."""
        report = self.report
        return {
            "ok": report.is_ok,
            "model": self.engine.info.name,
            "findings": [
                {
                    "severity": str(finding.severity),
                    "code": finding.code,
                    "line": finding.line,
                    "column": finding.column,
                    "message": finding.message,
                }
                for finding in report.findings
            ],
            "speakers": [
                {
                    "number": speaker.number,
                    "label": speaker.label,
                    "turns": speaker.turns,
                    "characters": speaker.characters,
                    "voice": self.voices.get(speaker.number),
                }
                for speaker in report.speakers
            ],
            "characters": report.characters,
            "turns": report.turns,
            "passages": len(self.passages),
            "estimate": {
                "seconds": round(self.estimate.seconds, 1),
                "by_language": {name: round(value, 1) for name, value in self.estimate.by_language.items()},
            },
        }


class Intake:
    """Safe from any thread."""

    def __init__(self, store: JobStore, folder: DataFolder, engines: Sequence[str], limits: Limits) -> None:
        """
        Raises:
            NotFoundError: An engine is not known.
        """
        self._store = store
        self._folder = folder
        self._engines = {name: about(name) for name in engines}
        self._default = engines[0]
        self._limits = limits

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def engines(self) -> tuple[EngineAbout, ...]:
        return tuple(self._engines.values())

    def engine(self, name: str | None) -> EngineAbout:
        """
        Raises:
            NotFoundError: This longtake does not serve it.
        """
        found = self._engines.get(self._default if name is None else name)
        if found is None:
            raise NotFoundError(
                f"The model {name!r} is not served here. Served: {', '.join(self._engines)}.",
                code="model_not_found",
                param="model",
            )
        return found

    def voices(self) -> tuple[Voice, ...]:
        return tuple(voice for engine in self._engines.values() for voice in engine.voices())

    def judge(self, request: JobRequest, *, limits: Limits | None = None) -> Judged:
        """Understand a request without keeping anything.

        Raises:
            InputError: Something other than the script is wrong; what is wrong with the script is in the report.
        """
        limits = limits or self._limits
        engine = self.engine(request.model)
        self._check_fields(request, engine)
        check_size(request.script, limits)
        script = parse_script(request.script)
        gaps = Gaps(request.turn_silence_s, request.sentence_silence_s)
        passages = split_passages(script, engine.info, gaps)
        planned, estimate = _plan(passages, self._paces(engine), request.speed)
        wanted = resolve_voices(script, request.voices)
        report = check_script(
            script,
            info=engine.info,
            voices=wanted or None,
            known_voice=lambda voice_id: engine.find_voice(voice_id) is not None,
            estimate=estimate,
            limits=limits,
        )
        voices = _choose_voices(script, passages, wanted, request.voice, engine)
        return Judged(engine, script, planned, voices, estimate, report)

    def submit(
        self,
        request: JobRequest,
        *,
        kind: Kind = Kind.JOB,
        out_path: str | None = None,
        idempotency_key: str | None = None,
        limits: Limits | None = None,
    ) -> tuple[Job, bool]:
        """Queue the request; gives the job and whether it is new.

        Raises:
            InputError: With the first thing that is wrong.
            CapacityError: Too long, the queue is full, or the disk has no room for it.
        """
        idempotency = (idempotency_key, request.fingerprint()) if idempotency_key else None
        if idempotency and (known := self._store.known(*idempotency)):
            return known, False  # before anything is judged: what was accepted stays accepted
        judged = self.judge(request, limits=limits)
        raise_for(judged.report)
        _require_voices(judged)
        # The passages and the finished file, both at their largest.
        self._folder.require_room(
            round(2 * judged.estimate.seconds * SAMPLE_RATE_HZ * BYTES_PER_SAMPLE), "The audio of this job"
        )
        spec = JobSpec(
            engine=judged.engine.info.name,
            model=request.model or judged.engine.info.name,
            title=request.title or _title(judged.script),
            voices=judged.voices,
            labels={speaker.number: speaker.label for speaker in judged.script.speakers},
            response_format=parse_format(request.response_format),
            loudness=request.loudness,
            speed=request.speed,
            seed=request.seed,
            settings=dict(request.settings),
            trailing_silence_s=judged.script.trailing_pause_s,
        )
        return self._store.submit(
            spec, request.script, judged.passages, kind=kind, out_path=out_path, idempotency=idempotency
        )

    def _check_fields(self, request: JobRequest, engine: EngineAbout) -> None:
        parse_format(request.response_format)
        parse_loudness(request.loudness)
        if not MIN_SPEED <= request.speed <= MAX_SPEED:
            raise InputError(
                f"The speed is {request.speed}; it must be between {MIN_SPEED} and {MAX_SPEED}.",
                code="invalid_speed",
                param="speed",
            )
        for name in ("turn_silence_s", "sentence_silence_s"):
            value = getattr(request, name)
            if not 0 <= value <= MAX_SILENCE_S:
                raise InputError(
                    f"The silence {name} is {value} s; it must be between 0 and {MAX_SILENCE_S:.0f}.",
                    code="invalid_silence",
                    param=name,
                )
        if request.voice is not None and engine.find_voice(request.voice) is None:
            raise InputError(
                f"There is no voice {request.voice!r} for {engine.info.name}. `longtake voices` and "
                "GET /v1/audio/voices list them.",
                code="unknown_voice",
                param="voice",
            )
        engine.check_settings(request.settings)

    def _paces(self, engine: EngineAbout) -> dict[str, float]:
        """Built-in paces, drawn towards what finished jobs have shown."""
        paces = dict(engine.info.paces)
        for language, (units, seconds) in self._store.learned_paces(engine.info.name).items():
            prior = paces.get(language, paces["*"])
            paces[language] = (prior * PRIOR_MINUTES + units) / (PRIOR_MINUTES + seconds / 60)
        return paces


def _plan(
    passages: Sequence[Passage], paces: Mapping[str, float], speed: float
) -> tuple[tuple[PlannedPassage, ...], Estimate]:
    """What is expected of each passage, and of all of them; units are counted once."""
    planned = []
    total: Counter[str] = Counter()
    silence_s = 0.0
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


def _require_voices(judged: Judged) -> None:
    """
    Raises:
        InputError: A speaker has no voice, and the engine has none of its own to give.
    """
    for speaker in judged.report.speakers:
        if speaker.number not in judged.voices:
            raise InputError(
                f"Speaker {speaker.number} ({speaker.label}) has no voice, and {judged.engine.info.name} has none of "
                f"its own. Give one with --voice {speaker.number}=ID, or `voices` in the request.",
                code="voice_missing",
                param="voices",
            )


def _choose_voices(
    script: Script,
    passages: Sequence[Passage],
    wanted: Mapping[int, str],
    for_the_rest: str | None,
    engine: EngineAbout,
) -> dict[int, str]:
    """The wanted voices, and for the rest the given one or the engine's choice, distinct from those that are taken."""
    languages: dict[int, Counter[str]] = {speaker.number: Counter() for speaker in script.speakers}
    for passage in passages:
        for line in passage.lines:
            languages[line.speaker][line.language] += len(line.text)
    main = {number: (counts.most_common(1) or [("en", 0)])[0][0] for number, counts in languages.items()}
    chosen = dict(wanted)
    rest = [number for number in main if number not in chosen]
    if for_the_rest is not None:
        return chosen | dict.fromkeys(rest, for_the_rest)
    taken = set(chosen.values())
    defaults = engine.default_voices(main)
    for number in rest:
        voice = defaults.get(number)
        if voice in taken:
            voice = _another(engine, main[number], taken)
        if voice is not None:
            chosen[number] = voice
            taken.add(voice)
    return chosen


def _another(engine: EngineAbout, language: str, taken: set[str]) -> str | None:
    """A default voice of that language which is not taken yet."""
    candidates = engine.default_voices(dict.fromkeys(range(1, len(taken) + 2), language))
    return next((voice for voice in candidates.values() if voice not in taken), next(iter(candidates.values()), None))


def _title(script: Script) -> str:
    for turn in script.turns:
        for part in turn.parts:
            if isinstance(part, str) and part.strip():
                words = " ".join(part.split())
                return words if len(words) <= 60 else words[:59].rstrip() + "…"
    return "Untitled"

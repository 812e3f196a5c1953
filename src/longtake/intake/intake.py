"""Judges a request and queues it. The only place where script, engine, voices, limits and store meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from longtake.audio import AudioFormat, parse_format, parse_loudness
from longtake.core.errors import InputError, NotFoundError
from longtake.core.records import Voice
from longtake.core.units import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ
from longtake.engines.base import EngineAbout, Loads
from longtake.engines.registry import about
from longtake.intake.casting import choose_voices, find_missing, find_voice, stand_in, voices_of
from longtake.intake.plan import Room, find_cut_context, find_too_large, plan_passages
from longtake.intake.recordings import Recordings
from longtake.intake.request import JobRequest
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job, JobSpec, Kind, PlannedPassage
from longtake.jobs.store import JobStore
from longtake.script import (
    Estimate,
    Finding,
    Limits,
    Report,
    Script,
    check_script,
    check_size,
    parse_plain,
    parse_script,
    raise_for,
    resolve_voices,
)
from longtake.voices import VoiceStore

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

    def __init__(
        self,
        store: JobStore,
        folder: DataFolder,
        voices: VoiceStore,
        engines: Sequence[str],
        limits: Limits,
        *,
        loads: Loads | None = None,
        memory_budget: int | None = None,
    ) -> None:
        """
        Args:
            loads: What the engines were told to load; how much fits in a passage depends on that.
            memory_budget: Bytes that requests may hold, if that was said.

        Raises:
            NotFoundError: An engine is not known.
        """
        self._store = store
        self._folder = folder
        self._voices = voices
        self._engines = {name: about(name) for name in engines}
        self._default = engines[0]
        self._limits = limits
        self._loads = loads or Loads()
        self._memory_budget = memory_budget
        self.recordings = Recordings(voices, store, folder, self._engines)

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def engines(self) -> tuple[EngineAbout, ...]:
        return tuple(self._engines.values())

    def engine(self, name: str | None, *, param: str = "model") -> EngineAbout:
        """
        Args:
            param: The field of the request that names it.

        Raises:
            NotFoundError: This longtake does not serve it.
        """
        found = self._engines.get(self._default if name is None else name)
        if found is None:
            raise NotFoundError(
                f"The {param} {name!r} is not served here. Served: {', '.join(self._engines)}.",
                code="model_not_found",
                param=param,
            )
        return found

    def voices(self, engine: EngineAbout) -> tuple[Voice, ...]:
        """The voices to offer for an engine, recordings among them; the recommended ones first."""
        return voices_of(engine, self._voices)

    def find_voice(self, engine: EngineAbout, voice_id: str) -> Voice | None:
        """The engine's voice of that id, also when `voices` does not list it."""
        return find_voice(engine, self._voices, voice_id)

    def stand_in(self, engine: EngineAbout, place: int, language: str) -> str | None:
        """The voice that stands for the `place`-th of a list of voices that are not ours; None when there is none."""
        return stand_in(engine, self._voices, place, language)

    def judge(self, request: JobRequest, *, limits: Limits | None = None) -> Judged:
        """Understand a request without keeping anything.

        Raises:
            InputError: Something other than the script is wrong; what is wrong with the script is in the report.
            CapacityError: The settings ask for more in one passage than the engine can hold.
        """
        limits = limits or self._limits
        engine = self.engine(request.model)
        self._check_fields(request, engine)
        check_size(request.script, limits)
        script = parse_plain(request.script) if request.is_plain else parse_script(request.script)
        room = Room(self._loads, self._budget_of(engine))
        planned, estimate = plan_passages(script, engine, self._paces(engine), request, room=room)
        passages = [plan.passage for plan in planned]
        wanted = resolve_voices(script, request.voices)
        report = check_script(
            script,
            info=engine.info,
            voices=wanted or None,
            known_voice=lambda voice_id: self.find_voice(engine, voice_id) is not None,
            estimate=estimate,
            limits=limits,
        )
        voices = choose_voices(script, passages, wanted, request.voice, engine, self._voices)
        missing = find_missing(script, voices, engine, self._voices)
        if missing:
            report = _with(report, missing, instead_of="voice_missing")  # that some would be chosen
        recordings_s = {speaker: self._recording_s(engine, voice_id) for speaker, voice_id in voices.items()}
        if too_large := find_too_large(planned, engine, request, room, recordings_s):
            report = _with(report, too_large)
        if note := find_cut_context(planned, engine, request):
            report = replace(report, findings=(note, *report.findings))
        return Judged(engine, script, planned, voices, estimate, report)

    def submit(
        self,
        request: JobRequest,
        *,
        kind: Kind = Kind.JOB,
        out_path: str | None = None,
        out_subtitles: Sequence[str] = (),
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
        self._require_room(judged, parse_format(request.response_format), kind)
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
            spec,
            request.script,
            judged.passages,
            kind=kind,
            out_path=out_path,
            out_subtitles=out_subtitles,
            idempotency=idempotency,
        )

    def _require_room(self, judged: Judged, audio_format: AudioFormat, kind: Kind) -> None:
        """
        Raises:
            DiskFullError: The folder cannot hold the job's stretches and its finished file, and those of the jobs that
                were accepted before it. Speech and probes lie there for a minute, and answer for themselves alone.
        """
        pcm_bytes_s = SAMPLE_RATE_HZ * BYTES_PER_SAMPLE
        traces = 9 / 8 if judged.engine.info.keeps_traces else 1.0  # VibeVoice's are 57 KB for 480 KB of samples
        needed = judged.estimate.seconds * (pcm_bytes_s * traces + audio_format.bytes_per_s)
        what = "The audio of this job"
        if kind is Kind.JOB:
            jobs, queued_s = self._store.queue_load()
            needed += queued_s * pcm_bytes_s * 5 / 4  # the finished file of most is a quarter of its samples or less
            what += f" and of the {jobs} before it" * (jobs > 0)
        self._folder.require_room(round(needed), what)

    def _budget_of(self, engine: EngineAbout) -> int | None:
        """What its requests may hold: as its worker has measured, and no more than was said."""
        measured = [row.budget_bytes for row in self._store.workers() if row.engine == engine.info.name]
        known = [budget for budget in measured if budget is not None]
        limits = ([max(known)] if known else []) + ([self._memory_budget] if self._memory_budget is not None else [])
        return min(limits, default=None)

    def _recording_s(self, engine: EngineAbout, voice_id: str) -> float:
        voice = self.find_voice(engine, voice_id)
        return (voice.recording_s or 0.0) if voice is not None else 0.0

    def _check_fields(self, request: JobRequest, engine: EngineAbout) -> None:
        parse_format(request.response_format)
        parse_loudness(request.loudness)
        if not MIN_SPEED <= request.speed <= MAX_SPEED:
            raise InputError(
                f"The speed is {request.speed}; it must be between {MIN_SPEED} and {MAX_SPEED}.",
                code="invalid_speed",
                param="speed",
            )
        if request.speed != 1.0 and not engine.info.changes_speed:
            raise InputError(
                f"The speed is {request.speed}, and {engine.info.title} speaks at its voices' own pace. Leave "
                "the speed at 1.",
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
        if request.voice is not None and self.find_voice(engine, request.voice) is None:
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


def _with(report: Report, error: Finding, *, instead_of: str = "") -> Report:
    """The report with one error more, and without the findings of one code."""
    others = [finding for finding in report.findings if finding.code != instead_of]
    findings = [*others, error]
    findings.sort(key=lambda finding: (finding.line or 0, finding.column or 0))
    return replace(report, findings=tuple(findings))


def _title(script: Script) -> str:
    for turn in script.turns:
        for part in turn.parts:
            if isinstance(part, str) and part.strip():
                words = " ".join(part.split())
                return words if len(words) <= 60 else words[:59].rstrip() + "…"
    return "Untitled"

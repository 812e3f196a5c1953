"""Records of the store to bodies of answers. The only place that knows both."""

from __future__ import annotations

from longtake.core.records import Voice
from longtake.core.units import seconds_of
from longtake.delivery import Again
from longtake.intake import Judged
from longtake.jobs.records import Job
from longtake.jobs.states import ENDED, State, allowed, can_again
from longtake.jobs.store import JobStore
from longtake.wire.check import CheckedSpeaker, CheckView, EstimateView, FindingView
from longtake.wire.jobs import AgainView, ErrorDetail, JobView, Progress, ResumedView, SpeakerView
from longtake.wire.listings import VoiceView

_TOO_BIG = frozenset({"too_many_characters", "too_long", "does_not_fit"})


def to_job_view(job: Job, store: JobStore) -> JobView:
    """The job as the API shows it; asks the store where it stands in the queue. In the store's hop only."""
    return JobView(
        id=job.id,
        state=job.state,
        reason=job.reason,
        progress=Progress(
            audio_seconds=round(seconds_of(job.audio_samples), 3),
            estimated_seconds=round(job.estimated_s, 3),
            passages_done=job.passages_done,
            passages_total=job.passages_total,
        ),
        eta_seconds=None if job.eta_s is None else round(job.eta_s, 1),
        place_in_queue=store.place_in_queue(job.id) if job.state is State.QUEUED else None,
        created_at=round(job.created_at),
        started_at=None if job.started_at is None else round(job.started_at),
        ended_at=None if job.ended_at is None else round(job.ended_at),
        error=_to_error(job),
        model=job.spec.model,
        engine=job.spec.engine,
        title=job.spec.title,
        speakers=[
            SpeakerView(number=number, label=label, voice=job.spec.voices.get(number))
            for number, label in job.spec.labels.items()
        ],
        response_format=job.spec.response_format,
        loudness=job.spec.loudness,
        speed=job.spec.speed,
        seed=job.spec.seed,
        settings=dict(job.spec.settings),
        audio_bytes=job.audio_bytes,
        earlier_of=job.earlier_of,
        can=_can(job),
    )


def to_resumed_view(job: Job, store: JobStore, again: Again | None) -> ResumedView:
    found = None
    if again is not None:
        found = AgainView(
            from_seconds=round(again.from_s, 3),
            speaker=again.label,
            text=again.line.text,
            seed=again.seed,
            earlier_version=again.earlier_id,
        )
    return ResumedView(**dict(to_job_view(job, store)), again=found)


def _can(job: Job) -> list[str]:
    again = ["again"] if can_again(job.state) and job.audio_samples else []
    return [*allowed(job.state), *again, *(["delete"] if job.state in ENDED else [])]


def _to_error(job: Job) -> ErrorDetail | None:
    if job.error is None or job.state is not State.FAILED:
        return None
    error = job.error
    return ErrorDetail(
        message=str(error.get("message") or "The engine could not speak this."),
        type=str(error.get("type") or "server_error"),
        param=error.get("param"),
        code=error.get("code"),
    )


def to_check_view(judged: Judged) -> CheckView:
    report = judged.report
    return CheckView(
        ok=report.is_ok,
        fits=not any(finding.code in _TOO_BIG for finding in report.findings),
        findings=[
            FindingView(severity=f.severity, code=f.code, line=f.line, column=f.column, message=f.message)
            for f in report.findings
        ],
        speakers=[
            CheckedSpeaker(
                number=speaker.number,
                label=speaker.label,
                voice=judged.voices.get(speaker.number),
                turns=speaker.turns,
                characters=speaker.characters,
            )
            for speaker in report.speakers
        ],
        characters=report.characters,
        turns=report.turns,
        passages=len(judged.passages),
        estimate=EstimateView(
            seconds=round(judged.estimate.seconds, 3),
            by_language={name: round(seconds, 3) for name, seconds in judged.estimate.by_language.items()},
        ),
    )


def to_voice_view(voice: Voice) -> VoiceView:
    return VoiceView(
        id=voice.id,
        name=voice.name,
        language=voice.language,
        engine=voice.engine,
        recording_seconds=None if voice.recording_s is None else round(voice.recording_s, 3),
    )

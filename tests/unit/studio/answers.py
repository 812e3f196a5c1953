"""What a real server answers, cut to what the tests look at."""

from __future__ import annotations

from typing import Any

from longtake.wire.check import CheckedSpeaker, CheckView, EstimateView, FindingView
from longtake.wire.jobs import ErrorDetail, JobView, Progress, SpeakerView

NASTY = "<img src=x onerror=alert(1)> ${alert(2)} {{value}} `\\"
JOB_ID = "job_604aff81bc0ce2fa"


def job(state: str = "running", **changes: Any) -> JobView:
    fields: dict[str, Any] = {
        "id": JOB_ID,
        "state": state,
        "reason": None,
        "progress": Progress(audio_seconds=750, estimated_seconds=3250, passages_done=120, passages_total=520),
        "eta_seconds": 14.0,
        "place_in_queue": None,
        "created_at": 1_700_000_000,
        "started_at": 1_700_000_000,
        "ended_at": None,
        "error": None,
        "model": "espeak",
        "engine": "espeak",
        "title": "The Long Way Round",
        "speakers": [
            SpeakerView(number=1, label="Anna", voice="en-us"),
            SpeakerView(number=2, label="Ben", voice=None),
        ],
        "response_format": "mp3",
        "loudness": "podcast",
        "speed": 1.0,
        "seed": 0,
        "settings": {},
        "audio_bytes": None,
        "can": ["pause", "resume", "cancel"],
    }
    return JobView(**{**fields, **changes})


def done(**changes: Any) -> JobView:
    ended = {"eta_seconds": None, "ended_at": 1_700_000_018, "audio_bytes": 52_000_000, "can": ["delete"]}
    progress = Progress(audio_seconds=3250, estimated_seconds=3250, passages_done=520, passages_total=520)
    return job("done", **({"progress": progress, **ended} | changes))


def failed(message: str) -> JobView:
    return job("failed", error=ErrorDetail(message=message, type="server_error", param=None, code="engine_failed"))


def finding(severity: str = "warning", message: str = "A note.", line: int | None = 2) -> FindingView:
    return FindingView(severity=severity, code="x", line=line, column=1 if line else None, message=message)


def check(**changes: Any) -> CheckView:
    fields: dict[str, Any] = {
        "ok": True,
        "fits": True,
        "findings": [],
        "speakers": [
            CheckedSpeaker(number=1, label="Anna", voice="en-us", turns=1, characters=30),
            CheckedSpeaker(number=2, label="小雨", voice="cmn", turns=2, characters=10),
        ],
        "characters": 40,
        "turns": 3,
        "passages": 4,
        "estimate": EstimateView(seconds=65.2, by_language={"en": 50.0, "zh": 15.2}),
    }
    return CheckView(**{**fields, **changes})

"""A job as HTML: progress, player, list. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from longtake.core.units import format_bytes, format_duration
from longtake.studio.escape import safe
from longtake.studio.text import say, say_count
from longtake.wire.health import Readiness
from longtake.wire.jobs import JobView

ENDED: Final = frozenset({"done", "failed", "cancelled"})
_BULLET = " · "
_MEASURABLE_S = 5  # the API tells whole seconds: over a shorter time a speed would be a guess


def job_html(language: str, job: JobView) -> str:
    """Title, state, bar and figures, and why it stands where it does."""
    percent = round(100 * fraction_of(job), 1)
    voices = ", ".join(f"{each.label} ({each.voice})" if each.voice else each.label for each in job.speakers)
    parts = [
        f'<div class="lt-title"><h2>{safe(job.title)}</h2>{_pill(language, job)}</div>',
        f'<div class="lt-bar" role="progressbar" aria-label="{safe(say(language, "progress"))}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent:.0f}" data-state="{safe(job.state)}">'
        f'<span style="width:{percent}%"></span></div>',
        f'<p class="lt-figures">{safe(figures(language, job))}</p>',
    ]
    if job.reason:
        parts.append(f'<p class="lt-quiet">{safe(job.reason)}</p>')
    if job.error is not None:
        parts.append(f'<p class="lt-complaint" role="alert">{safe(job.error.message)}</p>')
    log = f'<a class="lt-link" href="#" data-log-of="{safe(job.id)}">{safe(say(language, "job_log"))}</a>'
    parts.append(f'<p class="lt-quiet lt-small">{safe(job.model)}{_BULLET}{safe(voices)}{_BULLET}{log}</p>')
    return f'<div class="lt-job">{"".join(parts)}</div>'


def fraction_of(job: JobView) -> float:
    """How much is spoken, 0 to 1. Only what is done is whole: an estimate may be overtaken."""
    if job.state == "done":
        return 1.0
    progress = job.progress
    by_time = progress.audio_seconds / progress.estimated_seconds if progress.estimated_seconds > 0 else 0.0
    return min(by_time, 0.99)


def figures(language: str, job: JobView) -> str:
    """``12:30 of 54:10 · 180× · 0:14 left``."""
    progress = job.progress
    spoken = format_duration(progress.audio_seconds)
    total = format_duration(max(progress.estimated_seconds, progress.audio_seconds))
    match job.state:
        case "done":
            return _BULLET.join([spoken, *_took(language, job), *_size(job)])
        case "queued":
            line = _place(language, job)
            return line if not progress.audio_seconds else f"{line}{_BULLET}{_of(language, 'kept', spoken, total)}"
        case "paused" | "failed" | "cancelled":
            return _of(language, "kept", spoken, total)
        case _:
            return _BULLET.join([_of(language, "of", spoken, total), *_pace(language, job)])


def _of(language: str, key: str, done: str, total: str) -> str:
    return say(language, key, done=done, total=total)


def _place(language: str, job: JobView) -> str:
    if not job.place_in_queue:
        return say(language, "next_in_line")
    return say_count(language, "in_line", job.place_in_queue)


def _pace(language: str, job: JobView) -> list[str]:
    """Times faster than the clock, and the time left; both from the server's estimate, which knows of pauses."""
    if job.eta_seconds is None or job.state != "running":
        return []
    left = say(language, "left", time=format_duration(job.eta_seconds))
    remaining_s = job.progress.estimated_seconds - job.progress.audio_seconds
    return [*_times(remaining_s, job.eta_seconds), left]


def _took(language: str, job: JobView) -> list[str]:
    if job.started_at is None or job.ended_at is None:
        return []
    took_s = max(job.ended_at - job.started_at, 1)
    times = _times(job.progress.audio_seconds, took_s) if took_s >= _MEASURABLE_S else []
    return [say(language, "spoken_in", time=format_duration(took_s)), *times]


def _times(audio_s: float, clock_s: float) -> list[str]:
    if audio_s <= 0 or clock_s <= 0:
        return []
    times = audio_s / clock_s
    return [f"{times:,.0f}×" if times >= 10 else f"{times:.1f}×"]


def _size(job: JobView) -> list[str]:
    return [] if job.audio_bytes is None else [format_bytes(job.audio_bytes)]


def player_key(job: JobView) -> str:
    """Changes when the player must be built anew; while it stays, a listener is not disturbed."""
    if job.state == "done":
        return f"{job.id} done"
    has_audio = job.progress.audio_seconds > 0
    if job.state in ENDED:
        return f"{job.id} part" if has_audio else f"{job.id} none"
    return f"{job.id} live" if has_audio else f"{job.id} none"


def player_html(language: str, job: JobView, base: str) -> str:
    """The audio element and what can be downloaded.

    Args:
        base: Address under which a job's files lie, without the id; no slash at its end.
    """
    phase = player_key(job).rpartition(" ")[2]
    if phase == "none":
        return ""
    at = safe(f"{base}/{job.id}")
    label = {"done": "listen", "part": "listen_part", "live": "listen_live"}[phase]
    told = safe(say(language, label))
    if job.response_format == "pcm":
        player = f'<p class="lt-quiet">{safe(say(language, "no_player"))}</p>'
    else:
        # The phase in the address keeps the browser from taking the stream it knows for the finished file.
        # A growing file is asked for only when somebody listens: it holds a connection until the job is done.
        preload = "metadata" if phase == "done" else "none"
        take = f"done-{job.ended_at}" if phase == "done" else phase  # spoken again it is another file
        player = (
            f'<p class="lt-listen" id="lt-listen">{told}</p>'
            f'<audio controls class="lt-audio" aria-labelledby="lt-listen" data-job="{safe(job.id)}" '
            f'preload="{preload}" src="{at}/audio?{take}"></audio>'
        )
    if phase == "live":
        return player
    links = [(f"{at}/audio", say(language, "download_audio", format=job.response_format.upper()))]
    links += [
        (f"{at}/subtitles.{kind}", say(language, "download_subtitles", format=kind.upper())) for kind in ("srt", "vtt")
    ]
    row = "".join(f'<a class="lt-link" href="{href}" download>{safe(name)}</a>' for href, name in links)
    return f'{player}<p class="lt-links">{row}</p>'


def jobs_html(language: str, jobs: Sequence[JobView], shown: str) -> str:
    """The newest jobs as links; a click shows the job, a click with Ctrl opens it beside."""
    if not jobs:
        return f'<p class="lt-quiet">{safe(say(language, "no_jobs"))}</p>'
    rows = []
    for job in jobs:
        progress = job.progress
        length_s = progress.audio_seconds if job.state == "done" else progress.estimated_seconds
        current = ' aria-current="true"' if job.id == shown else ""
        rows.append(
            f'<li><a href="?job={safe(job.id)}" data-job="{safe(job.id)}"{current}>'
            f'<span class="lt-name">{safe(job.title)}</span>{_pill(language, job)}'
            f'<span class="lt-time">{format_duration(length_s)}</span></a></li>'
        )
    return f'<ol class="lt-jobs">{"".join(rows)}</ol>'


def health_html(language: str, readiness: Readiness) -> str:
    """Which engines cannot speak, and why; empty when all can."""
    rows = [
        f"<p><strong>{safe(say(language, 'engine_unready', engine=name))}</strong> {safe(engine.reason or '')}</p>"
        for name, engine in readiness.engines.items()
        if not engine.ready
    ]
    return f'<div class="lt-banner" role="status">{"".join(rows)}</div>' if rows else ""


def _pill(language: str, job: JobView) -> str:
    key = f"state_{job.state}"
    try:
        told = say(language, key)
    except KeyError:  # a newer server may know states that this page does not
        told = job.state
    return f'<span class="lt-pill" data-state="{safe(job.state)}">{safe(told)}</span>'

"""Workers, what was done to them, alerts, crashes and the doctor's findings as HTML. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence

from longtake.core.units import format_bytes
from longtake.studio.escape import safe
from longtake.studio.text import TEXT, say, say_count
from longtake.wire.alerts import AlertList, AlertView
from longtake.wire.doctor import DoctorView
from longtake.wire.logs import CrashView
from longtake.wire.mending import CleanedView, MendedView
from longtake.wire.monitor import Snapshot, WorkerView

_BULLET = " · "
ASKED = frozenset({"restart", "unload"})  # what interrupts the jobs in hand
_CRASHES = 10


def workers_html(language: str, now: Snapshot) -> str:
    """Each engine with its state, its memory and what may be done to it."""
    rows = "".join(_worker(language, worker, now) for worker in now.workers)
    return f'<ul class="lt-workers">{rows}</ul>'


def _worker(language: str, worker: WorkerView, now: Snapshot) -> str:
    sizes = [each.resident_bytes for each in now.host.processes if each.pid == worker.pid]
    told = [
        *([say(language, "svc_process", pid=worker.pid)] if worker.pid is not None else []),
        *(say(language, "svc_holds", size=format_bytes(size)) for size in sizes),
        *([say_count(language, "svc_restarts", worker.restarts)] if worker.restarts else []),
    ]
    verbs = ["restart", "drain", "load" if worker.state == "unloaded" else "unload", "release"]
    buttons = "".join(_button(language, verb, worker.engine) for verb in verbs)
    reason = f'<p class="lt-quiet">{safe(worker.reason)}</p>' if worker.reason else ""
    return (
        f'<li data-engine="{safe(worker.engine)}"><div class="lt-title"><h4>{safe(worker.engine)}</h4>'
        f'<span class="lt-pill" data-state="{safe(worker.state)}">{safe(_state(language, worker.state))}</span></div>'
        f'<p class="lt-quiet lt-small">{safe(_BULLET.join(told))}</p>{reason}<div class="lt-verbs">{buttons}</div></li>'
    )


def _state(language: str, state: str) -> str:
    key = f"state_{state}"
    return say(language, key) if key in TEXT else state


def _button(language: str, verb: str, engine: str) -> str:
    ask = f' data-ask="{safe(say(language, f"svc_{verb}_sure", engine=engine))}"' if verb in ASKED else ""
    return (
        f'<button type="button" class="lt-segment" data-verb="{verb}" data-engine="{safe(engine)}"{ask}>'
        f"{safe(say(language, f'svc_{verb}'))}</button>"
    )


def mended_html(language: str, mended: MendedView) -> str:
    """What was done, and what came back in bytes."""
    if not mended.done:
        return f'<p role="status">{safe(say(language, "svc_on_its_way", engine=mended.engine))}</p>'
    rows = [f"<p><strong>{safe(say(language, f'svc_done_{mended.action}', engine=mended.engine))}</strong></p>"]
    before, after, given = mended.before, mended.after, mended.given_back
    if before is not None and after is not None and given is not None:
        rows.append(_bytes(language, "svc_host_memory", before.rss_bytes, after.rss_bytes, given.rss_bytes))
        devices = [each.reserved_bytes for each in (before, after, given) if each.reserved_bytes is not None]
        if len(devices) == 3:  # there is none on a CPU
            rows.append(_bytes(language, "svc_device_memory", *devices))
    return f'<div class="lt-done" role="status">{"".join(rows)}</div>'


def _bytes(language: str, what: str, before: int, after: int, given: int) -> str:
    told = say(
        language,
        "svc_bytes",
        what=say(language, what),
        before=format_bytes(before),
        after=format_bytes(after),
        given=format_bytes(given),
    )
    return f'<p data-given-bytes="{given}" title="{given:,} B">{safe(told)}</p>'


def cleaned_html(language: str, cleaned: CleanedView) -> str:
    told = say(
        language,
        "svc_cleaned",
        given=format_bytes(cleaned.given_back_bytes),
        files=cleaned.files,
        temporary=format_bytes(cleaned.temporary_bytes),
        log=format_bytes(cleaned.log_bytes),
        cache=format_bytes(cleaned.cache_bytes),
        free=format_bytes(cleaned.free_bytes_after),
    )
    return f'<p class="lt-done" role="status" data-given-bytes="{cleaned.given_back_bytes}">{safe(told)}</p>'


def clean_html(language: str) -> str:
    """The two buttons; emptying the cache is asked for."""
    ask = safe(say(language, "svc_clean_sure"))
    return (
        '<div class="lt-verbs">'
        f'<button type="button" class="lt-segment" data-verb="clean">{safe(say(language, "svc_clean"))}</button>'
        f'<button type="button" class="lt-segment" data-verb="clean_cache" data-ask="{ask}">'
        f"{safe(say(language, 'svc_clean_cache'))}</button></div>"
    )


def doctor_button_html(language: str) -> str:
    told = safe(say(language, "svc_examine"))
    return f'<div class="lt-verbs"><button type="button" class="lt-segment" data-verb="doctor">{told}</button></div>'


def doctor_html(language: str, doctor: DoctorView) -> str:
    """The wrong things first, as there is something to do about them."""
    rows = []
    for check in sorted(doctor.checks, key=lambda check: check.ok):
        word = safe(say(language, "svc_well" if check.ok else "svc_wrong"))
        remedy = f'<p class="lt-quiet">→ {safe(check.remedy)}</p>' if check.remedy else ""
        rows.append(
            f'<li class="{"lt-well" if check.ok else "lt-error"}"><strong>{word}</strong> '
            f"<b>{safe(check.name)}</b> {safe(check.found)}{remedy}</li>"
        )
    return f'<ul class="lt-findings lt-doctor">{"".join(rows)}</ul>'


def alerts_html(language: str, alerts: AlertList) -> str:
    channels = (
        say_count(language, "svc_channels", alerts.channels) if alerts.channels else say(language, "svc_no_channels")
    )
    rows = "".join(_alert(language, alert) for alert in alerts.data)
    told = (
        f'<ul class="lt-findings">{rows}</ul>'
        if rows
        else f'<p class="lt-fine">✓ {safe(say(language, "svc_no_alerts"))}</p>'
    )
    return f'{told}<p class="lt-quiet lt-small">{safe(channels)}</p>'


def _alert(language: str, alert: AlertView) -> str:
    text = alert.zh if language == "zh" else alert.en
    labels = ", ".join(f"{name}={value}" for name, value in alert.labels.items())
    since = say(language, "svc_since", time=_when(alert.since))
    return (
        f'<li class="{"lt-error" if alert.severity == "critical" else "lt-warning"}">'
        f"<strong>{safe(text.summary)}</strong> {safe(text.advice)}"
        f'<p class="lt-quiet lt-small">{safe(_BULLET.join(filter(None, [alert.name, labels, since])))}</p></li>'
    )


def crashes_html(language: str, crashes: Sequence[CrashView]) -> str:
    if not crashes:
        return f'<p class="lt-fine">✓ {safe(say(language, "svc_no_crashes"))}</p>'
    rows = []
    for crash in crashes[:_CRASHES]:
        known = "\n".join(filter(None, [crash.memory, crash.words, *(_last_line(line) for line in crash.lines)]))
        evidence = (
            f"<details><summary>{safe(say(language, 'svc_evidence'))}</summary><pre>{safe(known)}</pre></details>"
            if known
            else ""
        )
        rows.append(
            f"<li><strong>{safe(crash.process)}</strong> {safe(crash.how)}"
            f'<p class="lt-quiet lt-small">{safe(_when(crash.at))}</p>{evidence}</li>'
        )
    return f'<ul class="lt-findings lt-crashes">{"".join(rows)}</ul>'


def _last_line(line: dict[str, object]) -> str:
    return f"{line.get('time', '')} {line.get('level', '')} {line.get('event', '')}"


def report_html(language: str, address: str) -> str:
    """Links that open beside the page."""
    links = "".join(
        f'<a class="lt-link" target="_blank" rel="noopener" href="{safe(address)}?since={since}&amp;lang={language}">'
        f"{safe(say(language, key))}</a>"
        for since, key in (("24h", "svc_report_day"), ("7d", "svc_report_week"))
    )
    return f'<p class="lt-links">{links}</p>'


def _when(at_s: float) -> str:
    """Of the machine that serves."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at_s))

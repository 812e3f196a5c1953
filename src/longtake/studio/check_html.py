"""A judged script as HTML. Pure."""

from __future__ import annotations

from longtake.core.units import format_duration
from longtake.studio.escape import safe
from longtake.studio.text import say, say_count
from longtake.wire.check import CheckedSpeaker, CheckView, FindingView

MAX_FINDINGS = 30


def summary_html(language: str, check: CheckView | None) -> str:
    """How long it will be, and of what it is made."""
    if check is None:
        return f'<p class="lt-quiet">{safe(say(language, "nothing_yet"))}</p>'
    counts = f"{say_count(language, 'turns', check.turns)} · {say_count(language, 'characters', check.characters)}"
    length = ""
    if check.estimate is not None and check.turns:
        told = say(language, "estimate", length=format_duration(check.estimate.seconds))
        length = f'<span class="lt-length">{safe(told)}</span>'
    return f'<p class="lt-summary">{length}<span class="lt-quiet">{safe(counts)}</span></p>'


def findings_html(language: str, check: CheckView | None) -> str:
    """Errors first; at most `MAX_FINDINGS`, for a script may have thousands."""
    if check is None:
        return ""
    findings = sorted(check.findings, key=lambda finding: finding.severity != "error")
    if not findings:
        return f'<p class="lt-fine">✓ {safe(say(language, "looks_good"))}</p>' if check.ok else ""
    rows = [_finding(language, finding) for finding in findings[:MAX_FINDINGS]]
    if len(findings) > MAX_FINDINGS:
        rows.append(f"<li>{safe(say(language, 'more_findings', count=len(findings) - MAX_FINDINGS))}</li>")
    return f'<ul class="lt-findings">{"".join(rows)}</ul>'


def _finding(language: str, finding: FindingView) -> str:
    is_error = finding.severity == "error"
    place = ""
    if finding.line is not None:
        told = say(language, "place", line=finding.line, column=finding.column or 1)
        place = f'<span class="lt-place">{safe(told)}</span> '
    word = safe(say(language, "error" if is_error else "warning"))
    kind = "lt-error" if is_error else "lt-warning"
    return f'<li class="{kind}"><strong>{word}</strong> {place}{safe(finding.message)}</li>'


def speaker_label(language: str, speaker: CheckedSpeaker, characters: int) -> str:
    """The label of the speaker's drop-down. Not HTML: Gradio shows labels as text."""
    share = round(100 * speaker.characters / characters) if characters else 0
    return f"{speaker.label} · {say_count(language, 'turns', speaker.turns)} · {share}%"


def complaint_html(message: str) -> str:
    """Something went wrong, in place. Empty for an empty message."""
    return f'<p class="lt-complaint" role="alert">{safe(message)}</p>' if message else ""

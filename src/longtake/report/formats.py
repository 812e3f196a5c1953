"""A report as a file: Markdown, HTML or JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import tzinfo
from typing import Final

from longtake.report.html import to_html
from longtake.report.markdown import to_markdown
from longtake.report.outline import to_outline
from longtake.report.pictures import draw
from longtake.report.records import Report
from longtake.report.words import Words

FORMATS: Final = {"md": "text/markdown", "html": "text/html", "json": "application/json"}
"""Name → media type."""


def render(report: Report, form: str, language: str, zone: tzinfo | None = None) -> str:
    """The whole text of it.

    Args:
        form: One of `FORMATS`.
        language: One of `words.LANGUAGES`.
        zone: In which times are told; None: the machine's.
    """
    words = Words(language, zone)
    if form == "json":
        return _to_json(report, words)
    outline = to_outline(report, words)
    if form == "html":
        return to_html(outline, draw(report, words, zone), language)
    return to_markdown(outline)


def in_short(report: Report, language: str, zone: tzinfo | None = None) -> tuple[str, str]:
    """Title and text of a message: what to do, and the load."""
    outline = to_outline(report, Words(language, zone))
    text = to_markdown(replace(outline, sections=outline.sections[:2]))
    return f"longtake: {outline.title}", text.partition("\n\n")[2]  # without its title


def _to_json(report: Report, words: Words) -> str:
    """The record as it is; findings also in words."""
    fields = asdict(report)
    for advice, told in zip(report.advice, fields["advice"], strict=True):
        told |= {"found": words.found(advice), "remedy": words.remedy(advice)}
    return json.dumps(fields, ensure_ascii=False, indent=2)

"""Headings of the page."""

from __future__ import annotations

from longtake.studio.text import say


def title_html(language: str, key: str) -> str:
    return f'<h3 class="lt-heading">{say(language, key)}</h3>'

"""What GET /v1/alerts answers."""

from __future__ import annotations

from longtake.wire.fields import View


class AlertText(View):
    """What it is, and what to do."""

    summary: str
    advice: str


class AlertView(View):
    """An alert that is on. `value` is what the rule measures, `since` a Unix time."""

    name: str
    severity: str
    labels: dict[str, str]
    since: float
    value: float
    threshold: float
    en: AlertText
    zh: AlertText


class AlertList(View):
    """`channels`: how many places alerts are sent to."""

    object: str = "list"
    data: list[AlertView]
    channels: int

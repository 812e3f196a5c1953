"""What the log routes answer."""

from __future__ import annotations

from typing import Any

from longtake.wire.fields import View


class LogPage(View):
    """Lines of the log, the newest first, as they lie in the files.

    Attributes:
        cursor: Gives older lines; None when there are none.
        position: Behind the newest line that was there: where a stream goes on.
    """

    lines: list[dict[str, Any]]
    cursor: str | None
    position: str


class CrashView(View):
    """What is known of a process that did not end in good order: `supervise.crashes.Crash`."""

    id: str
    at: float
    process: str
    pid: int
    how: str
    version: str
    lived_seconds: float | None
    memory: str | None
    words: str
    lines: list[dict[str, Any]]
    figures: dict[str, Any] | None


class CrashList(View):
    crashes: list[CrashView]

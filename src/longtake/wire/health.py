"""What the health routes answer."""

from __future__ import annotations

from longtake.wire.fields import View


class Alive(View):
    status: str = "ok"


class EngineReadiness(View):
    """Whether an engine spoke just now: `milliseconds` to the finished audio, or the `reason` why not."""

    ready: bool
    milliseconds: int | None
    reason: str | None


class Readiness(View):
    ready: bool
    engines: dict[str, EngineReadiness]

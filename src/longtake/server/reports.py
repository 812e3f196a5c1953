"""GET /v1/report: a health report. One is made at a time, and told again to everybody for a minute."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from fastapi import APIRouter, Response

from longtake.report import FORMATS, Report, gather, parse_since, render
from longtake.server.backend import Backend, Context
from longtake.server.hop import Hop

KEPT_S = 60.0
KEPT = 8  # windows

Form = Literal["md", "html", "json"]
Language = Literal["en", "zh"]


class Kept:
    """Reports of the last minute. One thread at a time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._reports: OrderedDict[str, tuple[float, Report]] = OrderedDict()

    def render(self, since: str, form: Form, language: Language) -> str:
        """
        Raises:
            InputError: ``since`` is not understood.
        """
        return render(self._report(since), form, language)

    def _report(self, since: str) -> Report:
        clock = self._backend.clock
        made_s, report = self._reports.get(since, (float("-inf"), None))
        if report is None or clock.monotonic_s() - made_s >= KEPT_S:
            until_s = clock.wall_s()
            report = gather(self._backend.report, parse_since(since, until_s), until_s)
            self._reports[since] = clock.monotonic_s(), report
            self._reports.move_to_end(since)
            if len(self._reports) > KEPT:
                self._reports.popitem(last=False)
        return report


def routes(context: Context, in_reports: Hop) -> APIRouter:
    """
    Args:
        in_reports: Of one thread.
    """
    router = APIRouter(tags=["health"])
    kept = Kept(context.backend)

    @router.get("/v1/report", response_class=Response)
    async def report(since: str = "24h", format: Form = "html", lang: Language = "en") -> Response:  # noqa: A002
        """Load, speed, memory, heat, failures, and what to do about them."""
        text = await in_reports(kept.render, since, format, lang)
        return Response(text, media_type=FORMATS[format], headers={"Cache-Control": "no-store"})

    return router

"""GET /v1/alerts: what is wrong now."""

from __future__ import annotations

from fastapi import APIRouter, Response

from longtake.monitor.alerts import Alert, AlertDesk
from longtake.server.backend import Context
from longtake.wire.alerts import AlertList, AlertText, AlertView


def routes(context: Context, desk: AlertDesk) -> APIRouter:
    router = APIRouter(tags=["health"])
    clock = context.backend.clock

    @router.get("/v1/alerts")
    async def alerts(response: Response) -> AlertList:
        """The alerts that are on, the oldest first. They are judged every ten seconds."""
        response.headers["Cache-Control"] = "no-store"
        ago_s = clock.wall_s() - clock.monotonic_s()
        return AlertList(
            data=[_view(alert, ago_s + alert.since_s) for alert in desk.active],
            channels=len(context.backend.alerts.urls),
        )

    return router


def _view(alert: Alert, since: float) -> AlertView:
    rule = alert.rule
    return AlertView(
        name=rule.name,
        severity=rule.severity,
        labels=dict(alert.labels),
        since=since,
        value=alert.value,
        threshold=alert.threshold,
        en=AlertText(summary=rule.english[0], advice=rule.english[1]),
        zh=AlertText(summary=rule.chinese[0], advice=rule.chinese[1]),
    )

"""Is the process alive, can it speak, and what are its numbers: /healthz, /readyz, /metrics."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response

from longtake.server.backend import Context
from longtake.server.readiness import Prober
from longtake.wire.health import Alive, Readiness


def routes(context: Context, prober: Prober) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> Alive:
        """The process is alive and its loop turns."""
        return Alive()

    @router.get("/readyz", responses={503: {"model": Readiness}})
    async def readyz(response: Response) -> Readiness:
        """Every engine spoke a word within the last seconds; 503 and the reason when one did not."""
        readiness = await prober.readiness()
        response.status_code = 200 if readiness.ready else 503
        response.headers["Cache-Control"] = "no-store"
        return readiness

    @router.get("/metrics", response_class=Response)
    async def metrics(accept: Annotated[str, Header()] = "") -> Response:
        """Prometheus' text format, or OpenMetrics."""
        # In the loop itself: what costs time is written beforehand, and whoever watches waits for no thread's turn.
        page, content_type = context.metrics.render(accept)
        return Response(page, headers={"Content-Type": content_type})

    return router

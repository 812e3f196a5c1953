"""GET /v1/doctor: what the doctor finds while the server runs. One look at a time, told again for a minute."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import APIRouter

from longtake.core.clock import Clock
from longtake.core.errors import ConflictError
from longtake.server.backend import Context
from longtake.server.hop import Hop
from longtake.wire.doctor import DoctorView, Examined

KEPT_S = 60.0


class Kept:
    """What was found in the last minute. One thread at a time."""

    def __init__(self, examine: Callable[[], Sequence[Examined]], clock: Clock) -> None:
        self._examine = examine
        self._clock = clock
        self._found: tuple[float, DoctorView] | None = None

    def view(self) -> DoctorView:
        if self._found is None or self._clock.monotonic_s() - self._found[0] >= KEPT_S:
            at, checks = self._clock.wall_s(), list(self._examine())
            view = DoctorView(ok=all(check.ok for check in checks), at=at, checks=checks)
            self._found = self._clock.monotonic_s(), view
        return self._found[1]


def routes(context: Context, in_doctor: Hop) -> APIRouter:
    """
    Args:
        in_doctor: Of one thread.
    """
    router = APIRouter(tags=["health"])
    backend = context.backend
    kept = None if backend.examine is None else Kept(backend.examine, backend.clock)

    @router.get("/v1/doctor")
    async def doctor() -> DoctorView:
        """Machine, disk, port and job store; whether the engines speak is told by `/readyz`."""
        if kept is None:
            raise ConflictError("This server has no doctor; run `longtake doctor`.", code="no_doctor")
        return await in_doctor(kept.view)

    return router

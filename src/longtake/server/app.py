"""Builds the HTTP application from its parts. Each noun has its own module of routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from longtake import __version__
from longtake.config import ServerSettings
from longtake.monitor import Curves, Metrics, Watch
from longtake.monitor.alerts import AlertDesk
from longtake.monitor.alerts.send import Channels, Sender
from longtake.monitor.rollups import Rollups
from longtake.server import (
    admin,
    alerts,
    check,
    crashes,
    decode,
    doctor,
    health,
    job_audio,
    job_events,
    job_texts,
    jobs,
    listings,
    logs,
    monitor,
    recordings,
    reports,
    speech,
)
from longtake.server.backend import Backend, Context
from longtake.server.errors import LastResort, install_handlers
from longtake.server.gate import Gate
from longtake.server.hop import Hop
from longtake.server.log_tail import LogTail
from longtake.server.observe import Observe
from longtake.server.readiness import Prober
from longtake.server.transients import Transients
from longtake.server.watching import build_watch
from longtake.wire.jobs import ErrorBody

__all__ = ["Backend", "build_app"]


def build_app(backend: Backend, settings: ServerSettings, watch: Watch | None = None) -> FastAPI:
    """The whole API. Whoever runs it mounts the studio beside it and starts the workers.

    Args:
        watch: Of this backend, if someone else reads it, too; it is started and stopped here.
    """
    # Neither a search through the log, nor a report or the doctor, one of which is at work at a time, holds up others.
    in_store, in_logs = Hop(), Hop(2, "logs")
    in_reports, in_doctor = Hop(1, "reports"), Hop(1, "doctor")
    log_tail = LogTail(backend.folder.logs, in_logs)
    watch = watch or build_watch(backend)
    curves = Curves(Rollups(backend.folder.minutes), backend.clock, backend.machine.series)
    metrics = Metrics(watch, backend.clock)
    watch.on_sight(curves.add)
    sender = Sender(Channels([url.get_secret_value() for url in backend.alerts.urls]))
    desk = AlertDesk(
        watch.latest,
        sender.send,
        backend.folder.run,
        backend.clock,
        thresholds=backend.alerts.thresholds,
        language=backend.alerts.language,
        repeat_s=backend.alerts.repeat_hours * 3600,
    )
    context = Context(backend, settings, in_store, metrics)
    transients = Transients(backend, in_store)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for thread in (watch, sender, desk):
            thread.start()
        yield
        for thread in (desk, sender, watch):
            thread.stop()
        curves.close()
        if backend.mending is not None:
            backend.mending.close()
        await transients.finish()
        await log_tail.stop()
        in_doctor.close()
        in_reports.close()
        in_logs.close()
        in_store.close()

    app = FastAPI(
        title="longtake",
        version=__version__,
        lifespan=lifespan,
        redirect_slashes=False,  # a redirect loses the body of a POST in many clients: better a clear 404
        docs_url=None,  # the pages of both load their scripts from the internet
        redoc_url=None,
        # With a default FastAPI does not tell of its own 422, which is never sent.
        responses={400: {"model": ErrorBody}, "default": {"model": ErrorBody, "description": "Every other error"}},
    )
    app.include_router(speech.routes(context, transients))
    for noun in (jobs, job_events, job_audio, job_texts, check, decode, listings, recordings, admin, crashes):
        app.include_router(noun.routes(context))
    app.include_router(logs.routes(context, in_logs, log_tail))
    app.include_router(alerts.routes(context, desk))
    app.include_router(reports.routes(context, in_reports))
    app.include_router(doctor.routes(context, in_doctor))
    app.include_router(monitor.routes(context, backend.machine, watch, curves))
    app.include_router(health.routes(context, Prober(backend, in_store, transients)))
    install_handlers(app)
    # The last one that is added stands outermost.
    app.add_middleware(LastResort)
    app.add_middleware(Gate, settings=settings)
    app.add_middleware(Observe, metrics=metrics)
    return app

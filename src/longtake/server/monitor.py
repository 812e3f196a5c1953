"""GET /v1/monitor…: the machine, the workers and the engines now, as a stream, and over time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse

from longtake.core.errors import InputError, TransientError
from longtake.monitor import Curves, Machine, Watch
from longtake.monitor.curves import LONGEST_S, MAX_STEPS
from longtake.monitor.heat import HeatStatus
from longtake.monitor.machine import MachineReading
from longtake.monitor.probes.records import GpuReading, total
from longtake.monitor.series import Values
from longtake.monitor.totals import EngineFigures
from longtake.server.backend import Context
from longtake.server.live import LiveStream, Seats
from longtake.wire.monitor import (
    CardTotalsView,
    CardView,
    EngineFiguresView,
    GpusView,
    HeatView,
    HostView,
    SeriesList,
    SeriesView,
    Snapshot,
    WorkerView,
)

PERIOD_S = 1.0
MAX_READERS = 64
MAX_SERIES = 300


def routes(context: Context, machine: Machine, watch: Watch, curves: Curves) -> APIRouter:
    router = APIRouter(prefix="/v1/monitor", tags=["monitor"])
    seats = Seats(MAX_READERS, "the monitor")

    @router.get("")
    async def monitor() -> Snapshot:
        """What the last look has found, at most two seconds ago."""
        return _snapshot(context, machine, watch)

    @router.get("/stream", response_class=StreamingResponse)
    async def stream() -> Response:
        """Server-sent events: the snapshot, once a second."""
        return LiveStream(_events(context, machine, watch), seats)

    @router.get("/series")
    async def series(
        names: Annotated[str, Query(max_length=8000)] = "",
        seconds: Annotated[int, Query(ge=1, le=LONGEST_S)] = 300,
        steps: Annotated[int, Query(ge=1, le=MAX_STEPS)] = 300,
    ) -> SeriesList:
        """Figures over the last `seconds`, in at most `steps` steps; up to an hour by seconds, beyond that by minutes.

        `names` are separated by commas; words without a colon stand for all that begin so. Without any, the names.
        """
        # Not through the hop: thirty days take a moment, and nobody else is to wait for them.
        return await asyncio.to_thread(_series, curves, [name for name in names.split(",") if name], seconds, steps)

    return router


def _snapshot(context: Context, machine: Machine, watch: Watch) -> Snapshot:
    sight, reading, clock = watch.latest(), machine.latest, context.backend.clock
    if reading is None:
        raise TransientError("The machine has not been looked at yet. Ask again in a second.", retry_after_s=1.0)
    now_s = clock.monotonic_s()
    queue = sight.samples.get("longtake_queue_jobs", {}).get(())
    return Snapshot(
        at=clock.wall_s() - (now_s - reading.seen_s),
        age_seconds=round(now_s - min(reading.seen_s, sight.seen_s), 3),
        gpus=_gpus(reading.gpus, now_s),
        host=_host(reading),
        heat=_heat(reading.heat),
        workers=[
            WorkerView(
                engine=each.engine,
                state=each.state,
                pid=each.pid,
                reason=each.reason,
                restarts=each.restarts,
                steps=each.steps,
            )
            for each in context.backend.workers()
        ],
        engines={engine: _engine(figures) for engine, figures in sight.engines.items()},
        queue_jobs=None if queue is None else int(queue),
    )


def _gpus(reading: GpuReading, now_s: float) -> GpusView:
    cards = [
        CardView(**asdict(card) | {"throttles": None if card.throttles is None else sorted(card.throttles)})
        for card in reading.cards
    ]
    return GpusView(
        state=reading.state,
        reason=reading.reason,
        age_seconds=round(max(0.0, now_s - reading.at_s), 3),
        driver_version=reading.driver_version,
        cards=cards,
        total=CardTotalsView(**asdict(total(reading.cards))),
    )


def _host(reading: MachineReading) -> HostView:
    return HostView(**asdict(reading.host))


def _heat(status: HeatStatus) -> HeatView:
    heat, limits = status.heat, status.thresholds
    return HeatView(
        level=heat.level.name.lower(),
        card=heat.card,
        reason=heat.reason,
        since=status.since_s,
        actions=dict(status.actions),
        go_celsius=None if limits is None else limits.go_celsius,
        hold_celsius=None if limits is None else limits.hold_celsius,
        pause_celsius=None if limits is None else limits.pause_celsius,
    )


def _engine(figures: EngineFigures) -> EngineFiguresView:
    now = figures.now
    return EngineFiguresView(
        rtf=figures.rtf,
        speed=1 / figures.rtf if figures.rtf else None,
        batch_fill_ratio=figures.batch_fill,
        jobs=None if now is None else now.jobs,
        requests=None if now is None else now.active,
        held_bytes=None if now is None else now.held_bytes,
        limit_bytes=None if now is None else now.limit_bytes,
    )


async def _events(context: Context, machine: Machine, watch: Watch) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    while True:
        try:
            yield f"event: monitor\ndata: {_snapshot(context, machine, watch).model_dump_json()}\n\n".encode()
        except TransientError:
            yield b": not yet\n\n"
        await asyncio.sleep(PERIOD_S)


def _series(curves: Curves, asked: Sequence[str], seconds: int, steps: int) -> SeriesList:
    known = curves.names()
    wanted = [name for name in known if name in asked or name.partition(":")[0] in asked]
    if len(wanted) > MAX_SERIES:
        raise InputError(
            f"These are {len(wanted)} series; at most {MAX_SERIES} are given at once. Name fewer of them.",
            code="too_many_series",
            param="names",
        )
    window = curves.window(wanted, seconds=seconds, steps=steps)
    found = [
        SeriesView(name=name, min=_plain(band.low), mean=_plain(band.mean), max=_plain(band.high))
        for name, band in window.bands.items()
    ]
    return SeriesList(
        begins_at=round(window.from_s, 3),
        step_seconds=window.step_s,
        steps=window.steps,
        series=found,
        names=[] if asked else known,
    )


def _plain(values: Values) -> list[float | None]:
    """JSON knows no NaN; single precision has seven digits."""
    return [None if math.isnan(value) else float(f"{value:.7g}") for value in values.astype(np.float64)]

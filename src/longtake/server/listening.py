"""A listener to audio that is being spoken: its tail, counted as long as it is open, and the gaps it would hear."""

from __future__ import annotations

from collections.abc import Callable

from longtake.audio.formats import parse_format
from longtake.jobs.records import Job
from longtake.server.backend import Context
from longtake.server.playback import Playback
from longtake.server.tail import Tail


def listen(context: Context, job: Job) -> tuple[Tail, Callable[[], None]]:
    """The tail of a job's audio, and what closes it; closing it twice is closing it once."""
    backend, metrics = context.backend, context.metrics
    playback = Playback(parse_format(job.spec.response_format), backend.clock, metrics.observe_underrun)
    tail = Tail(backend.store, backend.folder, context.in_store, job.id, playback=playback)
    is_open = True
    metrics.listeners.inc()

    def close() -> None:
        nonlocal is_open
        tail.close()
        if is_open:
            metrics.listeners.dec()
        is_open = False

    return tail, close

"""What the server's watch looks at: store, data folder, workers, and what the host knows beside."""

from __future__ import annotations

from longtake import __version__
from longtake.cache import PassageCache
from longtake.monitor import Sources, Watch, WorkerFigures
from longtake.server.backend import Backend
from longtake.supervise import WorkerState


def build_watch(backend: Backend) -> Watch:
    """Looks at everything behind the routes; whoever starts the app starts it."""
    names = [engine.info.name for engine in backend.intake.engines]
    none_waits = dict.fromkeys(names, 0.0)

    def spoken_s() -> dict[str, float]:
        return {name: sum(s for _, s in backend.store.learned_paces(name).values()) for name in names}

    def workers() -> list[WorkerFigures]:
        return [
            WorkerFigures(
                each.engine,
                each.can_serve,
                each.restarts,
                each.steps,
                each.pid,
                each.worker_id,
                each.state is WorkerState.BROKEN,
            )
            for each in backend.workers()
        ]

    cache = PassageCache(backend.folder.cache)
    sources = Sources(
        version=__version__,
        jobs=backend.store.counts,
        queue=backend.store.queue_load,
        oldest_queued_s=lambda: none_waits | backend.store.oldest_queued_s(),
        stalled_s=lambda: none_waits | backend.store.stalled_s(),
        spoken_s=spoken_s,
        workers=workers,
        cache_counts=backend.store.cache_counts,
        cache_bytes=lambda: cache.usage().used_bytes,
        wal_bytes=backend.store.wal_bytes,
        disk=backend.folder.disk_bytes,
        stats_folder=backend.folder.run,
        clock=backend.clock,
        more=(backend.machine.samples,),
    )
    return Watch(sources)

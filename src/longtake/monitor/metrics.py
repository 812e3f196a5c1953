"""Everything that /metrics shows, in base units and without any text of users. Reads its sources when it is scraped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Up to the first byte of the answer: a few milliseconds for most routes, seconds where the first audio is waited for.
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table of metrics.

    Attributes:
        name: As Prometheus shows it; a histogram also has ``_bucket``, ``_sum`` and ``_count``.
        kind: ``gauge``, ``counter`` or ``histogram``.
        labels: Names of its labels; their values come from closed sets (engines, states, routes), never from users.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("longtake_build_info", "gauge", ("version",), "Always 1; the version is in the label."),
        Metric("longtake_jobs", "gauge", ("engine", "state"), "Jobs in the job store."),
        Metric("longtake_queue_jobs", "gauge", (), "Jobs accepted and not ended."),
        Metric("longtake_queue_audio_seconds", "gauge", (), "Estimated audio accepted and not yet spoken."),
        Metric(
            "longtake_spoken_audio_seconds_total",
            "counter",
            ("engine",),
            "Audio of finished jobs, counted at speed 1; passages in several languages are left out.",
        ),
        Metric("longtake_worker_up", "gauge", ("engine",), "1 when the worker has its engine loaded and works."),
        Metric(
            "longtake_worker_restarts_total", "counter", ("engine",), "Restarts since the supervisor of it started."
        ),
        Metric("longtake_worker_steps_total", "counter", ("engine",), "Steps of the engine; restarts set it back."),
        Metric(
            "longtake_cache_hits_total", "counter", ("engine",), "Passages that were found in the passage cache, ever."
        ),
        Metric(
            "longtake_cache_misses_total",
            "counter",
            ("engine",),
            "Passages that could have been in the passage cache and were spoken, ever.",
        ),
        Metric("longtake_cache_hit_ratio", "gauge", ("engine",), "Hits over hits and misses, ever."),
        Metric("longtake_cache_bytes", "gauge", (), "Size of the passage cache, of all engines."),
        Metric("longtake_http_requests_total", "counter", ("method", "route", "status"), "Requests answered."),
        Metric(
            "longtake_http_request_duration_seconds",
            "histogram",
            ("method", "route"),
            "Time to the first byte of the answer.",
        ),
        Metric("longtake_store_wal_bytes", "gauge", (), "Size of the job store's write-ahead log."),
        Metric("longtake_disk_free_bytes", "gauge", (), "Free space where the data folder lies."),
        Metric("longtake_process_resident_bytes", "gauge", ("process", "engine"), "Memory of a process of longtake."),
    )
}
"""Name → metric, all there are. docs/api.md shows this table."""

_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """One worker in numbers. `pid` is None while no process lives."""

    engine: str
    is_up: bool
    restarts: int
    steps: int
    pid: int | None


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers come from. Every callable is called from the thread that scrapes, and must be safe there.

    Attributes:
        jobs: (engine, state) → number of jobs.
        queue: Jobs not ended, and seconds of audio not yet spoken.
        spoken_s: Engine → seconds of audio spoken, ever.
        cache_counts: Engine → passages found in the cache and not found there, ever.
    """

    version: str
    jobs: Callable[[], Mapping[tuple[str, str], int]]
    queue: Callable[[], tuple[int, float]]
    spoken_s: Callable[[], Mapping[str, float]]
    workers: Callable[[], Sequence[WorkerFigures]]
    cache_counts: Callable[[], Mapping[str, tuple[int, int]]]
    cache_bytes: Callable[[], int]
    wal_bytes: Callable[[], int]
    disk_free_bytes: Callable[[], int]


class Metrics:
    """The registry of one server: two of them in one process do not meet. Safe from any thread."""

    def __init__(self, sources: Sources) -> None:
        self._registry = CollectorRegistry()
        requests = METRICS["longtake_http_requests_total"]
        duration = METRICS["longtake_http_request_duration_seconds"]
        self._requests = Counter(requests.name, requests.help, requests.labels, registry=self._registry)
        self._duration = Histogram(
            duration.name, duration.help, duration.labels, buckets=_BUCKETS_S, registry=self._registry
        )
        self._registry.register(_Scraped(sources))

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request.

        Args:
            route: The route's template, never the path that was asked for.
            seconds: Until the first byte of the answer.
        """
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, f"{status // 100}xx").inc()
        self._duration.labels(method, route).observe(seconds)

    def render(self) -> bytes:
        """The page that Prometheus reads; asks every source, so it takes as long as they do."""
        return generate_latest(self._registry)


class _Scraped(Collector):
    """What is not counted here but read from its owner at every scrape."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def describe(self) -> Iterator[Family]:
        """Nothing: otherwise registering would already ask every source."""
        return iter(())

    def collect(self) -> Iterator[Family]:
        sources = self._sources
        workers = sources.workers()
        queue_jobs, queue_s = sources.queue()
        yield _family("longtake_build_info", {(sources.version,): 1})
        yield _family("longtake_jobs", sources.jobs())
        yield _family("longtake_queue_jobs", {(): queue_jobs})
        yield _family("longtake_queue_audio_seconds", {(): queue_s})
        yield _family("longtake_spoken_audio_seconds_total", {(name,): s for name, s in sources.spoken_s().items()})
        yield _family("longtake_worker_up", {(each.engine,): int(each.is_up) for each in workers})
        yield _family("longtake_worker_restarts_total", {(each.engine,): each.restarts for each in workers})
        yield _family("longtake_worker_steps_total", {(each.engine,): each.steps for each in workers})
        counts = sources.cache_counts()
        yield _family("longtake_cache_hits_total", {(name,): hits for name, (hits, _) in counts.items()})
        yield _family("longtake_cache_misses_total", {(name,): misses for name, (_, misses) in counts.items()})
        yield _family(
            "longtake_cache_hit_ratio",
            {(name,): hits / (hits + misses) for name, (hits, misses) in counts.items() if hits + misses},
        )
        yield _family("longtake_cache_bytes", {(): sources.cache_bytes()})
        yield _family("longtake_store_wal_bytes", {(): sources.wal_bytes()})
        yield _family("longtake_disk_free_bytes", {(): sources.disk_free_bytes()})
        yield _family("longtake_process_resident_bytes", _resident(workers))


def _family(name: str, values: Mapping[Any, float]) -> Family:
    """A family with its values by their labels, a tuple as long as the metric has labels."""
    metric = METRICS[name]
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _resident(workers: Sequence[WorkerFigures]) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {("web", ""): psutil.Process(os.getpid()).memory_info().rss}
    for worker in workers:
        if worker.pid is not None:
            try:
                found["worker", worker.engine] = psutil.Process(worker.pid).memory_info().rss
            except psutil.Error:  # it has just died: the next scrape knows
                continue
    return found

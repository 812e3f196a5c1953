"""The page that Prometheus reads: what was seen at the last look, and what is counted here. Asks no source itself.

A page changes once a second and takes some milliseconds to write. The thread that looks writes it, in the formats that
were asked for lately, so that who asks waits for neither; only its age is written for him.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from longtake.core.clock import Clock
from longtake.core.stats import WAIT_BOUNDS_S, Spread
from longtake.monitor.catalogue import METRICS
from longtake.monitor.watch import Sight

# Up to the first byte of the answer: a few milliseconds for most routes, seconds where the first audio is waited for.
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})
# Kept ready. There is a format of its own for each version that somebody invents in his `Accept`.
_MOST_FORMATS = 4


@dataclass(frozen=True, slots=True)
class _Format:
    encode: Callable[[CollectorRegistry], bytes]
    sight: Sight | None = None
    page: bytes = b""
    """Of the sight, without its age."""


class Metrics:
    """The registry of one server: two of them in one process do not meet. Safe from any thread."""

    def __init__(self, latest: Callable[[], Sight], clock: Clock) -> None:
        """
        Args:
            latest: The newest sight, at once.
        """
        self._counted = CollectorRegistry()
        self._requests = self._counter("longtake_http_requests_total")
        self._underruns = self._counter("longtake_listener_underruns_total")
        self._underrun_s = self._counter("longtake_listener_underrun_seconds_total")
        listeners = METRICS["longtake_listeners"]
        self.listeners = Gauge(listeners.name, listeners.help, registry=self._counted)
        duration = METRICS["longtake_http_request_duration_seconds"]
        self._duration = Histogram(
            duration.name, duration.help, duration.labels, buckets=_BUCKETS_S, registry=self._counted
        )
        self._aging = CollectorRegistry()
        age = METRICS["longtake_monitor_age_seconds"]
        Gauge(age.name, age.help, registry=self._aging).set_function(
            lambda: max(0.0, clock.monotonic_s() - latest().seen_s)
        )
        self._latest = latest
        # One writes at a time: a page with older counts in the place of a newer one would look like a restart.
        self._writing = threading.Lock()
        self._formats: dict[str, _Format] = {}  # by their Content-Type, the one that was asked for last at the end

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request.

        Args:
            route: The route's template, never the path that was asked for.
            seconds: Until the first byte of the answer.
        """
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, f"{status // 100}xx").inc()
        self._duration.labels(method, route).observe(seconds)

    def observe_underrun(self, seconds: float) -> None:
        """A listener would have heard a gap that long."""
        self._underruns.inc()
        self._underrun_s.inc(seconds)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page, and its Content-Type: OpenMetrics for those who ask for it, else Prometheus' text format.

        Args:
            accept: The header of the request.
        """
        try:
            encode, content_type = choose_encoder(accept)
        except TypeError:  # it compares a version that is no number with one that is
            encode, content_type = choose_encoder("")
        sight = self._latest()
        with self._writing:
            format_ = self._formats.pop(content_type, _Format(encode))
            if format_.sight is not sight:
                format_ = self._written(format_, sight)
            self._formats[content_type] = format_
            if len(self._formats) > _MOST_FORMATS:
                del self._formats[next(iter(self._formats))]
        return format_.page + encode(self._aging), content_type

    def prepare(self, sight: Sight) -> None:
        """Write the page in every format that somebody reads, before he asks again. For the watch."""
        with self._writing:
            for content_type, format_ in self._formats.items():
                self._formats[content_type] = self._written(format_, sight)

    def _written(self, format_: _Format, sight: Sight) -> _Format:
        registry = CollectorRegistry()
        registry.register(_Page(sight, self._counted))
        page = format_.encode(registry).removesuffix(b"# EOF\n")  # its age follows
        return _Format(format_.encode, sight, page)

    def _counter(self, name: str) -> Counter:
        metric = METRICS[name]
        return Counter(metric.name, metric.help, metric.labels, registry=self._counted)


class _Page(Collector):
    """What was seen, and what is counted here."""

    def __init__(self, sight: Sight, counted: CollectorRegistry) -> None:
        self._sight = sight
        self._counted = counted

    def describe(self) -> Iterator[Family]:
        """Nothing: otherwise registering would already look."""
        return iter(())

    def collect(self) -> Iterator[Family]:
        for name, values in self._sight.samples.items():
            yield _family(name, values)
        for name, spreads in self._sight.spreads.items():
            yield _histogram(name, spreads)
        yield from self._counted.collect()


def _family(name: str, values: Mapping[tuple[str, ...], float]) -> Family:
    """A family with its values by their labels, a tuple as long as the metric has labels."""
    metric = METRICS[name]
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _histogram(name: str, spreads: Mapping[tuple[str, ...], Spread]) -> Family:
    metric = METRICS[name]
    family = HistogramMetricFamily(name, metric.help, labels=metric.labels)
    for labels, spread in spreads.items():
        buckets, count = [], 0
        for bound, here in zip((*map(str, WAIT_BOUNDS_S), "+Inf"), spread.counts, strict=True):
            count += here
            buckets.append((bound, count))
        family.add_metric(labels, buckets, spread.sum_s)
    return family

"""The page that Prometheus reads: what was seen at the last look, and what is counted here. Asks no source itself.

A page changes once a second and takes some milliseconds to write. The thread that looks writes it, in the formats that
were asked for lately, so that who asks waits for neither; only its age is written for him.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from longtake.core.clock import Clock
from longtake.core.stats import WAIT_BOUNDS_S, Spread
from longtake.monitor.catalogue import METRICS
from longtake.monitor.watch import Sight, Watch

# Up to the first byte of the answer: a few milliseconds for most routes, seconds where the first audio is waited for.
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})
# Kept ready. There is a format of its own for each version that somebody invents in his `Accept`.
_MOST_FORMATS = 4


@dataclass(frozen=True, slots=True)
class _Page:
    """Of a sight, in one format; without its age."""

    encode: Callable[[CollectorRegistry], bytes]
    sight: Sight
    text: bytes


class Metrics:
    """The registry of one server: two of them in one process do not meet. Safe from any thread."""

    def __init__(self, watch: Watch, clock: Clock) -> None:
        """
        Args:
            watch: Not started yet: it is listened to.
        """
        self._watch = watch
        self._clock = clock
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
        self._lock = threading.Lock()  # never held while a page is written: the event loop would wait for a thread
        self._pages: dict[str, _Page] = {}  # by their Content-Type, the one that was asked for last at the end
        watch.on_sight(self._write_anew)

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
        sight = self._watch.latest()
        page = self._page(content_type)
        if page is None:  # only who asks for a format first waits for its page
            page = self._write(encode, sight)
            with self._lock:
                page = self._pages.setdefault(content_type, page)
                if len(self._pages) > _MOST_FORMATS:
                    del self._pages[next(iter(self._pages))]
        age_s = max(0.0, self._clock.monotonic_s() - page.sight.seen_s)
        return page.text + _encoded(page.encode, [_family("longtake_monitor_age_seconds", {(): age_s})]), content_type

    def _page(self, content_type: str) -> _Page | None:
        with self._lock:
            page = self._pages.pop(content_type, None)
            if page is not None:
                self._pages[content_type] = page
            return page

    def _write_anew(self, sight: Sight) -> None:
        """Every page that somebody reads, before he asks again."""
        with self._lock:
            pages = dict(self._pages)
        for content_type, page in pages.items():
            written = self._write(page.encode, sight)
            with self._lock:
                # Another one is younger than this one: a count that went back would look like a restart.
                if self._pages.get(content_type) is page:
                    self._pages[content_type] = written

    def _write(self, encode: Callable[[CollectorRegistry], bytes], sight: Sight) -> _Page:
        text = _encoded(encode, [*_seen(sight), *self._counted.collect()])
        return _Page(encode, sight, text.removesuffix(b"# EOF\n"))  # its age follows

    def _counter(self, name: str) -> Counter:
        metric = METRICS[name]
        return Counter(metric.name, metric.help, metric.labels, registry=self._counted)


class _Families(Collector):
    """As a registry wants them."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def describe(self) -> Iterator[Family]:
        """Nothing: one page has no other collector to meet."""
        return iter(())

    def collect(self) -> Sequence[Family]:
        return self._families


def _encoded(encode: Callable[[CollectorRegistry], bytes], families: Sequence[Family]) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Families(families))
    return encode(registry)


def _seen(sight: Sight) -> Iterator[Family]:
    for name, values in sight.samples.items():
        yield _family(name, values)
    for name, spreads in sight.spreads.items():
        yield _histogram(name, spreads)


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

from __future__ import annotations

import os
import re

import pytest

from longtake.monitor import METRICS, Metrics, Sources, WorkerFigures

asked: list[str] = []


def sources() -> Sources:
    def workers() -> list[WorkerFigures]:
        asked.append("workers")
        return [
            WorkerFigures("espeak", True, 3, 41, os.getpid()),
            WorkerFigures("vibevoice", False, 0, 0, None),
            WorkerFigures("gone", False, 0, 0, 2**22 - 1),
        ]

    return Sources(
        version="9.9",
        jobs=lambda: {("espeak", "done"): 4},
        queue=lambda: (2, 61.5),
        spoken_s=lambda: {"espeak": 12.5},
        workers=workers,
        cache_counts=lambda: {"espeak": (3, 1), "vibevoice": (0, 0)},
        cache_bytes=lambda: 4096,
        wal_bytes=lambda: 1024,
        disk_free_bytes=lambda: 2048,
    )


@pytest.fixture
def metrics() -> Metrics:
    asked.clear()
    return Metrics(sources())


def test_table_and_page_are_the_same(metrics: Metrics) -> None:
    metrics.observe_request("GET", "/healthz", 200, 0.002)
    page = metrics.render().decode()

    shown = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))
    shown = {name: kind for name, kind in shown.items() if not name.endswith("_created")}
    assert shown == {name: metric.kind for name, metric in METRICS.items()}
    for name, metric in METRICS.items():
        assert f"# HELP {name} {metric.help}" in page
        for found in re.findall(rf"^{name}(?:_count)?{{(.*?)}} ", page, re.MULTILINE):
            assert set(re.findall(r'(\w+)="', found)) == set(metric.labels), name


def test_names_keep_to_the_rules() -> None:
    for name, metric in METRICS.items():
        assert re.fullmatch(r"longtake_[a-z_]+", name)
        assert name.endswith("_total") == (metric.kind == "counter")
        assert not re.search(r"_(ms|milliseconds|minutes|kib|mib|mb|percent)(_|$)", name)
        assert metric.help.endswith(".")


def test_values(metrics: Metrics) -> None:
    page = metrics.render().decode()

    for line in (
        'longtake_build_info{version="9.9"} 1.0',
        'longtake_jobs{engine="espeak",state="done"} 4.0',
        "longtake_queue_jobs 2.0",
        "longtake_queue_audio_seconds 61.5",
        'longtake_spoken_audio_seconds_total{engine="espeak"} 12.5',
        'longtake_worker_up{engine="espeak"} 1.0',
        'longtake_worker_up{engine="vibevoice"} 0.0',
        'longtake_worker_restarts_total{engine="espeak"} 3.0',
        'longtake_worker_steps_total{engine="espeak"} 41.0',
        'longtake_cache_hits_total{engine="espeak"} 3.0',
        'longtake_cache_misses_total{engine="espeak"} 1.0',
        'longtake_cache_misses_total{engine="vibevoice"} 0.0',
        'longtake_cache_hit_ratio{engine="espeak"} 0.75',
        "longtake_cache_bytes 4096.0",
        "longtake_store_wal_bytes 1024.0",
        "longtake_disk_free_bytes 2048.0",
    ):
        assert line in page.splitlines()
    assert 'longtake_cache_hit_ratio{engine="vibevoice"}' not in page, "nothing of nothing is no ratio"


def test_memory_of_living_processes_only(metrics: Metrics) -> None:
    found = re.findall(r'resident_bytes{engine="(\w*)",process="(\w+)"} (\S+)', metrics.render().decode())

    assert {(process, engine) for engine, process, _ in found} == {("web", ""), ("worker", "espeak")}
    assert all(float(value) > 1e6 for _, _, value in found)


def test_requests_by_class_of_status(metrics: Metrics) -> None:
    for status in (200, 202, 404):
        metrics.observe_request("POST", "/v1/audio/jobs", status, 0.3)
    page = metrics.render().decode()

    assert 'longtake_http_requests_total{method="POST",route="/v1/audio/jobs",status="2xx"} 2.0' in page
    assert 'longtake_http_request_duration_seconds_count{method="POST",route="/v1/audio/jobs"} 3.0' in page
    assert 'le="0.25",method="POST",route="/v1/audio/jobs"} 0.0' in page


def test_sources_are_asked_when_it_is_read_and_not_before(metrics: Metrics) -> None:
    assert asked == []
    metrics.render()
    metrics.render()
    assert asked == ["workers", "workers"]

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from longtake.core.stats import Counts
from longtake.monitor import METRICS, Metrics, Watch
from longtake.monitor import metrics as page_module
from longtake.monitor.heat import Heat, HeatLevel, HeatStatus
from longtake.monitor.readings import of_gpus, of_heat, of_host
from longtake.monitor.watch import Sight
from tests.support.clock import HandClock
from tests.unit.monitor.sources import sources, tell
from tests.unit.monitor.test_readings import GPUS, HOST

HEAT = HeatStatus(Heat(HeatLevel.HOLD, 0, "hot"), 1.0, {"hold": 1})
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def metrics(tmp_path: Path, clock: HandClock) -> Metrics:
    """Of an engine that has everything, on a machine that has everything."""
    folder = tmp_path / "run"
    watch = Watch(sources(folder, clock, more=(lambda: of_gpus(GPUS), lambda: of_host(HOST), lambda: of_heat(HEAT))))
    tell(folder, clock, counts=Counts())
    watch.look()
    clock.sleep(5)
    tell(folder, clock)
    metrics = Metrics(watch, clock)
    metrics.observe_request("GET", "/healthz", 200, 0.002)
    return metrics


def page_of(metrics: Metrics) -> str:
    return metrics.render()[0].decode()


def test_table_and_page_are_the_same(metrics: Metrics) -> None:
    page = page_of(metrics)

    shown = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))
    shown = {name: kind for name, kind in shown.items() if not name.endswith("_created")}
    assert shown == {name: metric.kind for name, metric in METRICS.items()}
    for name, metric in METRICS.items():
        assert f"# HELP {name} {metric.help}" in page
        found = re.findall(rf"^{name}(?:_count)?(?:{{(.*?)}})? ", page, re.MULTILINE)
        assert found, f"{name} has no sample, so nothing is tested"
        for labels in found:
            assert set(re.findall(r'(\w+)="', labels)) == set(metric.labels), name


def test_names_keep_to_the_rules() -> None:
    for name, metric in METRICS.items():
        assert re.fullmatch(r"longtake_[a-z_]+", name)
        assert name.endswith("_total") == (metric.kind == "counter")
        assert not re.search(r"_(ms|milliseconds|minutes|kib|mib|mb|percent)(_|$)", name)
        assert metric.help.endswith(".")


def test_values(metrics: Metrics) -> None:
    page = page_of(metrics)

    for line in (
        'longtake_build_info{version="9.9"} 1.0',
        'longtake_jobs{engine="espeak",state="done"} 4.0',
        "longtake_queue_jobs 2.0",
        "longtake_queue_audio_seconds 61.5",
        'longtake_queue_oldest_seconds{engine="espeak"} 33.0',
        'longtake_spoken_audio_seconds_total{engine="espeak"} 12.5',
        'longtake_worker_up{engine="espeak"} 1.0',
        'longtake_worker_up{engine="vibevoice"} 0.0',
        'longtake_worker_broken{engine="vibevoice"} 1.0',
        'longtake_worker_restarts_total{engine="espeak"} 3.0',
        'longtake_worker_steps_total{engine="espeak"} 41.0',
        'longtake_cache_hits_total{engine="espeak"} 3.0',
        'longtake_cache_misses_total{engine="espeak"} 1.0',
        'longtake_cache_misses_total{engine="vibevoice"} 0.0',
        'longtake_cache_hit_ratio{engine="espeak"} 0.75',
        "longtake_cache_bytes 4096.0",
        "longtake_store_wal_bytes 1024.0",
        "longtake_disk_free_bytes 2048.0",
        "longtake_disk_size_bytes 8192.0",
        'longtake_engine_rtf_ratio{engine="espeak"} 0.1',
        'longtake_engine_speed_ratio{engine="espeak"} 10.0',
        'longtake_engine_batch_fill_ratio{engine="espeak"} 0.1875',
        'longtake_engine_part_seconds_total{engine="espeak",part="codec"} 0.25',
        'longtake_engine_frames_total{engine="espeak"} 150.0',
        'longtake_pool_held_bytes{engine="espeak"} 10.0',
        'longtake_write_failures_total{engine="espeak"} 5.0',
        'longtake_first_audio_seconds_bucket{engine="espeak",kind="job",le="0.1"} 0.0',
        'longtake_first_audio_seconds_bucket{engine="espeak",kind="job",le="0.25"} 1.0',
        'longtake_first_audio_seconds_bucket{engine="espeak",kind="job",le="+Inf"} 2.0',
        'longtake_first_audio_seconds_sum{engine="espeak",kind="job"} 700.2',
        'longtake_gpu_power_watts{gpu="0"} 250.0',
        "longtake_host_memory_available_bytes 400.0",
    ):
        assert line in page.splitlines()
    assert 'longtake_cache_hit_ratio{engine="vibevoice"}' not in page, "nothing of nothing is no ratio"


def test_memory_of_living_processes_only(metrics: Metrics) -> None:
    found = re.findall(r'resident_bytes{engine="(\w*)",process="(\w+)"} (\S+)', page_of(metrics))

    assert {(process, engine) for engine, process, _ in found} == {("web", ""), ("worker", "espeak")}
    assert all(float(value) > 1e6 for _, _, value in found)


def test_requests_by_class_of_status(metrics: Metrics) -> None:
    for status in (200, 202, 404):
        metrics.observe_request("POST", "/v1/audio/jobs", status, 0.3)
    page = page_of(metrics)

    assert 'longtake_http_requests_total{method="POST",route="/v1/audio/jobs",status="2xx"} 2.0' in page
    assert 'longtake_http_request_duration_seconds_count{method="POST",route="/v1/audio/jobs"} 3.0' in page
    assert 'le="0.25",method="POST",route="/v1/audio/jobs"} 0.0' in page


def test_underruns(metrics: Metrics) -> None:
    metrics.observe_underrun(0.5)
    metrics.observe_underrun(1.5)
    page = page_of(metrics)
    assert "longtake_listener_underruns_total 2.0" in page
    assert "longtake_listener_underrun_seconds_total 2.0" in page


def test_openmetrics_for_those_who_ask(metrics: Metrics) -> None:
    page, kind = metrics.render(OPENMETRICS)
    assert kind.startswith("application/openmetrics-text")
    assert page.endswith(b"# EOF\n")
    families = {family.name for family in text_string_to_metric_families(page.decode())}  # type: ignore[no-untyped-call]
    assert families == {name.removesuffix("_total") for name in METRICS}
    assert metrics.render("*/*")[1].startswith("text/plain")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing(metrics: Metrics) -> None:
    lines = [line for line in page_of(metrics).splitlines() if "_created" not in line]
    found = subprocess.run(
        ["promtool", "check", "metrics"], input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=30
    )
    assert (found.returncode, found.stderr, found.stdout) == (0, "", "")


def test_the_age_of_what_is_shown(tmp_path: Path, clock: HandClock) -> None:
    watch = Watch(sources(tmp_path, clock))
    metrics = Metrics(watch, clock)
    watch._thread = threading.current_thread()  # as if it looked by itself
    watch.look()
    metrics.render()
    clock.sleep(1.5)
    assert "longtake_monitor_age_seconds 1.5" in page_of(metrics)
    watch.look()
    assert "longtake_monitor_age_seconds 0.0" in page_of(metrics)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Sight]:
    """What pages were written of, one after the other."""
    found: list[Sight] = []
    see = page_module._seen

    def noted(sight: Sight) -> Iterator[Family]:
        found.append(sight)
        return see(sight)

    monkeypatch.setattr(page_module, "_seen", noted)
    return found


def test_what_was_seen_is_written_before_anybody_asks(tmp_path: Path, clock: HandClock, written: list[Sight]) -> None:
    """In the formats asked for: a page that is asked for again writes nothing of it."""
    tell(tmp_path, clock, counts=Counts())
    watch = Watch(sources(tmp_path, clock))
    watch._thread = threading.current_thread()  # as if it looked by itself
    metrics = Metrics(watch, clock)
    watch.look()
    assert not written, "nobody reads"
    for accept in ("", OPENMETRICS):
        metrics.render(accept)

    tell(tmp_path, clock, counts=Counts(steps=7))
    clock.sleep(3)
    written.clear()
    watch.look()
    assert len(written) == 2
    for accept in ("", OPENMETRICS):
        assert 'longtake_engine_steps_total{engine="espeak"} 7.0' in metrics.render(accept)[0].decode()
    assert len(written) == 2


def test_whoever_invents_formats_fills_no_memory(tmp_path: Path, clock: HandClock, written: list[Sight]) -> None:
    """Each look writes a few of them: those that were asked for last."""
    watch = Watch(sources(tmp_path, clock))
    watch._thread = threading.current_thread()
    metrics = Metrics(watch, clock)
    watch.look()
    for number in range(50):
        metrics.render(f"application/openmetrics-text; version=1.0.{number}")
        metrics.render(OPENMETRICS)
    written.clear()
    watch.look()
    assert len(written) == page_module._MOST_FORMATS
    metrics.render(OPENMETRICS)
    assert len(written) == page_module._MOST_FORMATS, "whoever asks again and again is not put off by others"


@pytest.mark.parametrize("version", ["x", "1.x", ""])
def test_a_version_that_is_none_is_answered(metrics: Metrics, version: str) -> None:
    page, _ = metrics.render(f"application/openmetrics-text; version={version}, text/plain; version={version}")
    assert b"longtake_build_info" in page


def requests(metrics: Metrics) -> float:
    return float(re.findall(r"^longtake_http_requests_total{.*} (\S+)$", page_of(metrics), re.MULTILINE)[0])


def test_who_asks_does_not_wait_for_the_thread_that_writes(
    tmp_path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He gets the page before; and a count that he was told never goes back: Prometheus would see a restart."""
    tell(tmp_path, clock, counts=Counts())
    watch = Watch(sources(tmp_path, clock))
    watch._thread = threading.current_thread()
    metrics = Metrics(watch, clock)
    watch.look()
    metrics.observe_request("GET", "/healthz", 200, 0.002)
    assert requests(metrics) == 1
    encode, has_counted, may_go_on = page_module._encoded, threading.Event(), threading.Event()

    def slow(encoder: Callable[[CollectorRegistry], bytes], families: Sequence[Family]) -> bytes:
        if threading.current_thread() is looking:
            has_counted.set()
            assert may_go_on.wait(10)
        return encode(encoder, families)

    monkeypatch.setattr(page_module, "_encoded", slow)
    looking = threading.Thread(target=watch.look)
    looking.start()
    assert has_counted.wait(10)
    metrics.observe_request("GET", "/healthz", 200, 0.002)
    assert requests(metrics) == 1
    # Meanwhile others push his format out, and he asks for it anew.
    for number in range(page_module._MOST_FORMATS):
        metrics.render(f"application/openmetrics-text; version=1.0.{number}")
    metrics.observe_request("GET", "/healthz", 200, 0.002)
    assert requests(metrics) == 3
    may_go_on.set()
    looking.join()
    assert requests(metrics) == 3
    watch.look()
    assert requests(metrics) == 3

"""A real Prometheus scrapes a running server: every query of every dashboard has data, and /metrics is quick."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.docs.markdown import ROOT
from tests.docs.test_deploy import DASHBOARDS, expressions
from tests.support.nvml.script import card
from tests.support.prometheus import Prometheus, needs_prometheus, scraping
from tests.support.recordings import voice, write_file
from tests.support.served import LONGTAKE, Served

SHADOW = ROOT / "tests/support/nvml/shadow"
MODEL = ["--engine", "espeak", "--engine", "vibevoice", "--model", "random:tiny", "--device", "cpu", "--dtype", "fp32"]
TEXT = "Alice: Good evening, everyone, and welcome.\nBob: Thank you. It is good to be here, after all.\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """espeak and VibeVoice, on a machine that seems to have two cards."""
    pytest.importorskip("torch")
    root = tmp_path_factory.mktemp("served")
    script = root / "nvml.json"
    script.write_text(json.dumps({"cards": [card(0, fan=30), card(1, throttles=0x40, temperature=70)]}))
    recording = write_file(root / "v1.wav", voice(3.0))
    subprocess.run(
        [LONGTAKE, "voices", "add", str(recording), "--data", str(root / "data")], check=True, capture_output=True
    )
    paths = os.pathsep.join(filter(None, [str(SHADOW), os.environ.get("PYTHONPATH", "")]))
    with Served(root / "data", *MODEL, PYTHONPATH=paths, SCRIPTED_NVML=str(script), OMP_NUM_THREADS="1") as served:
        yield served


def submit(served: Served, model: str, script: str = TEXT, **options: object) -> str:
    body = {"model": model, "script": script, "response_format": "wav", **options}
    answer = served.http.post("/v1/audio/jobs", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def keep_busy(served: Served, stop: threading.Event) -> None:
    """Jobs of both engines, some of the same text, and a listener to each."""
    with httpx.Client(base_url=served.url, timeout=60.0) as http:
        number = 0
        while not stop.is_set():
            number += 1
            submit(served, "vibevoice", "Speaker 1: This is a line of its own.", settings={"steps": 2})
            job_id = submit(served, "espeak", TEXT + f"Bob: And this is number {number}.\n")
            with http.stream("GET", f"/v1/audio/jobs/{job_id}/audio") as audio:
                for _ in audio.iter_raw():
                    pass
            stop.wait(0.5)


@needs_prometheus
@pytest.mark.timeout(300)
def test_every_query_of_every_dashboard_has_data(served: Served, tmp_path: Path) -> None:
    queries = {each.replace("$__rate_interval", "10s") for path in DASHBOARDS for each in expressions(path)}
    target = served.url.removeprefix("http://")
    stop = threading.Event()
    with scraping(tmp_path, target, ROOT / "deploy/prometheus/rules.yml") as prometheus:
        work = threading.Thread(target=keep_busy, args=(served, stop))
        work.start()
        try:
            missing = _without_data(prometheus, queries)
        finally:
            stop.set()
            work.join(60)
        assert not missing
        (scraped,) = prometheus.get("targets")["activeTargets"]
        assert (scraped["health"], scraped["lastError"]) == ("up", "")
        rules = prometheus.get("rules")["groups"][0]["rules"]
        assert {rule["health"] for rule in rules} == {"ok"}
        told = {each["labels"]["alertname"] for each in prometheus.get("alerts")["alerts"]}
        assert "LongtakeThermalThrottling" in told, "the second card is throttled, and Prometheus has seen it"


def _without_data(prometheus: Prometheus, queries: set[str]) -> set[str]:
    missing = set(queries)
    deadline_s = time.monotonic() + 120
    while missing and time.monotonic() < deadline_s:
        time.sleep(2.0)
        missing = {each for each in missing if not prometheus.points(each)}
    return missing


@pytest.mark.timeout(300)
def test_metrics_are_quick_and_young_under_a_full_queue_and_busy_workers(served: Served) -> None:
    """The 99th percentile of a thousand answers, while both workers speak, and jobs wait."""
    others = os.getloadavg()[0] / (os.cpu_count() or 1)
    jobs = [submit(served, "vibevoice", "Speaker 1: " + "A rather long line. " * 400) for _ in range(4)]
    jobs += [
        submit(served, "espeak", "A sentence of some length, to be spoken. " * 60, response_format="mp3")
        for _ in range(300)
    ]
    seconds, ages = [], []
    with httpx.Client(base_url=served.url) as http:
        for _ in range(1000):
            began_s = time.perf_counter()
            page = http.get("/metrics").text
            seconds.append(time.perf_counter() - began_s)
            ages.append(float(page.partition("\nlongtake_monitor_age_seconds ")[2].partition("\n")[0]))
            time.sleep(0.02)
    for engine, state in (("espeak", "queued"), ("espeak", "running"), ("vibevoice", "running")):
        assert re.search(rf'longtake_jobs{{engine="{engine}",state="{state}"}} [1-9]', page), [
            line for line in page.splitlines() if line.startswith("longtake_jobs{")
        ]
    for job_id in jobs:
        served.http.post(f"/v1/audio/jobs/{job_id}/cancel")
    p99 = statistics.quantiles(seconds, n=100)[98]
    print(f"/metrics: median {statistics.median(seconds):.4f} s, p99 {p99:.4f} s; oldest figures {max(ages):.2f} s")
    assert p99 < 0.05 * max(1.0, others)
    assert max(ages) < 2.0

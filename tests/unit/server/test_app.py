from __future__ import annotations

import re
import statistics
import threading
import time
from dataclasses import replace

import httpx
from starlette.testclient import TestClient

from longtake.config import ServerSettings
from longtake.core.stats import Counts
from longtake.monitor import METRICS
from longtake.server.app import build_app
from tests.unit.monitor.sources import tell
from tests.unit.server.house import House, ScriptedWorker
from tests.unit.server.test_jobs import JOBS, submit


def test_every_metric_is_there_after_a_job(house: House, worker: ScriptedWorker, client: TestClient) -> None:
    """But for those of machines that this is not."""
    clock = house.backend.clock
    house.statuses[0] = replace(house.statuses[0], worker_id="espeak-1")
    tell(house.folder.run, clock, counts=Counts())
    submit(client)
    worker.speak_all()
    submit(client)
    seen_s = clock.monotonic_s()
    time.sleep(1.1)  # the figures are taken once a second
    tell(house.folder.run, clock)

    while (page := client.get("/metrics").text).count("longtake_engine_rtf_ratio") < 3:
        assert clock.monotonic_s() < seen_s + 10

    for name in METRICS:
        assert re.search(rf"^# TYPE {name} ", page, re.MULTILINE) or re.search(
            "_gpu_|_heat_|_host_|_cgroup_|_cores$", name
        )
    assert 'longtake_jobs{engine="espeak",state="done"} 1.0' in page
    assert 'longtake_jobs{engine="espeak",state="queued"} 1.0' in page
    assert "longtake_queue_jobs 1.0" in page
    assert 'longtake_worker_up{engine="espeak"} 1.0' in page
    assert 'longtake_worker_restarts_total{engine="espeak"} 2.0' in page
    assert 'longtake_spoken_audio_seconds_total{engine="espeak"} 3.0' in page


def test_requests_are_counted_by_route_never_by_path(client: TestClient) -> None:
    client.get(f"{JOBS}/job_0123456789abcdef")
    client.get("/some/where/else")
    client.request("BREW", "/healthz")

    page = client.get("/metrics").text

    assert f'longtake_http_requests_total{{method="GET",route="{JOBS}/{{job_id}}",status="4xx"}} 1.0' in page
    assert 'route="other",status="4xx"' in page
    assert 'method="other"' in page
    assert "0123456789abcdef" not in page
    assert "some/where" not in page
    assert "BREW" not in page


def test_loop_turns_while_the_store_is_locked(house: House, url: str) -> None:
    """A long write of another process holds every write up, but not the server."""
    locked, free = threading.Event(), threading.Event()

    def hold() -> None:
        with house.db.write():
            locked.set()
            free.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(10)
    answers: list[int] = []
    writer = threading.Thread(
        target=lambda: answers.append(httpx.post(url + JOBS, json={"script": "Hello."}, timeout=20).status_code)
    )
    writer.start()
    times_s = []
    with httpx.Client(base_url=url) as client:
        for path in ("/healthz", JOBS, "/v1/models") * 5:
            began_s = time.perf_counter()
            assert client.get(path).status_code == 200
            times_s.append(time.perf_counter() - began_s)
    assert answers == []
    free.set()
    holder.join()
    writer.join(10)

    assert answers == [202]
    assert statistics.median(times_s) < 0.1


def test_two_servers_in_one_process_do_not_share_numbers(client: TestClient, house: House) -> None:
    client.get("/healthz")
    with TestClient(build_app(house.backend, ServerSettings()), base_url="http://127.0.0.1") as other:
        assert 'route="/healthz"' not in other.get("/metrics").text

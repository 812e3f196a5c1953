"""A real server mended from a shell while jobs are spoken: nothing is lost, and the bytes are the process's own."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.served import LONGTAKE, Served

SCRIPT = "\n".join(
    f"Speaker {1 + i % 3}: Sentence number {i} is here to be spoken, and it takes a while." for i in range(60)
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def served(data: Path) -> Iterator[Served]:
    with Served(data) as served:
        yield served


def service(data: Path, *words: str, code: int = 0) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LONGTAKE_")}
    ended = subprocess.run(
        [LONGTAKE, "service", *words, "--data", str(data)], env=environment, capture_output=True, text=True, timeout=90
    )
    assert ended.returncode == code, ended.stderr
    return ended.stdout if code == 0 else ended.stderr


def told(data: Path, *words: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(service(data, *words, "--json"))
    return answer


def submit(served: Served) -> str:
    body = {"model": "espeak", "script": SCRIPT, "response_format": "wav"}
    job_id: str = served.http.post("/v1/audio/jobs", json=body).json()["id"]
    return job_id


def until_spoken(served: Served, job_id: str, passages: int) -> None:
    deadline = time.monotonic() + 30
    while served.spoken(job_id) < passages:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_job_goes_through_all_of_it_and_sounds_the_same(data: Path, served: Served) -> None:
    served.stop()
    served.start()
    undisturbed = submit(served)
    assert served.wait(undisturbed)["state"] == "done"
    whole = served.http.get(f"/v1/audio/jobs/{undisturbed}/audio").content
    told(data, "clean", "--cache")  # or the second would be taken from it
    job = submit(served)
    until_spoken(served, job, 1)
    pid = served.worker.pid
    resident = served.worker.memory_info().rss
    released = told(data, "release")
    assert released["before"]["rss_bytes"] == pytest.approx(resident, rel=0.5)
    unloaded = told(data, "unload")
    assert (unloaded["state"], served.worker.pid) == ("unloaded", pid)
    assert unloaded["after"]["rss_bytes"] == pytest.approx(served.worker.memory_info().rss, rel=0.2)
    assert served.http.get("/v1/models/espeak").json()["state"] == "unloaded"
    assert served.http.get("/readyz").json()["engines"]["espeak"]["ready"]
    assert told(data, "load")["state"] == "ready"
    restarted = told(data, "restart", "espeak")
    assert (restarted["state"], restarted["done"]) == ("ready", True)
    assert served.worker.pid != pid
    assert served.wait(job)["state"] == "done"
    assert served.http.get(f"/v1/audio/jobs/{job}/audio").content == whole
    log = (data / "logs" / "web.log").read_text()
    for action in ("release", "unload", "load", "restart how=now", "clean cache=True"):
        assert f"actor=cli@127.0.0.1 action={action} " in log


def test_idle_it_unloads_by_itself_and_the_next_job_loads_it(data: Path) -> None:
    with Served(data, "--idle-minutes", "0.02") as served:
        pid = served.worker.pid
        deadline = time.monotonic() + 20
        while served.http.get("/v1/models/espeak").json()["state"] != "unloaded":
            assert time.monotonic() < deadline
            served.http.get("/readyz")  # asking does not keep it awake
            time.sleep(0.05)
        assert served.wait(submit(served))["state"] == "done"
        assert served.worker.pid == pid


def test_in_words(data: Path, served: Served) -> None:
    text = service(data, "unload")
    assert text.startswith("espeak: unload, now unloaded; ")
    assert "of host memory given back (" in text
    assert "given back: 0 half-written files" in service(data, "clean")


def test_what_is_refused_is_told(data: Path, served: Served) -> None:
    assert "nothing" in service(data, "unload", "nothing", code=2)


def test_where_no_server_runs(data: Path, served: Served) -> None:
    served.kill()
    assert "No server runs on" in service(data, "unload", code=2)
    assert "longtake serve --data" in service(data, "clean", code=2)
    assert "There is no data folder" in service(data / "elsewhere", "clean", code=2)

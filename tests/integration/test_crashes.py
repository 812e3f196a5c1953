"""Processes that are really killed: the next look knows how, and what they said last."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.served import Served


def test_a_worker_and_then_the_server_are_killed(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        assert served.http.get("/v1/crashes").json() == {"crashes": []}
        victim = served.worker.pid
        os.kill(victim, signal.SIGSEGV)
        deadline = time.monotonic() + 20
        while not (found := served.http.get("/v1/crashes").json()["crashes"]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        [crash] = found
        assert (crash["process"], crash["pid"], crash["how"]) == ("worker-espeak", victim, "killed by SIGSEGV")
        assert "Current thread" in crash["words"], "the stacks that faulthandler printed"
        assert crash["lines"][-1]["process"] == "worker-espeak"
        assert crash["lived_seconds"] > 0
        dead = served.process.pid
        served.kill()
        served.start()
        newest, worker = served.http.get("/v1/crashes").json()["crashes"]
        assert worker == crash
        assert (newest["process"], newest["pid"]) == ("web", dead)
        assert "it was killed" in newest["how"]
        told = served.http.get("/v1/logs", params={"text": newest["id"]}).json()["lines"]
        assert [each["level"] for each in told] == ["error"], "it is told at the start"
        served.stop()
        served.start()
        assert len(served.http.get("/v1/crashes").json()["crashes"]) == 2, "an end in good order is no crash"


def test_an_abort_inside_a_library_leaves_its_stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Served(tmp_path) as served:
        os.kill(served.process.pid, signal.SIGABRT)
        served.process.wait(20)
        served.kill()
        served.start()
        [crash] = served.http.get("/v1/crashes").json()["crashes"]
        assert "Fatal Python error: Aborted" in crash["words"]

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from longtake.config import ServerSettings, load_settings
from longtake.doctor import examine_served
from longtake.jobs.folder import DataFolder
from longtake.server.app import build_app
from longtake.server.doctor import KEPT_S, Kept
from longtake.wire.doctor import Examined
from longtake.wiring import open_host
from tests.support.clock import HandClock
from tests.unit.server.house import House
from tests.unit.server.test_errors import error_of


class Doctor:
    """Finds the same every time, and counts how often it was asked."""

    def __init__(self) -> None:
        self.looks = 0
        self.threads: set[str] = set()

    def __call__(self) -> Sequence[Examined]:
        self.looks += 1
        self.threads.add(threading.current_thread().name)
        return [
            Examined(name="python", ok=True, found="3.11", remedy=""),
            Examined(name="disk", ok=False, found="slow", remedy="Buy one."),
        ]


def test_what_is_found_is_told_and_one_wrong_thing_is_enough(house: House) -> None:
    doctor = Doctor()
    app = build_app(replace(house.backend, examine=doctor), ServerSettings())
    with TestClient(app, base_url="http://127.0.0.1") as client:
        answers = [client.get("/v1/doctor") for _ in range(3)]
    assert answers[0].json()["ok"] is False
    assert answers[0].json()["checks"][1] == {"name": "disk", "ok": False, "found": "slow", "remedy": "Buy one."}
    assert doctor.looks == 1
    assert doctor.threads.pop().startswith("doctor"), "it takes seconds, and may hold up nobody"


def test_after_a_minute_it_looks_again() -> None:
    doctor, clock = Doctor(), HandClock()
    kept = Kept(doctor, clock)
    first = kept.view()
    clock.sleep(KEPT_S - 1)
    assert kept.view() is first
    clock.sleep(1)
    assert kept.view() is not first
    assert doctor.looks == 2


def test_a_server_without_one_says_so(house: House) -> None:
    with TestClient(house.app, base_url="http://127.0.0.1") as client:
        answer = client.get("/v1/doctor")
    assert answer.status_code == 409
    assert error_of(answer)["code"] == "no_doctor"


@pytest.mark.timeout(60)
def test_the_real_one_looks_beside_a_host_and_takes_nothing_from_it(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path, disk_floor_mib=1)
    with open_host(settings, workers=True) as host:
        checks = {check.name: check for check in examine_served(settings)}
        assert checks["job store"].ok
        assert "speak espeak" not in checks, "that would load an engine beside the one that is loaded"
        # The lock is still the host's: another process, like this second folder, is refused.
        assert not DataFolder(tmp_path, floor_bytes=0).lock()
        assert host.store.counts() is not None

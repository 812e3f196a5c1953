"""GET /v1/monitor…, over a real socket where it matters."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fastapi.testclient import TestClient

from longtake.monitor.heat import HEAT_REASON, Heat, HeatLevel, HeatStatus, Thresholds
from longtake.monitor.machine import Machine
from longtake.monitor.probes.records import Card, CardProcess, GpuReading, GpuState, Throttle
from longtake.server import monitor
from tests.unit.server.house import House, serving, wait_until


def get(house: House, path: str = "/v1/monitor") -> Any:
    with TestClient(house.app, base_url="http://127.0.0.1") as client:
        answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_snapshot_has_the_machine_as_it_is(house: House) -> None:
    found = get(house)
    assert found["host"]["memory_total_bytes"] == psutil.virtual_memory().total
    assert found["host"]["disk"]["total_bytes"] > found["host"]["disk"]["free_bytes"]
    assert [each["role"] for each in found["host"]["processes"]] == ["web"]
    assert found["workers"] == [
        {"engine": "espeak", "state": "ready", "pid": None, "reason": None, "restarts": 2, "steps": 7}
    ]
    assert (found["queue_jobs"], found["heat"]["level"]) == (0, "normal")
    assert found["age_seconds"] < 2
    assert found["at"] == pytest.approx(time.time(), abs=5)


def test_without_a_driver_the_cards_are_absent_and_nothing_of_them_is_zero(house: House) -> None:
    found = get(house)["gpus"]
    assert (found["state"], found["reason"], found["cards"]) == ("absent", "no NVIDIA driver: it is a test", [])
    total = found["total"]
    assert (total.pop("cards"), total.pop("lost")) == (0, 0)
    assert set(total.values()) == {None}


def test_every_card_with_what_it_tells_and_what_it_does_not(house: House) -> None:
    house.gpus = GpuReading(
        GpuState.OK,
        time.monotonic(),
        driver_version="595.10",
        cards=(
            Card(
                0,
                "GPU-0",
                "H100",
                temperature_celsius=71.0,
                power_watts=300.0,
                throttles=frozenset({Throttle.POWER_CAP, Throttle.HARDWARE_THERMAL}),
                xid=31,
                xids=2,
                processes=(CardProcess(7, None),),
            ),
            Card(1, "GPU-1", "H100", is_lost=True),
        ),
    )
    found = get(house)["gpus"]
    first, lost = found["cards"]
    assert first["throttles"] == ["hardware_thermal", "power_cap"]
    assert first["processes"] == [{"pid": 7, "memory_used_bytes": None}]
    assert (first["fan_ratio"], first["xid"], first["xids"]) == (None, 31, 2)
    assert (lost["is_lost"], lost["temperature_celsius"], lost["throttles"]) == (True, None, None)
    assert (found["total"]["lost"], found["total"]["temperature_celsius"], found["total"]["power_watts"]) == (
        1,
        71,
        300,
    )


def test_a_silent_driver_is_told_with_the_age_of_its_last_answer(house: House) -> None:
    house.gpus = GpuReading(GpuState.SILENT, time.monotonic() - 10, "the driver has not answered for 10 s", None, ())
    found = get(house)["gpus"]
    assert found["state"] == "silent"
    assert found["age_seconds"] == pytest.approx(10, abs=2)


def test_the_heat_and_what_was_done_because_of_it(tmp_path: Path) -> None:
    house = House(tmp_path)
    status = HeatStatus(
        Heat(HeatLevel.PAUSE, 1, f"{HEAT_REASON}: card 1 has 90 °C"), 1000.0, {"pause": 1}, Thresholds()
    )
    house.backend.machine._heat = lambda: status
    found = get(house)["heat"]
    assert found == {
        "level": "pause",
        "card": 1,
        "reason": "waits for the GPU to cool: card 1 has 90 °C",
        "since": 1000.0,
        "actions": {"pause": 1},
        "go_celsius": 70.0,
        "hold_celsius": 75.0,
        "pause_celsius": 87.0,
    }
    house.db.close()


def test_a_machine_that_cannot_be_asked_is_told_and_not_waited_for(tmp_path: Path) -> None:
    house = House(tmp_path)

    def broken() -> GpuReading:
        raise OSError("no /proc")

    house.backend.machine._gpus = broken
    with TestClient(house.app, base_url="http://127.0.0.1") as client:
        answer = client.get("/v1/monitor")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    house.db.close()


def test_the_stream_tells_the_snapshot_once_a_second(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "PERIOD_S", 0.2)
    with (
        serving(house.app) as url,
        httpx.stream("GET", f"{url}/v1/monitor/stream", timeout=10) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        began_s, seen = time.monotonic(), []
        for line in answer.iter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: ")))
            if len(seen) == 4:
                break
    assert 0.5 < time.monotonic() - began_s < 5
    assert [each["host"]["memory_total_bytes"] for each in seen] == [psutil.virtual_memory().total] * 4


def test_readers_are_bounded_and_a_seat_is_free_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "PERIOD_S", 0.05)
    with serving(house.app) as url, httpx.Client(base_url=url, timeout=10) as client:
        held = [client.stream("GET", "/v1/monitor/stream") for _ in range(monitor.MAX_READERS)]
        for each in held[:-1]:
            each.__enter__()
        with held[-1]:
            refused = client.get("/v1/monitor/stream")
            assert refused.status_code == 429
            assert refused.json()["error"]["code"] == "too_many_readers"
            assert "64 readers listen to the monitor, which is the limit" in refused.json()["error"]["message"]
            assert client.get("/v1/monitor").status_code == 200

        def has_seat() -> bool:
            with client.stream("GET", "/v1/monitor/stream") as answer:
                return answer.status_code == 200

        wait_until(has_seat)
        for each in held[:-1]:
            each.__exit__(None, None, None)


def test_series_by_name_by_metric_and_by_steps(house: House) -> None:
    with TestClient(house.app, base_url="http://127.0.0.1") as client:
        wait_until(lambda: len(client.get("/v1/monitor/series").json()["names"]) > 5)
        wait_until(lambda: "cpu_core_ratio:0" in client.get("/v1/monitor/series").json()["names"])
        one = client.get("/v1/monitor/series?names=memory_total_bytes&seconds=60&steps=30").json()
        cores = client.get("/v1/monitor/series?names=cpu_core_ratio").json()
        nobody = client.get("/v1/monitor/series?names=nobody").json()
        day = client.get("/v1/monitor/series?names=load_1m&seconds=86400").json()
    assert (one["step_seconds"], one["steps"], one["names"]) == (2, 30, [])
    [series] = one["series"]
    assert len(series["min"]) == len(series["mean"]) == len(series["max"]) == 30
    assert series["mean"][0] is None, "nobody looked then"
    assert series["max"][-1] == pytest.approx(psutil.virtual_memory().total, rel=1e-6)
    assert one["begins_at"] + 60 == pytest.approx(time.time(), abs=5)
    assert len(cores["series"]) == psutil.cpu_count()
    assert nobody["series"] == []
    assert (day["step_seconds"], day["steps"]) == (300, 288)


@pytest.mark.parametrize(
    ("query", "code"),
    [("seconds=0", "value_below_min"), ("seconds=99999999", "value_above_max"), ("steps=0", "value_below_min")],
)
def test_windows_out_of_range_are_refused(house: House, query: str, code: str) -> None:
    with TestClient(house.app, base_url="http://127.0.0.1") as client:
        answer = client.get(f"/v1/monitor/series?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code


def test_too_many_series_at_once_are_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "MAX_SERIES", 0)
    with TestClient(house.app, base_url="http://127.0.0.1") as client:
        wait_until(lambda: client.get("/v1/monitor/series").json()["names"])
        answer = client.get("/v1/monitor/series?names=load_1m")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "too_many_series")


def test_metrics_have_the_machine_too(house: House) -> None:
    with TestClient(house.app, base_url="http://127.0.0.1") as client:
        text = client.get("/metrics").text
    told = dict(line.split(" ", 1) for line in text.splitlines() if line.startswith("longtake_"))
    assert float(told["longtake_host_memory_size_bytes"]) == psutil.virtual_memory().total
    assert "longtake_heat_level 0.0" in text
    assert "longtake_gpu_" not in text, "absent, not zero"


def test_the_machine_of_tests_is_the_real_one(house: House) -> None:
    assert isinstance(house.backend.machine, Machine)

"""GET /v1/alerts, of a server whose disk is nearly full."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from longtake.config import AlertSettings, ServerSettings
from longtake.core.errors import InputError
from longtake.monitor.alerts import desk
from longtake.server.app import build_app
from tests.support.webhook import webhook
from tests.unit.server.conftest import BASE
from tests.unit.server.house import House


def settings(**given: object) -> AlertSettings:
    return AlertSettings.model_validate(given)


def test_nothing_is_wrong(client: TestClient) -> None:
    assert client.get("/v1/alerts").json() == {"object": "list", "data": [], "channels": 0}


def test_what_is_wrong_is_shown_and_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every disk is too small for a threshold that no disk has."""
    monkeypatch.setattr(desk, "LOOK_S", 0.05)
    house = House(tmp_path / "data")
    with webhook() as hook:
        given = settings(urls=[hook.url], thresholds={"LongtakeWorkerBroken": -1})
        object.__setattr__(house.backend, "alerts", given)
        app = build_app(house.backend, ServerSettings())
        with TestClient(app, base_url=BASE) as client:
            hook.wait(1)
            told = client.get("/v1/alerts").json()
    house.db.close()
    (alert,) = told["data"]
    assert (alert["name"], alert["labels"], alert["value"]) == ("LongtakeWorkerBroken", {"engine": "espeak"}, 0.0)
    assert alert["threshold"] == -1
    assert abs(alert["since"] - time.time()) < 30
    assert "不" in alert["zh"]["summary"] or "已" in alert["zh"]["summary"]
    assert told["channels"] == 1
    assert "WorkerBroken" in hook.received[0]["title"]


def test_a_server_with_a_threshold_of_no_rule_does_not_start(house: House) -> None:
    object.__setattr__(house.backend, "alerts", settings(thresholds={"Nothing": 1}))
    with pytest.raises(InputError, match="there is no such rule"):
        build_app(house.backend, ServerSettings())

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from longtake.report import gather
from longtake.server import reports
from tests.support.jobs import planned, spec
from tests.unit.server.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "data")
    yield house
    house.db.close()


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    with TestClient(house.app, base_url="http://127.0.0.1") as client:
        yield client


def spoken(house: House) -> None:
    house.store.submit(spec(), "x", planned(12))
    house.worker().speak_all()


@pytest.mark.parametrize(
    ("query", "media_type", "has"),
    [
        ("?format=md", "text/markdown", "| jobs done | 1 |"),
        ("?format=md&lang=zh", "text/markdown", "| 完成的任务 | 1 |"),
        ("", "text/html", "<td>jobs done</td><td>1</td>"),
        ("?lang=zh&since=7d", "text/html", '<html lang="zh">'),
        ("?format=json&since=2h", "application/json", '"ended": {\n      "done": 1\n    }'),
    ],
)
def test_each_format(house: House, client: TestClient, query: str, media_type: str, has: str) -> None:
    spoken(house)
    answer = client.get(f"/v1/report{query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert has in answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("query", ["since=tomorrow", "since=40d", "since=../../etc", "format=pdf", "lang=fr"])
def test_bad_values_are_told(client: TestClient, query: str) -> None:
    answer = client.get(f"/v1/report?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == query.partition("=")[0]


def test_it_is_told_again_for_a_minute(house: House, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/v1/report?format=json").json()["load"]["accepted"] == 0
    house.store.submit(spec(), "x", planned(1))
    assert client.get("/v1/report?format=md").text.count("| jobs accepted | 0 |") == 1
    assert client.get("/v1/report?format=json&since=25h").json()["load"]["accepted"] == 1
    monkeypatch.setattr(reports, "KEPT_S", 0.0)
    assert client.get("/v1/report?format=json").json()["load"]["accepted"] == 1


def test_many_windows_are_not_kept_for_ever(house: House) -> None:
    kept = reports.Kept(house.backend)
    for minutes in range(1, 30):
        kept.render(f"{minutes}m", "json", "en")
    assert len(kept._reports) == reports.KEPT


def test_one_is_made_at_a_time(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for many windows at once waits for himself, and takes no thread of the store's."""
    at_once, most, lock = 0, 0, threading.Lock()
    threads = set()

    def counted(*arguments: Any) -> Any:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
            threads.add(threading.current_thread().name)
        try:
            return gather(*arguments)
        finally:
            with lock:
                at_once -= 1

    monkeypatch.setattr(reports, "gather", counted)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: client.get(f"/v1/report?format=json&since={n}h"), range(1, 9)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert most == 1
    assert all(name.startswith("reports") for name in threads)

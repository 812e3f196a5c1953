"""The log over HTTP: pages, filters, the live stream, a job's own."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from longtake.logs import parse_position
from longtake.logs.lines import LineFile
from longtake.server import live, log_tail, logs
from tests.unit.logs.test_reading import line
from tests.unit.server.house import House, ScriptedWorker, wait_until
from tests.unit.server.test_errors import error_of
from tests.unit.server.test_jobs import JOBS, submit

LOGS = "/v1/logs"


class Writer:
    """A process that logs."""

    def __init__(self, path: Path) -> None:
        self.process = path.stem
        self.file = LineFile(path, limit_bytes=5000, kept=4)
        self.count = 0

    def write(self, count: int = 1, **fields: str) -> None:
        for _ in range(count):
            self.file.write(line(self.count, self.process, **fields) + b"\n")
            self.count += 1


@pytest.fixture
def writer(house: House) -> Writer:
    return Writer(house.folder.logs / "web.log")


def events_in(page: dict[str, Any]) -> list[int]:
    return [int(each["event"].removeprefix("event ")) for each in page["lines"]]


def test_pages(client: TestClient, writer: Writer) -> None:
    assert client.get(LOGS).json() == {"lines": [], "cursor": None, "position": ""}
    writer.write(50)
    first = client.get(LOGS, params={"limit": 20}).json()
    second = client.get(LOGS, params={"limit": 20, "cursor": first["cursor"]}).json()
    third = client.get(LOGS, params={"limit": 20, "cursor": second["cursor"]}).json()
    assert events_in(first) + events_in(second) + events_in(third) == list(range(49, -1, -1))
    assert third["cursor"] is None


def test_filters(client: TestClient, writer: Writer) -> None:
    writer.write(3)
    writer.write(2, level="error", job="job_7", note="Ärger")
    assert events_in(client.get(LOGS, params={"level": "warning"}).json()) == [4, 3]
    assert events_in(client.get(LOGS, params={"job": "job_7", "text": "äRGER", "limit": 1}).json()) == [4]
    assert events_in(client.get(LOGS, params={"since": 1767225600.001, "until": 1767225600.003}).json()) == [2, 1]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"level": "loud"}, "level"),
        ({"since": "nan"}, "since"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"text": "x" * 201}, "text"),
        ({"cursor": "../etc:1.2"}, "cursor"),
    ],
)
def test_odd_queries_are_refused(client: TestClient, query: dict[str, str], param: str) -> None:
    response = client.get(LOGS, params=query)
    assert (response.status_code, error_of(response)["param"]) == (400, param)


def test_the_log_needs_the_key(make_house: Any) -> None:
    house = make_house(api_key="a-long-random-word")
    with TestClient(house.app, base_url="http://127.0.0.1") as client:
        for path in (LOGS, f"{LOGS}/stream", f"{JOBS}/job_0/log"):
            assert client.get(path).status_code == 401


def test_the_log_of_a_job_is_its_own_and_goes_with_it(client: TestClient, house: House, worker: ScriptedWorker) -> None:
    job_id = submit(client)["id"]
    assert client.get(f"{JOBS}/{job_id}/log").json()["lines"] == []
    assert house.folder.job_log(job_id) is None, "it has no folder yet"
    worker.speak_all()
    path = house.folder.job_log(job_id)
    assert path is not None
    Writer(path).write(3)
    assert events_in(client.get(f"{JOBS}/{job_id}/log", params={"limit": 2}).json()) == [2, 1]
    assert client.delete(f"{JOBS}/{job_id}").status_code < 300
    assert client.get(f"{JOBS}/{job_id}/log").status_code == 404
    assert not path.parent.exists()
    assert house.folder.job_log("../../etc") is None


# The stream


class Stream:
    """Events of a connection, as they come."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()
        self.id = ""

    def take(self, count: int) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        kind = ""
        while len(found) < count:
            name, _, value = next(self._lines).partition(": ")
            if name == "id":
                self.id = value
            elif name == "event":
                kind = value
            elif name == "data":
                data = json.loads(value)
                found.append((kind, int(data["event"].removeprefix("event ")) if kind == "line" else data))
        return found

    def numbers(self, count: int) -> list[int]:
        return [number for _, number in self.take(count)]


@contextmanager
def watching(url: str, headers: dict[str, str] | None = None, **query: Any) -> Iterator[Stream]:
    with httpx.stream("GET", f"{url}{LOGS}/stream", params=query, headers=headers, timeout=20) as response:
        assert response.status_code == 200, response.read()
        stream = Stream(response)
        assert next(stream._lines) == "retry: 2000"
        yield stream


def test_a_stream_has_the_lines_that_are_written_from_now_on(url: str, writer: Writer) -> None:
    writer.write(5)
    with watching(url) as everything, watching(url, level="error") as errors:
        writer.write(3)
        writer.write(1, level="error")
        assert everything.numbers(4) == [5, 6, 7, 8]
        assert errors.numbers(1) == [8]


def test_a_stream_goes_on_where_a_page_or_another_stream_ended(url: str, writer: Writer) -> None:
    writer.write(5)
    position = httpx.get(f"{url}{LOGS}").json()["position"]
    writer.write(60)  # it rotates
    with watching(url, after=position) as stream:
        assert stream.numbers(30) == list(range(5, 35))
    writer.write(5)
    with watching(url, headers={"Last-Event-ID": stream.id}, after=position) as stream:
        assert stream.numbers(35) == list(range(35, 70))
        writer.write(2)
        assert stream.numbers(2) == [70, 71]
    assert parse_position(stream.id, "id")


def test_a_stream_may_begin_with_the_past(url: str, writer: Writer) -> None:
    writer.write(5)
    with watching(url, since=1767225600.003) as stream:
        writer.write(1)
        assert stream.numbers(3) == [3, 4, 5]


def test_a_flood_leaves_a_gap_and_then_goes_on(url: str, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_tail, "LOOK_BYTES", 1000)
    with watching(url) as stream:
        writer.write(40)
        found = stream.take(3)
        assert found[0] == ("gap", {"lost": None})
        writer.write(1, note="last")
        while found[-1][1] != 40:
            found += stream.take(1)


def test_a_reader_that_does_not_keep_up_is_told_how_much_it_missed() -> None:
    import asyncio

    from longtake.logs import Filter

    async def slow() -> bytes:
        reader = log_tail.Reader(Filter(), {})
        for number in range(log_tail.MAX_NEWS + 7):
            reader.put([b"%d," % number])
        return await reader.news(1.0)

    told = asyncio.run(slow())
    assert told.startswith(b'event: gap\ndata: {"lost": 7}\n\n7,8,')
    assert told.endswith(b",%d," % (log_tail.MAX_NEWS + 6))


@pytest.fixture
def one_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    """To be named before the house."""
    monkeypatch.setattr(logs, "MAX_READERS", 1)


def has_seat(url: str) -> bool:
    with httpx.stream("GET", f"{url}{LOGS}/stream", timeout=20) as response:
        return response.status_code == 200


def test_too_many_readers_are_refused_and_one_that_left_makes_room(one_seat: None, url: str) -> None:
    with watching(url):
        refused = httpx.get(f"{url}{LOGS}/stream")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_readers")
    wait_until(lambda: has_seat(url))


def test_a_reader_that_takes_nothing_makes_room(
    one_seat: None, url: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SLOW_S", 0.3)
    writer.file = LineFile(writer.file.path, limit_bytes=4 << 20, kept=4)
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        reader.sendall(b"GET /v1/logs/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert reader.recv(100).startswith(b"HTTP/1.1 200")
        assert not has_seat(url)

        def has_room() -> bool:
            writer.write(50, filler="x" * 8000)  # more than what sockets take by themselves
            return has_seat(url)

        wait_until(has_room, 30)

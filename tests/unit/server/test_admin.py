"""The admin routes with a real supervisor, and processes that answer as a worker does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from longtake.core.clock import SystemClock
from longtake.core.disk import Cleaned
from longtake.core.memory import MemoryUse
from longtake.supervise import Mending, Patience, Progress, Supervisor
from longtake.supervise.answers import Answer, write_answer
from longtake.supervise.supervisor import EXIT_CANNOT_LOAD
from tests.unit.server.house import House

GIB = 1 << 30


class Worker:
    """A process that does at once what it is told, and answers; `is_deaf` it does nothing."""

    def __init__(self, world: World, worker_id: str, pid: int) -> None:
        self._world = world
        self._id = worker_id
        self.pid = pid
        self.code: int | None = None
        self.state = "ready"
        self.told: list[str] = []

    def send(self, line: str) -> None:
        word, _, ticket = line.strip().partition(" ")
        self.told.append(word)
        if self._world.is_deaf:
            return
        if word in ("stop", "drain"):
            self.code = 0
            return
        before = self.use()
        if word == "unload":
            self.state = "unloaded"
        if word == "load" and self._world.load_error is None:
            self.state = "ready"
        error = self._world.load_error if word == "load" else None
        write_answer(self._world.folder, "espeak", Answer(ticket, before, self.use(), error))

    def use(self) -> MemoryUse:
        return MemoryUse(5 * GIB, 3 * GIB, 4 * GIB) if self.state == "ready" else MemoryUse(GIB, 0, 0)

    def progress(self, now_s: float) -> Progress:
        return Progress(True, 1, 0, now_s, is_unloaded=self.state == "unloaded")

    def exit_code(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.code = -9

    def wait(self, timeout_s: float) -> bool:
        return self.code is not None

    def close(self) -> None:
        pass

    def last_words(self) -> str:
        return "boom"

    def words(self) -> str:
        return ""


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_deaf = False
        self.load_error: str | None = None
        self.workers: dict[str, Worker] = {}
        clock = SystemClock()
        self.supervisor = Supervisor(
            ("espeak",),
            spawn=self.spawn,
            progress=lambda: {name: each.progress(clock.monotonic_s()) for name, each in self.workers.items()},
            died=lambda worker_id, how: None,
            patience=Patience(60.0, 30.0, 300.0, 40.0, 0.1),
            clock=clock,
        )
        self.mending = Mending(self.supervisor, folder, clock)

    def spawn(self, engine: str, worker_id: str) -> Worker:
        self.workers[worker_id] = Worker(self, worker_id, 2**30 + len(self.workers))
        return self.workers[worker_id]

    @property
    def worker(self) -> Worker:
        return list(self.workers.values())[-1]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "run")
    world.supervisor.start()
    world.supervisor.look()
    yield world
    world.supervisor.stop()


@pytest.fixture
def client(world: World, make_house: Callable[..., House]) -> Iterator[TestClient]:
    def clean(with_cache: bool) -> Cleaned:
        return Cleaned(2, 100, 20, 3000 * with_cache, 5, 6)

    house = make_house(mending=world.mending, clean=clean)
    with TestClient(house.app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, "longtake.audit")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "longtake.audit"]


def use(rss: int, allocated: int | None = None, reserved: int | None = None) -> dict[str, Any]:
    return {"rss_bytes": rss, "allocated_bytes": allocated, "reserved_bytes": reserved}


def test_unload_and_load_say_what_was_given_back(client: TestClient, audit: Callable[[], list[str]]) -> None:
    response = client.post("/v1/admin/unload", params={"engine": "espeak"})

    assert (response.status_code, response.json()) == (
        200,
        {
            "engine": "espeak",
            "action": "unload",
            "state": "unloaded",
            "done": True,
            "before": use(5 * GIB, 3 * GIB, 4 * GIB),
            "after": use(GIB, 0, 0),
            "given_back": use(4 * GIB, 3 * GIB, 4 * GIB),
        },
    )
    loaded = client.post("/v1/admin/load").json()
    assert (loaded["state"], loaded["given_back"]) == ("ready", use(0, 0, 0))
    assert audit()[0] == (
        f"actor=api@testclient action=unload engine=espeak result=done, {4 * GIB} bytes given back, "
        f"{4 * GIB} of devices"
    )


def test_the_audit_says_nothing_of_devices_where_there_are_none(
    client: TestClient, audit: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "use", lambda self: MemoryUse(5 * GIB))
    client.post("/v1/admin/release")
    assert audit() == ["actor=api@testclient action=release engine=espeak result=done, 0 bytes given back"]


def test_what_takes_longer_is_on_its_way(client: TestClient, world: World, audit: Callable[[], list[str]]) -> None:
    world.is_deaf = True
    response = client.post("/v1/admin/release", params={"wait_s": 0.05})

    body = response.json()
    assert (response.status_code, body["done"], body["before"], body["after"]) == (202, False, None, None)
    assert world.worker.told == ["release"]
    assert audit() == ["actor=api@testclient action=release engine=espeak result=on its way"]


@pytest.mark.parametrize(("how", "word"), [("now", "stop"), ("drain", "drain")])
def test_a_restart_ends_with_a_fresh_worker(client: TestClient, world: World, how: str, word: str) -> None:
    old = world.worker
    response = client.post("/v1/admin/restart", params={"how": how})

    assert response.status_code == 200
    assert (response.json()["action"], response.json()["state"]) == ("restart", "ready")
    assert response.json()["given_back"] == use(0, 0, 0)
    assert old.told == ["measure", word]
    assert world.worker is not old


def test_a_restart_of_one_that_does_not_answer_is_asked_for_all_the_same(
    client: TestClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longtake.supervise.mending.MEASURE_S", 0.05)
    world.is_deaf = True
    response = client.post("/v1/admin/restart", params={"wait_s": 0.05})
    assert (response.status_code, response.json()["done"]) == (202, False)
    assert world.worker.told == ["measure", "stop"]


def test_what_could_not_be_done_is_an_error(client: TestClient, world: World, audit: Callable[[], list[str]]) -> None:
    client.post("/v1/admin/unload")
    world.load_error = "The device has no room for the weights."
    response = client.post("/v1/admin/load")

    assert (response.status_code, response.json()["error"]["code"]) == (503, "not_mended")
    assert response.json()["error"]["message"] == world.load_error
    assert audit()[-1].endswith("result=failed: The device has no room for the weights.")


def test_one_at_a_time(client: TestClient, world: World) -> None:
    world.is_deaf = True
    first = threading.Thread(target=client.post, args=("/v1/admin/unload",), kwargs={"params": {"wait_s": 30}})
    first.start()
    while not world.worker.told:
        pass
    response = client.post("/v1/admin/release")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "being_mended")
    world.mending.close()  # as at the end of the server: nobody waits any longer
    first.join(5)
    assert not first.is_alive()


def test_without_a_worker_it_says_how_to_get_one(client: TestClient, world: World) -> None:
    world.worker.code = EXIT_CANNOT_LOAD  # another is not started by itself, however long this takes
    world.supervisor.look()
    response = client.post("/v1/admin/unload")
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (409, "no_worker")
    assert "boom" in error["message"]
    assert "POST /v1/admin/restart?engine=espeak" in error["message"]


def test_unknown_engines_and_words(client: TestClient) -> None:
    unknown = client.post("/v1/admin/unload", params={"engine": "nothing"})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "engine")
    assert client.post("/v1/admin/restart", params={"how": "gently"}).status_code == 400
    assert client.post("/v1/admin/unload", params={"wait_s": 601}).status_code == 400


def test_clean(client: TestClient, audit: Callable[[], list[str]]) -> None:
    assert client.post("/v1/admin/clean").json()["given_back_bytes"] == 120
    body = client.post("/v1/admin/clean", params={"cache": True}, headers={"user-agent": "longtake-service"}).json()
    assert body == {
        "action": "clean",
        "files": 2,
        "given_back_bytes": 3120,
        "temporary_bytes": 100,
        "log_bytes": 20,
        "cache_bytes": 3000,
        "free_bytes_before": 5,
        "free_bytes_after": 6,
    }
    assert audit()[-1] == "actor=cli@testclient action=clean cache=True engine=data result=3120 bytes given back"


@pytest.mark.parametrize("action", ["restart", "unload", "load", "release", "clean"])
def test_workers_that_are_not_ours(make_house: Callable[..., House], action: str) -> None:
    response = TestClient(make_house().app, base_url="http://127.0.0.1").post(f"/v1/admin/{action}")

    assert (response.status_code, response.json()["error"]["code"]) == (409, "not_ours")

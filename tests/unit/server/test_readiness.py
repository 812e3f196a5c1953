from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from starlette.testclient import TestClient

from longtake.server.hop import Hop
from longtake.server.readiness import Prober
from longtake.server.transients import Transients
from longtake.supervise import WorkerState, WorkerStatus
from longtake.wire.health import Readiness
from tests.unit.server.house import House, ScriptedWorker, wait_until


def ready(house: House) -> None:
    house.statuses = [WorkerStatus("espeak", WorkerState.READY, 1, None, 0, 0)]


def test_alive_whatever_the_workers_do(house: House, client: TestClient) -> None:
    house.statuses = []

    response = client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_because_it_spoke(house: House, worker: ScriptedWorker, client: TestClient) -> None:
    with worker.running():
        response = client.get("/readyz")
        wait_until(lambda: not house.transients() and not house.files())

    engine = response.json()["engines"]["espeak"]
    assert response.status_code == 200
    assert response.json()["ready"] is engine["ready"] is True
    assert engine["milliseconds"] >= 0
    assert engine["reason"] is None
    assert [job.kind for job in worker.claimed] == ["probe"]
    assert house.woken[0] == "espeak"


@pytest.mark.parametrize(
    "state", [state for state in WorkerState if state not in (WorkerState.READY, WorkerState.UNLOADED)]
)
def test_not_ready_says_what_the_supervisor_knows(house: House, client: TestClient, state: WorkerState) -> None:
    house.statuses = [WorkerStatus("espeak", state, None, "signal 9, five times", 5, 0)]

    response = client.get("/readyz")

    assert response.status_code == 503
    engine = response.json()["engines"]["espeak"]
    assert (response.json()["ready"], engine["ready"], engine["milliseconds"]) == (False, False, None)
    assert state in engine["reason"]
    assert "signal 9, five times" in engine["reason"]
    assert not house.store.counts()  # nothing was asked of a worker that is not there


def test_an_unloaded_one_serves_and_is_not_woken_to_prove_it(house: House, client: TestClient) -> None:
    house.statuses = [WorkerStatus("espeak", WorkerState.UNLOADED, 1, None, 0, 0)]

    response = client.get("/readyz")

    engine = response.json()["engines"]["espeak"]
    assert (response.status_code, engine["ready"], engine["milliseconds"]) == (200, True, None)
    assert "unloaded" in engine["reason"]
    assert not house.store.counts()
    assert not house.woken


def test_no_worker_is_not_ready(house: House, client: TestClient) -> None:
    house.statuses = []

    assert client.get("/readyz").json()["engines"]["espeak"]["reason"] == "It has no worker."


def test_breaker_that_opens_beats_what_was_heard_before(
    house: House, worker: ScriptedWorker, client: TestClient
) -> None:
    with worker.running():
        assert client.get("/readyz").status_code == 200
    house.statuses = [WorkerStatus("espeak", WorkerState.BROKEN, None, "it crashes", 5, 0)]
    assert client.get("/readyz").status_code == 503
    ready(house)
    with worker.running():
        assert client.get("/readyz").status_code == 200

    assert len(worker.claimed) == 2  # after the break the old answer was worth nothing


def test_engine_that_fails_is_not_ready(house: House, worker: ScriptedWorker, client: TestClient) -> None:
    with worker.running(fails_after=0):
        response = client.get("/readyz")
        wait_until(lambda: not house.transients())

    assert response.status_code == 503
    assert response.json()["engines"]["espeak"]["reason"] == "the engine choked"


def test_full_disk_is_not_ready(house: House, client: TestClient) -> None:
    house.folder.floor_bytes = 1 << 60

    response = client.get("/readyz")

    assert response.status_code == 503
    assert "Make room" in response.json()["engines"]["espeak"]["reason"]


def test_many_who_ask_share_one_probe_and_its_answer(house: House, worker: ScriptedWorker, client: TestClient) -> None:
    answers: list[Any] = []
    with worker.running(hold_after=0) as go_on:
        threads = [threading.Thread(target=lambda: answers.append(client.get("/readyz"))) for _ in range(5)]
        for thread in threads:
            thread.start()
        wait_until(lambda: worker.claimed)
        go_on.set()
        for thread in threads:
            thread.join(10)
        answers.append(client.get("/readyz"))

    assert [answer.status_code for answer in answers] == [200] * 6
    assert len(worker.claimed) == 1


class TestTime:
    """With a patience of milliseconds, and a clock to turn."""

    async def ask(self, prober: Prober, transients: Transients) -> Readiness:
        readiness = await prober.readiness()
        await transients.finish()
        return readiness

    def test_worker_that_hangs(self, house: House) -> None:
        async def run() -> None:
            in_store = Hop()
            transients = Transients(house.backend, in_store)
            readiness = await self.ask(Prober(house.backend, in_store, transients, patience_s=0.05), transients)
            in_store.close()
            assert readiness.engines["espeak"].reason == "It did not speak one word in 0.05 s."

        asyncio.run(run())
        assert not house.store.counts()

    def test_answer_is_kept_ten_seconds(self, house: House, worker: ScriptedWorker) -> None:
        class Turned:
            boot_id = "b"
            now_s = 100.0

            def monotonic_s(self) -> float:
                return self.now_s

            def wall_s(self) -> float:
                return self.now_s

            def sleep(self, seconds: float) -> None: ...

        async def run() -> None:
            in_store, clock = Hop(), Turned()
            object.__setattr__(house.backend, "clock", clock)
            transients = Transients(house.backend, in_store)
            prober = Prober(house.backend, in_store, transients)
            for now_s, probes in ((100.0, 1), (109.9, 1), (110.1, 2)):
                clock.now_s = now_s
                assert (await self.ask(prober, transients)).ready
                assert len(worker.claimed) == probes
            in_store.close()

        with worker.running():
            asyncio.run(run())

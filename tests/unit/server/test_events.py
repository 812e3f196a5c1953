from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from longtake.config import ServerSettings
from longtake.server import job_events
from longtake.server.backend import Context
from longtake.server.hop import Hop
from tests.unit.server.house import House, ScriptedWorker, serving
from tests.unit.server.test_errors import error_of
from tests.unit.server.test_jobs import JOBS, submit


def parse(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    events = []
    for block in text.split("\n\n"):
        if not block or block.startswith(("retry:", ":")):
            continue
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return events


@pytest.fixture
def spoken(worker: ScriptedWorker, client: TestClient) -> str:
    """The events of a job that is done: queued, running, three passages, done."""
    at = f"{JOBS}/{submit(client)['id']}/events"
    worker.speak_all()
    return at


def test_all_events_in_order_then_the_end(client: TestClient, spoken: str) -> None:
    response = client.get(spoken)

    events = parse(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert [number for number, _, _ in events] == [1, 2, 3, 4, 5, 6]
    assert [kind for _, kind, _ in events] == ["state", "state", "progress", "progress", "progress", "state"]
    assert [data["to"] for _, kind, data in events if kind == "state"] == ["queued", "running", "done"]
    assert events[3][2]["passages_done"] == 2
    assert all(data["at"] > 0 for _, _, data in events)


@pytest.mark.parametrize(
    ("headers", "query"), [({"Last-Event-ID": "4"}, ""), ({}, "?after=4"), ({"Last-Event-ID": "4"}, "?after=1")]
)
def test_replay_begins_after_the_number(client: TestClient, spoken: str, headers: dict[str, str], query: str) -> None:
    response = client.get(spoken + query, headers=headers)

    assert [number for number, _, _ in parse(response.text)] == [5, 6]


def test_after_the_last_event_a_browser_is_told_to_stay_away(client: TestClient, spoken: str) -> None:
    assert client.get(spoken, headers={"Last-Event-ID": "6"}).status_code == 204
    assert client.get(f"{spoken}?after=99").status_code == 204


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "٣", "9" * 30])
def test_odd_numbers_are_refused(client: TestClient, spoken: str, value: str) -> None:
    response = client.get(spoken, headers={b"Last-Event-ID": value.encode()})

    assert (response.status_code, error_of(response)["param"]) == (400, "Last-Event-ID")


@pytest.mark.parametrize("number", [str(2**63), "9" * 20, "9" * 5000], ids=["one too many", "20 digits", "5000 digits"])
def test_number_that_no_store_can_hold_is_refused(client: TestClient, spoken: str, number: str) -> None:
    response = client.get(f"{spoken}?after={number}")

    assert (response.status_code, error_of(response)["param"]) == (400, "after")
    assert client.get(f"{spoken}?after={2**63 - 1}").status_code == 204


def test_more_events_than_a_page(worker: ScriptedWorker, client: TestClient) -> None:
    at = f"{JOBS}/{submit(client, script='So it goes. ' * 450)['id']}/events"
    worker.speak_all()

    numbers = [number for number, _, _ in parse(client.get(at).text)]

    assert numbers == list(range(1, 454))


def test_events_come_while_it_happens(house: House, worker: ScriptedWorker, client: TestClient, url: str) -> None:
    at = f"{JOBS}/{submit(client)['id']}/events"
    with httpx.stream("GET", url + at, timeout=10) as response:
        lines = response.iter_lines()

        def next_kind() -> str:
            return next(line for line in lines if line.startswith("event: "))

        assert next_kind() == "event: state"
        worker.take()
        assert next_kind() == "event: state"
        worker.speak(0)
        assert next_kind() == "event: progress"
        house.store.cancel(worker.held.job.id)
        worker.desk.release(worker.held)
        assert [next_kind(), next_kind()] == ["event: state"] * 2
        assert not any(line.startswith("event: ") for line in lines)  # and it ends by itself


def test_failed_and_resumed_job_goes_on_in_the_same_numbers(
    house: House, worker: ScriptedWorker, client: TestClient
) -> None:
    job_id = submit(client)["id"]
    worker.take()
    worker.fail()
    before = parse(client.get(f"{JOBS}/{job_id}/events").text)
    house.store.resume(job_id)
    worker.speak_all()
    after = parse(client.get(f"{JOBS}/{job_id}/events").text)

    assert after[: len(before)] == before
    assert [number for number, _, _ in after] == list(range(1, len(after) + 1))
    assert after[-1][2]["to"] == "done"


def test_silence_is_filled_with_comments(house: House, client: TestClient) -> None:
    at = f"{JOBS}/{submit(client)['id']}/events"
    settings = ServerSettings()
    app = FastAPI()
    context = Context(house.backend, settings, Hop(), None)  # type: ignore[arg-type]  # events need no metrics
    app.include_router(job_events.routes(context, heartbeat_s=0.05))
    house.app = app
    with serving(house.app) as base, httpx.stream("GET", base + at, timeout=10) as response:
        assert ": still here" in response.iter_lines()
    context.in_store.close()


def test_deleted_job_ends_its_stream(house: House, worker: ScriptedWorker, client: TestClient, url: str) -> None:
    job_id = submit(client)["id"]
    with httpx.stream("GET", f"{url}{JOBS}/{job_id}/events", timeout=10) as response:
        chunks = response.iter_text()
        next(chunks)
        house.store.cancel(job_id)
        house.store.forget(job_id)
        "".join(chunks)  # it ends, without an error

from __future__ import annotations

import logging
import threading
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from longtake.server.errors import unfinished_is_told
from tests.unit.server.house import House, ScriptedWorker, sound_of, sound_up_to, wait_until
from tests.unit.server.test_errors import error_of
from tests.unit.server.test_jobs import JOBS, submit


class Listener:
    """A client that listens in the background."""

    def __init__(self, url: str) -> None:
        self.received = b""
        self.headers: httpx.Headers | None = None
        self.status: int | None = None
        self.error: Exception | None = None
        self.is_over = False
        self._thread = threading.Thread(target=self._run, args=(url,))
        self._thread.start()

    def _run(self, url: str) -> None:
        try:
            with httpx.stream("GET", url, timeout=15) as response:
                self.status, self.headers = response.status_code, response.headers
                for chunk in response.iter_raw():
                    self.received += chunk
        except httpx.HTTPError as error:
            self.error = error
        self.is_over = True

    def hears(self, data: bytes) -> None:
        wait_until(lambda: len(self.received) >= len(data) or self.is_over)
        assert self.received == data

    def end(self) -> None:
        self._thread.join(15)
        assert self.is_over


@pytest.fixture
def job_id(client: TestClient) -> str:
    job_id: str = submit(client)["id"]
    return job_id


@pytest.fixture
def at(job_id: str) -> str:
    return f"{JOBS}/{job_id}/audio"


def test_finished_file(worker: ScriptedWorker, client: TestClient, at: str, job_id: str) -> None:
    worker.speak_all()

    response = client.get(at)

    assert response.content == sound_up_to(3)
    assert response.headers["content-type"] == "audio/mpeg"
    assert response.headers["content-disposition"] == f'inline; filename="longtake-{job_id}.mp3"'
    assert response.headers["content-length"] == str(len(sound_up_to(3)))
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["longtake-job-state"] == "done"
    assert response.headers["etag"]
    head = client.head(at)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == response.headers["content-length"]


@pytest.mark.parametrize(
    ("wanted", "status", "start", "end"),
    [
        ("bytes=0-99", 206, 0, 100),
        ("bytes=10-", 206, 10, None),
        ("bytes=0-", 206, 0, None),
        ("bytes=-7", 206, -7, None),
        ("bytes=8990-99999", 206, 8990, None),
        (f"bytes=0-{'9' * 23}", 206, 0, None),
        (f"bytes=10-{'9' * 5000}", 206, 10, None),
        (f"bytes={'0' * 5000}7-{'0' * 30}9", 206, 7, 10),
        (f"bytes=-{'9' * 23}", 206, 0, None),
        ("bytes=1_0-20", 200, 0, None),
        ("bytes=٣-9".encode(), 200, 0, None),
        ("bytes=0-1,5-6", 200, 0, None),
        ("bytes=5-2", 200, 0, None),
        ("lines=1-2", 200, 0, None),
        ("bytes=x", 200, 0, None),
    ],
)
def test_ranges_of_the_finished_file(
    worker: ScriptedWorker, client: TestClient, at: str, wanted: str | bytes, status: int, start: int, end: int | None
) -> None:
    worker.speak_all()
    whole = sound_up_to(3)

    sent = wanted if isinstance(wanted, bytes) else wanted.encode()
    response = client.get(at, headers={b"Range": sent})

    assert response.status_code == status
    assert response.content == whole[start:end]
    if status == 206:
        first = start % len(whole)
        assert response.headers["content-range"] == f"bytes {first}-{first + len(response.content) - 1}/{len(whole)}"


@pytest.mark.parametrize("is_done", [True, False])
def test_range_beyond_the_end(worker: ScriptedWorker, client: TestClient, at: str, is_done: bool) -> None:
    worker.take()
    for index in range(3):
        worker.speak(index)
    if is_done:
        worker.finish()

    response = client.get(at, headers={"Range": f"bytes={len(sound_up_to(3))}-"})

    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{len(sound_up_to(3))}"
    assert error_of(response)["code"] == "range_not_satisfiable"


def test_range_while_it_is_spoken_is_what_is_there(worker: ScriptedWorker, client: TestClient, at: str) -> None:
    worker.take()
    worker.speak(0)
    there = len(sound_of(0))

    response = client.get(at, headers={"Range": "bytes=10-99999"})

    assert response.status_code == 206
    assert response.content == sound_of(0)[10:]
    assert response.headers["content-range"] == f"bytes 10-{there - 1}/*"
    assert response.headers["content-length"] == str(there - 10)
    assert response.headers["cache-control"] == "no-store"


def test_without_waiting_there_is_what_is_there(worker: ScriptedWorker, client: TestClient, at: str) -> None:
    before = client.get(at, params={"wait": "false"})
    worker.take()
    worker.speak(0)
    after = client.get(at, params={"wait": "false"})

    assert (before.status_code, before.content) == (200, b"")
    assert (after.status_code, after.content) == (200, sound_of(0))
    assert after.headers["longtake-job-state"] == "running"
    assert client.head(at, params={"wait": "false"}).headers["content-length"] == str(len(sound_of(0)))


def test_head_of_a_live_tail_does_not_wait(client: TestClient, at: str) -> None:
    response = client.head(at)

    assert response.status_code == 200
    assert response.headers["content-type"] == "audio/mpeg"
    assert response.headers["longtake-job-state"] == "queued"
    assert "content-length" not in response.headers


def test_live_tail_from_the_queue_to_the_end(worker: ScriptedWorker, url: str, at: str) -> None:
    listener = Listener(url + at)
    worker.take()
    for index in range(3):
        worker.speak(index)
        listener.hears(sound_up_to(index + 1))
        assert not listener.is_over
    worker.finish()
    listener.end()

    assert (listener.status, listener.error) == (200, None)
    assert listener.received == sound_up_to(3)


def test_live_tail_goes_with_the_job_to_another_worker(house: House, url: str, at: str) -> None:
    """The second worker writes a file of its own from the first byte on: nothing may come twice, nothing be missing."""
    first, second = house.worker("w1"), house.worker("w2")
    first.take()
    first.speak(0)
    first.speak(1)
    first.write(sound_of(2)[:100])  # spoken, not committed
    listener = Listener(url + at)
    heard = sound_up_to(2) + sound_of(2)[:100]
    listener.hears(heard)

    house.store.release_worker("w1", crashed="signal 9")
    first.part.unlink()  # as its successor does when it begins
    second.take()
    assert second.part != first.part
    second.write(sound_up_to(2)[:500])  # shorter than what was heard already
    listener.hears(heard)
    second.write(sound_up_to(2)[500:])
    second.speak(2)
    listener.hears(sound_up_to(3))
    second.finish()
    listener.end()

    assert listener.error is None
    assert listener.received == sound_up_to(3)


def test_live_tail_in_the_moment_between_file_and_word(
    worker: ScriptedWorker, url: str, at: str, client: TestClient
) -> None:
    """The file has its last name already, and the store does not know it yet."""
    claim = worker.take()
    for index in range(3):
        worker.speak(index)
    final = worker.part.with_name(f"audio-{claim.token}.mp3")
    worker.part.rename(final)
    listener = Listener(url + at)
    listener.hears(sound_up_to(3))

    assert client.get(at, headers={"Range": "bytes=0-9"}).content == sound_of(0)[:10]
    assert not listener.is_over
    worker.desk.finish(claim, final.name, final.stat().st_size)
    listener.end()
    assert listener.error is None


@pytest.mark.parametrize("end", ["fail", "cancel", "delete"])
def test_live_tail_of_a_job_that_dies_breaks(worker: ScriptedWorker, url: str, at: str, end: str) -> None:
    worker.take()
    worker.speak(0)
    listener = Listener(url + at)
    listener.hears(sound_of(0))

    if end == "fail":
        worker.fail()
    else:
        worker.house.store.cancel(worker.held.job.id)
        worker.desk.release(worker.held)
    if end == "delete":
        httpx.delete(url + at.removesuffix("/audio"))
    listener.end()

    assert isinstance(listener.error, httpx.RemoteProtocolError)


def test_stream_that_is_broken_on_purpose_is_a_line_of_the_log(
    worker: ScriptedWorker, url: str, at: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    uvicorn_log = logging.getLogger("uvicorn.error")
    monkeypatch.setattr(uvicorn_log, "level", logging.INFO)
    monkeypatch.setattr(uvicorn_log, "filters", [unfinished_is_told])
    monkeypatch.setattr(uvicorn_log, "handlers", [caplog.handler])
    worker.take()
    worker.speak(0)
    listener = Listener(url + at)
    listener.hears(sound_of(0))

    worker.fail()
    listener.end()
    wait_until(lambda: caplog.records)

    assert isinstance(listener.error, httpx.RemoteProtocolError)
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    assert "was cut off" in record.getMessage()


def test_file_shorter_than_its_worker_said_breaks(worker: ScriptedWorker, url: str, at: str) -> None:
    claim = worker.take()
    for index in range(3):
        worker.speak(index)
    listener = Listener(url + at)
    listener.hears(sound_up_to(3))

    final = worker.part.rename(worker.part.with_name("audio-1.mp3"))
    worker.desk.finish(claim, final.name, len(sound_up_to(3)) + 1)
    listener.end()

    assert isinstance(listener.error, httpx.RemoteProtocolError)


def test_browser_that_asks_from_the_start_gets_the_live_tail(worker: ScriptedWorker, url: str, at: str) -> None:
    """Audio elements send `bytes=0-` always, and take an answer of what is there for the whole."""
    worker.take()
    with (
        worker.part.open("ab"),
        httpx.stream("GET", url + at, headers={"Range": "bytes=0-"}) as response,
    ):
        assert response.status_code == 200
        for index in range(3):
            worker.speak(index)
        worker.finish()
        assert response.read() == sound_up_to(3)


def test_listener_who_leaves_harms_no_job(house: House, worker: ScriptedWorker, url: str, at: str, job_id: str) -> None:
    worker.take()
    worker.speak(0)
    with httpx.stream("GET", url + at) as response:
        assert next(response.iter_raw()) == sound_of(0)
    worker.speak(1)

    assert house.store.job(job_id).state == "running"


@pytest.mark.parametrize("verb", ["fail", "cancel"])
def test_ended_before_the_end_gives_what_was_spoken(
    house: House, worker: ScriptedWorker, client: TestClient, at: str, job_id: str, verb: str
) -> None:
    worker.take()
    worker.speak(0)
    if verb == "fail":
        worker.fail()
    else:
        house.store.cancel(job_id)
        worker.desk.release(worker.held)

    response = client.get(at)

    assert (response.status_code, response.content) == (200, sound_of(0))
    assert response.headers["longtake-job-state"] == {"fail": "failed", "cancel": "cancelled"}[verb]
    assert client.get(at, headers={"Range": "bytes=0-3"}).content == sound_of(0)[:4]


def test_cancelled_without_a_sound_has_no_audio(house: House, client: TestClient, at: str, job_id: str) -> None:
    house.store.cancel(job_id)

    response = client.get(at)

    assert (response.status_code, error_of(response)["code"]) == (404, "no_audio")


def test_finished_file_that_is_gone(
    house: House, worker: ScriptedWorker, client: TestClient, at: str, job_id: str
) -> None:
    worker.speak_all()
    house.folder.remove_job(job_id)

    response = client.get(at)

    assert (response.status_code, error_of(response)["code"]) == (404, "audio_missing")


def test_many_listeners_hear_the_same(worker: ScriptedWorker, url: str, at: str) -> None:
    listeners: list[Any] = [Listener(url + at) for _ in range(8)]
    worker.speak_all()
    for listener in listeners:
        listener.end()

    assert {listener.received for listener in listeners} == {sound_up_to(3)}

"""Recordings over HTTP: they come as files of a form, are voices like others, and go when nobody needs them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from longtake.engines import registry
from longtake.jobs.states import State
from longtake.server import recordings as routes
from longtake.supervise import WorkerState, WorkerStatus
from tests.support import echo
from tests.support.recordings import voice, write_file
from tests.unit.server.house import House, serving
from tests.unit.server.test_errors import error_of

VOICES = "/v1/audio/voices"


@pytest.fixture
def house(make_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(registry, "ENGINES", echo.registered())
    registry.about.cache_clear()
    return make_house(engines=["espeak", "echo"])


@pytest.fixture
def mp3(tmp_path: Path) -> bytes:
    return write_file(tmp_path / "a.mp3", voice(3.0)).read_bytes()


def send(client: TestClient, data: bytes, file_name: str = "alice.mp3", **fields: str) -> Any:
    return client.post(VOICES, files={"file": (file_name, data)}, data=fields)


def test_a_recording_becomes_a_voice(house: House, client: TestClient, mp3: bytes) -> None:
    answer = send(client, mp3, name="Alice", language="en")

    assert answer.status_code == 201
    told = answer.json()
    assert told == {
        "id": "alice",
        "name": "Alice",
        "language": "en",
        "engine": "echo",
        "recording_seconds": told["recording_seconds"],
    }
    assert told["recording_seconds"] == pytest.approx(3.0, abs=0.1)
    assert answer.headers["Location"] == f"{VOICES}/alice"
    assert client.get(f"{VOICES}/alice").json() == told
    assert client.get(VOICES, params={"engine": "echo"}).json() == {"voices": [told]}
    assert client.get(VOICES, params={"language": "en"}).json()["voices"][-1] == told
    assert told not in client.get(VOICES, params={"engine": "espeak"}).json()["voices"]
    assert house.voices.samples("alice") == round(told["recording_seconds"] * 24_000)


def test_the_files_name_is_enough(client: TestClient, mp3: bytes) -> None:
    told = send(client, mp3, "zh-小雨.mp3")
    assert (told.json()["id"], told.json()["name"], told.json()["language"]) == ("小雨", "小雨", "zh")
    assert client.get(told.headers["Location"]).json()["id"] == "小雨"


def test_the_same_recording_again_is_the_same_voice(house: House, client: TestClient, mp3: bytes) -> None:
    assert send(client, mp3).json() == send(client, mp3).json()
    assert len(house.voices.voices()) == 1


def test_a_taken_name_is_a_conflict(client: TestClient, mp3: bytes, tmp_path: Path) -> None:
    send(client, mp3)
    other = write_file(tmp_path / "b.wav", voice(4.0)).read_bytes()
    refused = send(client, other, name="Alice")
    assert (refused.status_code, error_of(refused)["code"], error_of(refused)["param"]) == (409, "voice_exists", "name")


def test_a_job_speaks_with_it_and_keeps_it(house: House, client: TestClient, mp3: bytes) -> None:
    send(client, mp3)
    job = client.post("/v1/audio/jobs", json={"model": "echo", "script": "Hello.", "voices": {"1": "alice"}}).json()
    assert job["speakers"][0]["voice"] == "alice"

    refused = client.delete(f"{VOICES}/alice")
    assert (refused.status_code, error_of(refused)["code"]) == (409, "voice_in_use")
    assert job["id"] in error_of(refused)["message"]

    assert client.post(f"/v1/audio/jobs/{job['id']}/cancel").json()["state"] == State.CANCELLED
    removed = client.delete(f"{VOICES}/alice")
    assert (removed.status_code, removed.json()) == (200, {"id": "alice", "object": "audio.voice", "deleted": True})
    assert client.get(f"{VOICES}/alice").status_code == 404


@pytest.mark.parametrize(
    ("voice_id", "status", "code"),
    [("nobody", 404, "unknown_voice"), ("en-us", 409, "not_a_recording"), ("..%2f..%2fjobs", 404, "unknown_route")],
)
def test_what_is_no_recording_cannot_be_deleted(client: TestClient, voice_id: str, status: int, code: str) -> None:
    refused = client.delete(f"{VOICES}/{voice_id}")
    assert (refused.status_code, error_of(refused)["code"]) == (status, code)


@pytest.mark.parametrize(
    ("request_of", "code", "param"),
    [
        ({"files": {"file": ("a.mp3", b"no sound at all")}}, "unreadable_audio", "file"),
        ({"files": {"file": ("a.mp3", b"")}}, "unreadable_audio", "file"),
        ({"files": {"sound": ("a.mp3", b"x")}}, "missing_required_parameter", "file"),
        ({"data": {"file": "a.mp3"}}, "missing_required_parameter", "file"),
        ({"json": {"file": "a.mp3"}}, "missing_required_parameter", "file"),
        ({"content": b"RIFF"}, "missing_required_parameter", "file"),
        ({"files": {"file": ("a", b"x")}, "data": {"gender": "f"}}, "unknown_parameter", "gender"),
        ({"files": {"file": ("a", b"x")}, "data": {"name": "a\nb"}}, "invalid_value", "name"),
        ({"files": {"file": ("a", b"x")}, "data": {"name": "x" * 201}}, "string_above_max_length", "name"),
        ({"files": [("file", ("a", b"x")), ("file", ("b", b"x"))]}, "bad_request", None),
        ({"content": b"--x\r\nnonsense", "headers": {"Content-Type": "multipart/form-data"}}, "bad_request", None),
        (
            {"content": b"nonsense", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            "bad_request",
            None,
        ),
    ],
)
def test_a_form_that_is_not_right_is_told(
    house: House, client: TestClient, request_of: dict[str, Any], code: str, param: str | None
) -> None:
    refused = client.post(VOICES, **request_of)
    assert (refused.status_code, error_of(refused)["code"], error_of(refused)["param"]) == (400, code, param)
    assert house.voices.voices() == ()


def test_what_is_wrong_with_the_sound_is_told(client: TestClient, tmp_path: Path) -> None:
    short = write_file(tmp_path / "a.wav", voice(1.0)).read_bytes()
    refused = send(client, short)
    assert (refused.status_code, error_of(refused)["code"]) == (400, "recording_too_short")
    assert "1.0 s" in error_of(refused)["message"]
    bad = send(client, write_file(tmp_path / "b.wav", voice(3.0)).read_bytes(), language="klingon!")
    assert (bad.status_code, error_of(bad)["param"]) == (400, "language")


def test_a_recording_may_be_larger_than_other_bodies_but_has_its_limit(
    make_house: Callable[..., House], house: House, tmp_path: Path
) -> None:
    small = make_house(engines=["echo"], body_max_bytes=2000, recording_max_bytes=200_000)
    client = TestClient(small.app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    fits = write_file(tmp_path / "a.wav", voice(3.0)).read_bytes()
    assert 2000 < len(fits) < 200_000
    assert send(client, fits).status_code == 201
    refused = send(client, fits + bytes(200_000))
    assert (refused.status_code, error_of(refused)["code"]) == (413, "body_too_large")
    assert "server.recording_max_bytes" in error_of(refused)["message"]
    assert client.post("/v1/audio/check", json={"script": "a" * 3000}).status_code == 413

    def endless() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        for _ in range(1000):
            yield bytes(10_000)

    chunked = client.post(VOICES, content=endless(), headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert (chunked.status_code, error_of(chunked)["code"]) == (413, "body_too_large")


def test_where_no_engine_speaks_with_recordings_none_is_taken(make_house: Callable[..., House], mp3: bytes) -> None:
    alone = make_house()
    refused = send(TestClient(alone.app, base_url="http://127.0.0.1"), mp3)
    assert (refused.status_code, error_of(refused)["code"]) == (409, "no_engine_for_recordings")
    assert "espeak" in error_of(refused)["message"]
    assert alone.voices.voices() == ()


def test_pages_of_other_origins_bring_and_take_nothing(client: TestClient, mp3: bytes) -> None:
    foreign = {"Origin": "https://evil.example"}
    assert client.post(VOICES, files={"file": ("a.mp3", mp3)}, headers=foreign).status_code == 403
    assert client.delete(f"{VOICES}/alice", headers=foreign).status_code == 403


def test_check_says_that_voices_are_missing(client: TestClient, mp3: bytes) -> None:
    body = {"model": "echo", "script": "Ann: Hello.\nBen: Hello."}
    send(client, mp3)
    told = client.post("/v1/audio/check", json=body).json()
    assert not told["ok"]
    assert [speaker["voice"] for speaker in told["speakers"]] == ["alice", None]
    [finding] = told["findings"]
    assert (finding["severity"], finding["code"], finding["line"]) == ("error", "voice_needed", 2)
    assert "1 is missing" in finding["message"]


def test_names_of_openai_stand_for_recordings(house: House, client: TestClient, mp3: bytes) -> None:
    house.statuses.append(WorkerStatus("echo", WorkerState.READY, None, None, 0, 1))
    body = {"model": "echo", "voice": "nova", "input": "Hello.", "response_format": "pcm"}
    none_yet = client.post("/v1/audio/speech", json=body)
    assert (none_yet.status_code, error_of(none_yet)["code"]) == (400, "voice_needed")
    send(client, mp3)
    worker = house.worker(engine="echo")
    with worker.running():
        assert client.post("/v1/audio/speech", json=body).status_code == 200
    assert worker.claimed[0].spec.voices == {1: "alice"}


def test_the_loop_turns_while_a_recording_is_decoded(
    house: House, url: str, mp3: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = threading.Event(), threading.Event()
    add = routes._add

    def slow(*arguments: Any) -> Any:
        began.set()
        go_on.wait(10)
        return add(*arguments)

    monkeypatch.setattr(routes, "_add", slow)
    answers: list[int] = []

    def post() -> None:
        answers.append(httpx.post(url + VOICES, files={"file": ("a.mp3", mp3)}, timeout=20).status_code)

    sender = threading.Thread(target=post)
    sender.start()
    assert began.wait(10)
    began_s = time.perf_counter()
    assert httpx.get(f"{url}/healthz").status_code == 200
    assert time.perf_counter() - began_s < 2
    assert answers == []
    go_on.set()
    sender.join(10)
    assert answers == [201]


def test_over_a_real_socket_the_samples_arrive_as_they_were_sent(house: House, tmp_path: Path) -> None:
    data = write_file(tmp_path / "a.flac", voice(20.0)).read_bytes()
    with serving(house.app) as base:
        answer = httpx.post(base + VOICES, files={"file": ("en-Al.flac", data)}, timeout=20)
    assert answer.status_code == 201
    assert np.array_equal(house.voices.recording("al"), voice(20.0))


def test_openapi_tells_of_the_form(client: TestClient) -> None:
    body = client.get("/openapi.json").json()["paths"][VOICES]["post"]["requestBody"]
    schema = body["content"]["multipart/form-data"]["schema"]
    assert set(schema["properties"]) == {"file", "name", "language"}
    assert schema["required"] == ["file"]

from __future__ import annotations

import base64
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from starlette.testclient import TestClient

from longtake.jobs.records import QueueLimits
from longtake.jobs.states import State
from longtake.script import language_of
from longtake.supervise import WorkerState, WorkerStatus
from longtake.wire.speech import OPENAI_VOICES
from tests.unit.server.house import House, ScriptedWorker, serving, sound_of, sound_up_to, wait_until
from tests.unit.server.test_errors import error_of

TEXT = "One sentence here. Another sentence there. And a third one."
ASKED: dict[str, Any] = {"model": "tts-1", "input": TEXT, "voice": "alloy"}


def is_clean(house: House) -> bool:
    return not house.transients() and not house.files()


@pytest.mark.parametrize(
    ("response_format", "media_type"),
    [
        (None, "audio/mpeg"),
        ("mp3", "audio/mpeg"),
        ("opus", "audio/ogg"),
        ("aac", "audio/aac"),
        ("flac", "audio/flac"),
        ("wav", "audio/wav"),
        ("pcm", "audio/pcm"),
    ],
)
def test_speaks_in_six_formats(
    house: House, worker: ScriptedWorker, client: TestClient, response_format: str | None, media_type: str
) -> None:
    with worker.running():
        response = client.post("/v1/audio/speech", json=ASKED | {"response_format": response_format})
        assert response.status_code == 200, response.text
        wait_until(lambda: is_clean(house))

    assert response.headers["content-type"] == media_type
    assert response.content == sound_up_to(len(worker.held.passages))
    assert worker.claimed[0].spec.response_format == (response_format or "mp3")


def test_job_is_as_asked(house: House, worker: ScriptedWorker, client: TestClient) -> None:
    body = {"model": "espeak", "voice": {"id": "de"}, "speed": 1.5, "instructions": "Softly.", "input": "Guten Tag."}
    with worker.running():
        client.post("/v1/audio/speech", json=body)

    spec = worker.claimed[0].spec
    assert (spec.engine, spec.voices, spec.speed) == ("espeak", {1: "de"}, 1.5)
    assert worker.claimed[0].kind == "speech"
    assert "espeak" in house.woken


def test_all_speakers_get_the_voice(worker: ScriptedWorker, client: TestClient) -> None:
    with worker.running():
        client.post("/v1/audio/speech", json=ASKED | {"input": "Alice: Hello!\nBob: Hi!", "voice": "en-us"})

    assert set(worker.claimed[0].spec.voices.values()) == {"en-us"}


@pytest.mark.parametrize("text", ["Good morning.", "早上好,今天天气很好。"])
def test_voices_of_openai_are_thirteen_different_ones(worker: ScriptedWorker, client: TestClient, text: str) -> None:
    with worker.running():
        for voice in OPENAI_VOICES:
            assert client.post("/v1/audio/speech", json=ASKED | {"voice": voice, "input": text}).status_code == 200

    chosen = [job.spec.voices[1] for job in worker.claimed]
    assert len(set(chosen)) == 13
    tag = {"en": "en", "zh": "cmn"}[language_of(text)]
    assert all(voice.startswith(tag) for voice in chosen)


def test_first_audio_comes_before_the_last_is_spoken(house: House, worker: ScriptedWorker, url: str) -> None:
    with worker.running(hold_after=1) as go_on, httpx.stream("POST", f"{url}/v1/audio/speech", json=ASKED) as response:
        chunks = response.iter_raw()
        assert next(chunks) == sound_of(0)
        assert worker.held.job.state is State.RUNNING
        go_on.set()
        assert b"".join(chunks) == sound_up_to(3)[len(sound_of(0)) :]
    wait_until(lambda: is_clean(house))


def test_wav_waits_until_its_header_is_right(worker: ScriptedWorker, client: TestClient) -> None:
    """A wav header holds the length, so it is written last: bytes that are sent early would carry a wrong one."""
    answers: list[httpx.Response] = []
    asked = ASKED | {"response_format": "wav"}
    thread = threading.Thread(target=lambda: answers.append(client.post("/v1/audio/speech", json=asked)))  # type: ignore[arg-type]
    thread.start()
    wait_until(lambda: worker.house.store.counts())
    worker.take()
    worker.write(struct.pack("<I", 0xFFFFFFFF))
    for index in range(3):
        worker.speak(index)
    time.sleep(0.5)  # time enough to look at the file, were somebody so rash
    with worker.part.open("r+b") as file:
        file.write(struct.pack("<I", 42))
    worker.finish()
    thread.join(10)

    assert answers[0].content[:4] == struct.pack("<I", 42)
    assert answers[0].headers["content-length"] == str(4 + len(sound_up_to(3)))


def test_failure_before_the_first_sound_is_an_error(house: House, worker: ScriptedWorker, client: TestClient) -> None:
    with worker.running(fails_after=0):
        response = client.post("/v1/audio/speech", json=ASKED)

    assert response.status_code == 500
    assert response.headers["x-should-retry"] == "false"
    assert error_of(response)["message"] == "the engine choked"
    wait_until(lambda: is_clean(house))


def drain(chunks: Iterator[bytes], received: bytearray) -> None:
    for chunk in chunks:
        received += chunk


def test_failure_after_it_breaks_the_body(house: House, worker: ScriptedWorker, url: str) -> None:
    received = bytearray()
    with (
        worker.running(fails_after=2, hold_after=2) as go_on,
        httpx.stream("POST", f"{url}/v1/audio/speech", json=ASKED) as response,
    ):
        assert response.status_code == 200
        chunks = response.iter_raw()
        received += next(chunks)
        go_on.set()
        with pytest.raises(httpx.RemoteProtocolError):
            drain(chunks, received)

    assert received == sound_up_to(2)
    wait_until(lambda: is_clean(house))


def events_of(response: httpx.Response) -> list[dict[str, Any]]:
    blocks = response.text.split("\n\n")
    assert blocks.pop() == ""
    assert all(block.startswith("data: ") for block in blocks)
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def test_sse_gives_deltas_and_usage(worker: ScriptedWorker, url: str) -> None:
    with worker.running():
        response = httpx.post(f"{url}/v1/audio/speech", json=ASKED | {"stream_format": "sse"})

    *deltas, done = events_of(response)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(event["audio"]) for event in deltas) == sound_up_to(3)
    assert done["type"] == "speech.audio.done"
    usage = done["usage"]
    assert usage["input_tokens"] == 15  # 59 characters, 4 a token
    assert usage["output_tokens"] >= 60  # 3 seconds and the joins, 20 a second
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_sse_tells_of_a_failure_on_the_way(house: House, worker: ScriptedWorker, url: str) -> None:
    asked = ASKED | {"stream_format": "sse"}
    with (
        worker.running(fails_after=1, hold_after=1) as go_on,
        httpx.stream("POST", f"{url}/v1/audio/speech", json=asked) as response,
    ):
        assert response.status_code == 200
        go_on.set()
        response.read()

    *_, last = events_of(response)
    assert last["type"] == "error"
    assert last["error"] == {
        "message": "the engine choked",
        "type": "server_error",
        "param": None,
        "code": "engine_failed",
    }
    wait_until(lambda: is_clean(house))


@pytest.mark.parametrize("hold_after", [0, 1])
def test_client_that_leaves_cancels_the_job(house: House, worker: ScriptedWorker, url: str, hold_after: int) -> None:
    """Before the first sound and after it."""
    with worker.running(hold_after=hold_after):
        with (
            pytest.raises(httpx.ReadTimeout),
            httpx.stream("POST", f"{url}/v1/audio/speech", json=ASKED, timeout=0.5) as response,
        ):
            for _ in response.iter_raw():
                pass
        wait_until(lambda: is_clean(house))

    assert worker.claimed[0].kind == "speech"
    assert worker.desk.owned() == {}


@pytest.mark.parametrize("state", [WorkerState.BROKEN, WorkerState.STOPPED])
def test_nobody_waits_for_a_worker_that_will_not_come(house: House, client: TestClient, state: WorkerState) -> None:
    house.statuses = [WorkerStatus("espeak", state, None, "died of thirst", 5, 0)]

    response = client.post("/v1/audio/speech", json=ASKED)

    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert "died of thirst" in error_of(response)["message"]
    assert is_clean(house)


def test_worker_that_breaks_while_somebody_waits(house: House, client: TestClient) -> None:
    def break_it() -> None:
        wait_until(lambda: house.store.counts())
        house.statuses = [WorkerStatus("espeak", WorkerState.BROKEN, None, "died of thirst", 5, 0)]

    thread = threading.Thread(target=break_it)
    thread.start()
    response = client.post("/v1/audio/speech", json=ASKED)
    thread.join()

    assert response.status_code == 503
    wait_until(lambda: is_clean(house))


def test_job_that_its_worker_set_aside(house: House, worker: ScriptedWorker, url: str) -> None:
    """A full disk suspends a job; a listener would otherwise wait until somebody resumes it."""

    def suspend() -> None:
        wait_until(lambda: house.store.counts())
        worker.take()
        worker.desk.suspend(worker.held, "the disk is full")

    thread = threading.Thread(target=suspend)
    thread.start()
    response = httpx.post(f"{url}/v1/audio/speech", json=ASKED)
    thread.join()

    assert response.status_code == 503
    assert "the disk is full" in error_of(response)["message"]
    wait_until(lambda: is_clean(house))


def test_full_queue_is_429_with_advice(make_house: Callable[..., House]) -> None:
    house = make_house(queue=QueueLimits(max_jobs=0))
    with TestClient(house.app, base_url="http://127.0.0.1") as client:
        response = client.post("/v1/audio/speech", json=ASKED)

    assert response.status_code == 429
    assert error_of(response)["type"] == "rate_limit_error"
    assert response.headers["retry-after"] == "30"
    assert response.headers["retry-after-ms"] == "30000"


def test_longest_input_is_a_setting_that_the_message_names(make_house: Callable[..., House]) -> None:
    house = make_house(speech_max_characters=10)
    with TestClient(house.app, base_url="http://127.0.0.1") as client:
        response = client.post("/v1/audio/speech", json=ASKED)

    error = error_of(response)
    assert (response.status_code, error["param"], error["code"]) == (400, "input", "string_above_max_length")
    for told in ("59", "10", "--speech-max-characters"):
        assert told in error["message"]


def test_client_of_openai_works_unchanged(make_house: Callable[..., House]) -> None:
    house = make_house(api_key="sk-test")
    worker = house.worker()
    with (
        serving(house.app) as base,
        worker.running(),
        openai.OpenAI(base_url=f"{base}/v1", api_key="sk-test", max_retries=0) as client,
    ):
        spoken = client.audio.speech.create(model="tts-1", voice="nova", input=TEXT)
        assert spoken.content == sound_up_to(3)
        assert [model.id for model in client.models.list()] == ["espeak"]
        assert client.models.retrieve("tts-1").id == "tts-1"
        with pytest.raises(openai.BadRequestError) as refused:
            client.audio.speech.create(model="tts-1", voice="nobody", input=TEXT)
        assert refused.value.code == "unknown_voice"
        assert refused.value.param == "voice"
        with pytest.raises(openai.NotFoundError):
            client.audio.speech.create(model="tts-7", voice="nova", input=TEXT)

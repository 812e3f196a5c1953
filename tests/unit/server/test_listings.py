from __future__ import annotations

from starlette.testclient import TestClient

from longtake.supervise import WorkerState, WorkerStatus
from tests.unit.server.house import House


def test_models_in_the_shape_of_openai(client: TestClient) -> None:
    listed = client.get("/v1/models").json()

    assert listed["object"] == "list"
    [model] = listed["data"]
    assert (model["id"], model["object"], model["owned_by"]) == ("espeak", "model", "longtake")
    assert isinstance(model["created"], int)
    assert client.get("/v1/models/espeak").json() == model


def test_models_in_the_shape_of_open_webui(client: TestClient) -> None:
    body = client.get("/v1/audio/models").json()

    assert [(model["id"], model["name"]) for model in body["models"]] == [("espeak", "espeak-ng")]


def test_voices(client: TestClient) -> None:
    voices = client.get("/v1/audio/voices").json()["voices"]

    assert len(voices) > 100
    assert all(set(voice) == {"id", "name", "language", "engine", "recording_seconds"} for voice in voices)
    assert all(voice["recording_seconds"] is None for voice in voices)
    assert voices[0]["id"] == "en-us"


def test_voices_of_a_language(client: TestClient) -> None:
    def languages(wanted: str) -> set[str]:
        answer = client.get("/v1/audio/voices", params={"language": wanted, "engine": "espeak"})
        return {voice["language"].lower() for voice in answer.json()["voices"]}

    assert languages("EN") >= {"en-us", "en-gb"}
    assert all(language.startswith("en-gb") for language in languages("en-gb"))
    assert not any(language.startswith("es") for language in languages("e"))  # e is no language


def test_one_voice_also_when_it_is_not_listed(client: TestClient) -> None:
    voice = client.get("/v1/audio/voices/de+whisper").json()

    assert (voice["id"], voice["engine"]) == ("de+whisper", "espeak")


def test_a_model_says_how_its_worker_is(house: House, client: TestClient) -> None:
    house.statuses = [WorkerStatus("espeak", WorkerState.UNLOADED, 1, None, 0, 0)]
    assert client.get("/v1/models/espeak").json()["state"] == "unloaded"
    house.statuses = []
    assert client.get("/v1/models").json()["data"][0]["state"] == "stopped"


def test_openapi_tells_of_the_bodies(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]

    for path, field in (("/v1/audio/speech", "input"), ("/v1/audio/jobs", "script"), ("/v1/audio/check", "script")):
        schema = paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert field in schema["required"]
        assert "$defs" not in schema  # a reference inside the body would point nowhere

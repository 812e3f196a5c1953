from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from longtake.core import errors
from longtake.core.errors import LongtakeError
from longtake.server.errors import STATUSES, LastResort, failure_of_job, to_failure
from longtake.studio import mount_studio
from tests.unit.server.house import House

SPEECH: dict[str, Any] = {"model": "tts-1", "input": "Hello.", "voice": "alloy"}
JOB: dict[str, Any] = {"script": "Hello."}


def error_of(response: Any) -> dict[str, Any]:
    """The envelope's inside; every error has all four keys and nothing else beside."""
    body = response.json()
    assert set(body) == {"error"}, body
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    error: dict[str, Any] = body["error"]
    return error


@pytest.fixture(scope="module")
def beside_the_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The API as it is served: with the page mounted at the root."""
    house = House(tmp_path_factory.mktemp("data"))

    async def mount() -> None:
        mount_studio(house.app, "http://127.0.0.1:1", api_key=None, max_file_bytes=4_000_000)

    asyncio.run(mount())
    with TestClient(house.app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client
    house.db.close()


@pytest.fixture(params=["alone", "beside the studio"])
def either(request: pytest.FixtureRequest) -> TestClient:
    client: TestClient = request.getfixturevalue("client" if request.param == "alone" else "beside_the_studio")
    return client


@pytest.mark.parametrize(
    ("path", "body", "param", "code", "told"),
    [
        ("/v1/audio/speech", SPEECH | {"voice": None}, "voice", "missing_required_parameter", "'voice'"),
        ("/v1/audio/speech", {"model": "tts-1", "voice": "alloy"}, "input", "missing_required_parameter", "'input'"),
        ("/v1/audio/speech", {"input": "a", "voice": "alloy"}, "model", "missing_required_parameter", "'model'"),
        ("/v1/audio/speech", SPEECH | {"input": ""}, "input", "string_below_min_length", "empty"),
        ("/v1/audio/speech", SPEECH | {"input": "…"}, "input", "empty_script", "nothing to speak"),
        ("/v1/audio/speech", SPEECH | {"input": "é" * 4097}, "input", "string_above_max_length", "4097"),
        ("/v1/audio/speech", SPEECH | {"input": 7}, "input", "invalid_type", "7"),
        ("/v1/audio/speech", SPEECH | {"speed": 4.01}, "speed", "value_above_max", "4.01; it must be 4.0 or less"),
        ("/v1/audio/speech", SPEECH | {"speed": 0.2}, "speed", "value_below_min", "0.25 or more"),
        ("/v1/audio/speech", SPEECH | {"speed": "1"}, "speed", "invalid_type", "'1'"),
        ("/v1/audio/speech", SPEECH | {"response_format": "ogg"}, "response_format", "invalid_value", "'mp3'"),
        ("/v1/audio/speech", SPEECH | {"stream_format": "ws"}, "stream_format", "invalid_value", "'sse'"),
        ("/v1/audio/speech", SPEECH | {"voice": "nobody"}, "voice", "unknown_voice", "'nobody'"),
        ("/v1/audio/speech", SPEECH | {"voice": {"id": "nobody"}}, "voice", "unknown_voice", "'nobody'"),
        ("/v1/audio/speech", SPEECH | {"voice": {"name": "x"}}, "voice", "invalid_value", '"id"'),
        ("/v1/audio/speech", SPEECH | {"voice": "a\u0000b"}, "voice", "invalid_value", "U+0000"),
        ("/v1/audio/speech", SPEECH | {"instructions": "x" * 4097}, "instructions", "string_above_max_length", "4096"),
        ("/v1/audio/speech", SPEECH | {"seed": 1}, "seed", "unknown_parameter", "'seed'"),
        ("/v1/audio/jobs", {}, "script", "missing_required_parameter", "'script'"),
        ("/v1/audio/jobs", JOB | {"voices": {"1": 3}}, "voices.1", "invalid_type", "3"),
        ("/v1/audio/jobs", JOB | {"voices": {"1": "nobody"}}, "voices", "unknown_voice", "nobody"),
        ("/v1/audio/jobs", JOB | {"voices": {"Bob": "en-us"}}, "voices", "unknown_speaker", "Bob"),
        ("/v1/audio/jobs", JOB | {"voices": {str(n): "en" for n in range(101)}}, "voices", "too_many_items", "101"),
        ("/v1/audio/jobs", JOB | {"settings": {"nope": 1}}, None, None, "nope"),
        ("/v1/audio/jobs", JOB | {"seed": -1}, "seed", "value_below_min", "-1"),
        ("/v1/audio/jobs", JOB | {"turn_silence_seconds": 11}, "turn_silence_seconds", "value_above_max", "11"),
        ("/v1/audio/jobs", JOB | {"title": "a\u001b[2J"}, "title", "invalid_value", "U+001B"),
        ("/v1/audio/jobs", JOB | {"out_path": "/etc/passwd"}, "out_path", "unknown_parameter", "out_path"),
        ("/v1/audio/check", JOB | {"loudness": "off"}, "loudness", "unknown_parameter", "loudness"),
    ],
)
def test_bad_field_is_named_with_value_and_limit(
    either: TestClient, path: str, body: dict[str, Any], param: str | None, code: str | None, told: str
) -> None:
    response = either.post(path, json=body)

    error = error_of(response)
    assert response.status_code == 400, error
    assert error["type"] == "invalid_request_error"
    assert response.headers["x-should-retry"] == "false"
    assert told in error["message"]
    if code is not None:
        assert (error["param"], error["code"]) == (param, code)


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        (b'{"model":\n "a",}', "invalid_json", "line 2 column 6"),
        (b"", "invalid_json", "line 1"),
        (b"[1]", "invalid_type", "JSON object"),
        (b'{"model": "\xff"}', "invalid_encoding", "byte 11 (0xFF)"),
        (b'{"input": "\\ud800"}', "invalid_json", "line 1"),
        (b'{"speed": NaN, "model": "m", "input": "i", "voice": "v"}', "invalid_type", "finite"),
        (b"[" * 100_000, "invalid_json", "recursion"),
    ],
)
def test_bad_body_is_told_where(either: TestClient, content: bytes, code: str, told: str) -> None:
    response = either.post("/v1/audio/speech", content=content)

    assert response.status_code == 400
    assert error_of(response)["code"] == code
    assert told in error_of(response)["message"]


def test_content_type_does_not_matter(client: TestClient) -> None:
    sent = client.post("/v1/audio/jobs", content=b'{"script": "Hello."}', headers={"Content-Type": "text/plain"})

    assert sent.status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "unknown_route"),
        ("GET", "/v1/models/", 404, None),
        ("GET", "/v1/audio/speech", 405, "method_not_allowed"),
        ("PUT", "/v1/audio/jobs", 405, "method_not_allowed"),
        ("PUT", "/v1/audio/speech", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("DELETE", "/readyz", 405, "method_not_allowed"),
        ("POST", "/metrics", 405, "method_not_allowed"),
        ("GET", "/v1", 404, "unknown_route"),
        ("POST", "/v1/foo/bar", 404, "unknown_route"),
        ("GET", "/healthz/", 404, "unknown_route"),
        ("GET", "/nothing", 404, "unknown_route"),
        ("PUT", "/", 404, "unknown_route"),
        ("GET", "/v1/audio/jobs?limit=0", 400, "value_below_min"),
        ("GET", "/v1/audio/jobs?limit=x", 400, "invalid_type"),
        ("GET", f"/v1/audio/jobs?limit={'9' * 20}", 400, "value_above_max"),
        ("GET", f"/v1/audio/jobs?limit={'9' * 5000}", 400, "invalid_type"),
        ("GET", "/v1/audio/jobs?after=job_00", 404, "job_not_found"),
        ("GET", "/v1/audio/jobs/job_00", 404, "job_not_found"),
        ("GET", "/v1/audio/jobs/..%2f..%2fetc", 404, None),
        ("GET", "/v1/audio/jobs/%00/audio", 404, "job_not_found"),
        ("POST", "/v1/audio/jobs/job_00/cancel", 404, "job_not_found"),
        ("GET", "/v1/models/gpt-9", 404, "model_not_found"),
        ("GET", "/v1/audio/voices/nobody", 404, "unknown_voice"),
        ("GET", "/v1/audio/voices?engine=nothing", 404, "model_not_found"),
    ],
)
def test_unknown_things_are_enveloped(
    either: TestClient, method: str, path: str, status: int, code: str | None
) -> None:
    response = either.request(method, path)

    assert response.status_code == status
    assert code is None or error_of(response)["code"] == code


def test_wrong_method_says_which_are_right(either: TestClient) -> None:
    response = either.get("/v1/audio/speech")

    assert response.headers["Allow"] == "POST"
    assert "POST" in error_of(response)["message"]
    head = either.head("/healthz")
    assert (head.status_code, head.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize("field", ["seed", "speed", "turn_silence_seconds", "settings", "script", "title"])
@pytest.mark.parametrize("number", ["9" * 20, "-" + "9" * 20, "9" * 5000, "1e400"])
def test_no_number_is_too_large_to_be_refused(client: TestClient, field: str, number: str) -> None:
    value = f'{{"pitch": {number}}}' if field == "settings" else number
    body = f'{{"{field}": {value}}}' if field == "script" else f'{{"script": "Hello.", "{field}": {value}}}'
    response = client.post("/v1/audio/jobs", content=body)

    assert response.status_code == 400
    error_of(response)


@pytest.mark.parametrize("digits", [20, 5000])
def test_length_that_cannot_be_is_too_large(client: TestClient, digits: int) -> None:
    response = client.post("/v1/audio/jobs", content=b"{}", headers={"Content-Length": "9" * digits})

    assert response.status_code == 413
    assert error_of(response)["code"] == "body_too_large"


def test_openapi_tells_of_our_errors_and_not_of_fastapis(either: TestClient) -> None:
    page = either.get("/openapi.json").json()

    for path, operations in page["paths"].items():
        for operation in operations.values():
            assert "422" not in operation["responses"], path
            for status in ("400", "default"):
                schema = operation["responses"][status]["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorBody"}, path
    assert not {name for name in page["components"]["schemas"] if "Validation" in name}


def test_unknown_model_is_404_as_at_openai(client: TestClient) -> None:
    response = client.post("/v1/audio/speech", json=SPEECH | {"model": "tts-9"})

    assert response.status_code == 404
    assert error_of(response)["code"] == "model_not_found"


def test_bug_of_ours_tells_nothing_to_the_client(house: House, caplog: pytest.LogCaptureFixture) -> None:
    router = APIRouter()

    @router.get("/boom")
    async def boom() -> None:
        raise ValueError("the secret path")

    house.app.include_router(router)
    with TestClient(house.app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        response = client.get("/boom")
        assert 'route="/boom",status="5xx"' in client.get("/metrics").text

    assert response.status_code == 500
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["x-request-id"]
    assert error_of(response)["code"] == "internal_error"
    assert "secret" not in response.text
    assert "the secret path" in caplog.text


def test_client_that_leaves_before_its_request_is_whole_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def leave(scope: Scope, receive: Receive, send: Send) -> None:
        raise ClientDisconnect

    async def nothing(*message: object) -> None:
        raise AssertionError

    asyncio.run(LastResort(leave)({"type": "http"}, nothing, nothing))  # type: ignore[arg-type]
    assert not caplog.records


@pytest.mark.parametrize(
    ("error", "status", "retry_after", "should_retry"),
    [
        (errors.InputError("m"), 400, None, "false"),
        (errors.NotFoundError("m"), 404, None, "false"),
        (errors.ConflictError("m"), 409, None, "false"),
        (errors.TooLargeError("m"), 413, None, "false"),
        (errors.CapacityError("m"), 413, None, "false"),
        (errors.CapacityError("m", retry_after_s=2.5), 503, "3", None),
        (errors.QueueFullError("m", retry_after_s=30.0), 429, "30", None),
        (errors.DiskFullError("m"), 507, None, "false"),
        (errors.TransientError("m"), 503, "1", None),
        (errors.EngineError("m"), 500, None, "false"),
        (errors.WorkerError("m"), 503, "1", None),
        (errors.InvariantError("m"), 500, None, "false"),
    ],
)
def test_status_and_advice_of_every_class(
    error: LongtakeError, status: int, retry_after: str | None, should_retry: str | None
) -> None:
    response = to_failure(error).to_response()

    assert response.status_code == status
    assert response.headers.get("retry-after") == retry_after
    assert response.headers.get("x-should-retry") == should_retry


def test_retry_after_in_milliseconds() -> None:
    response = to_failure(errors.TransientError("m", retry_after_s=0.25)).to_response()

    assert (response.headers["retry-after"], response.headers["retry-after-ms"]) == ("1", "250")


def test_no_row_of_the_table_is_hidden_by_one_above() -> None:
    for place, (kind, _, _) in enumerate(STATUSES):
        assert not any(issubclass(kind, above) for above, _, _ in STATUSES[:place]), kind


def test_message_of_a_bug_is_kept_for_the_log() -> None:
    assert "passage 7" not in to_failure(errors.InvariantError("passage 7 is odd")).message


def test_failed_job_speaks_for_its_request() -> None:
    bad_input = failure_of_job({"message": "m", "type": "invalid_request_error", "param": "script", "code": "c"})
    broken = failure_of_job({"message": "m", "type": "engine_error", "param": None, "code": "engine_failed"})

    assert (bad_input.status, bad_input.param) == (400, "input")
    assert (broken.status, broken.type) == (500, "server_error")
    assert failure_of_job(None).message

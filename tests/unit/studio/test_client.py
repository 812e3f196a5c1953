from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import pytest

from longtake.studio.client import Api, ApiError
from tests.unit.studio.answers import JOB_ID, check, job

R = TypeVar("R")
ENVELOPE = {"error": {"message": "The queue is full.", "type": "rate_limit_error", "param": None, "code": "queue_full"}}


def ask(handler: Callable[[httpx.Request], httpx.Response], question: Callable[[Api], Awaitable[R]]) -> R:
    async def asking() -> R:
        api = Api("http://127.0.0.1:7860", "secret", httpx.MockTransport(handler))
        async with api.http:
            return await question(api)

    return asyncio.run(asking())


def test_a_job_is_submitted_with_key_and_idempotency_key() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202, text=job("queued").model_dump_json())

    assert ask(handler, lambda api: api.submit({"script": "你好"}, "k1")).id == JOB_ID
    assert seen[0].method == "POST"
    assert seen[0].url.path == "/v1/audio/jobs"
    assert seen[0].headers["authorization"] == "Bearer secret"
    assert seen[0].headers["idempotency-key"] == "k1"
    assert json.loads(seen[0].content) == {"script": "你好"}


def test_fields_that_a_newer_server_adds_do_no_harm() -> None:
    body = check().model_dump() | {"mood": "sunny"}
    assert ask(lambda request: httpx.Response(200, json=body), lambda api: api.check({})).turns == 3


def test_the_servers_message_is_told_as_it_is() -> None:
    with pytest.raises(ApiError) as caught:
        ask(lambda request: httpx.Response(429, json=ENVELOPE), lambda api: api.check({}))
    assert caught.value.told("zh") == "The queue is full."
    assert caught.value.status == 429


@pytest.mark.parametrize("status", [200, 502])
def test_an_answer_that_is_no_answer(status: int) -> None:
    with pytest.raises(ApiError) as caught:
        ask(lambda request: httpx.Response(status, text="<html>proxy</html>"), lambda api: api.models())
    assert f"HTTP {status}" in caught.value.told("en")


def test_a_server_that_is_not_there() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(ApiError) as caught:
        ask(refuse, lambda api: api.jobs(10))
    assert "does not answer" in caught.value.told("en")
    assert caught.value.told("zh").startswith("服务器没有响应")


@pytest.mark.parametrize("job_id", ["", "../admin", "job_1/../../x", "job_1?x", "job_ä", "job_" + "1" * 61])
def test_what_is_no_id_reaches_no_address(job_id: str) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.url)

    for question in (lambda api: api.job(job_id), lambda api: api.steer(job_id, "pause")):
        with pytest.raises(ApiError):
            ask(fail, question)


def test_only_three_verbs() -> None:
    with pytest.raises(ValueError, match="delete"):
        ask(lambda request: httpx.Response(200), lambda api: api.steer(JOB_ID, "delete"))


def test_not_ready_is_an_answer() -> None:
    body = {"ready": False, "engines": {"espeak": {"ready": False, "milliseconds": None, "reason": "It is broken."}}}
    readiness = ask(lambda request: httpx.Response(503, json=body), lambda api: api.readiness())
    assert readiness.engines["espeak"].reason == "It is broken."


def test_voices_are_asked_for_once() -> None:
    voice = {"id": "en-us", "name": "English", "language": "en-US", "engine": "espeak"}
    calls: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.query.decode())
        return httpx.Response(200, json={"voices": [voice]})

    async def twice(api: Api) -> int:
        await api.voices("espeak")
        return len(await api.voices("espeak"))

    assert ask(handler, twice) == 1
    assert calls == ["engine=espeak"]

"""The page beside an API, asked over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from importlib import metadata

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Message

from longtake.studio import files, mount_studio, plotly
from longtake.studio.client import Api
from tests.unit.studio.answers import JOB_ID

KEY = "a-long-random-word"
AUDIO = f"{files.GUARDED.jobs}/{JOB_ID}/audio"
DECODE = files.GUARDED.decode


@contextmanager
def mounted(api_key: str | None) -> Iterator[TestClient]:
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> list[str]:
        return ["mine"]

    async def mount() -> FastAPI:
        return mount_studio(app, "http://127.0.0.1:1", api_key=api_key, max_file_bytes=4_000_000)

    with TestClient(asyncio.run(mount()), base_url="http://127.0.0.1") as client:
        yield client


def test_the_page_is_at_the_root_and_the_api_goes_first() -> None:
    with mounted(None) as client:
        assert client.get("/v1/models").json() == ["mine"]
        page = client.get("/")
        assert page.status_code == 200
        assert "fonts.googleapis" not in page.text
        assert client.get("/theme.css").text.count("@import") == 0
        assert client.get(AUDIO).status_code == 404


def test_the_page_tells_nothing_but_itself() -> None:
    with mounted(None) as client:
        assert client.get("/gradio_api/info").status_code == 404
        assert client.get("/gradio_api/file=/etc/passwd").status_code == 404
        assert client.post(DECODE, content=b"x").status_code == 404
        config = client.get("/config").json()
        assert config["analytics_enabled"] is False
        assert config["show_error"] is False


def test_with_a_key_nothing_is_shown_or_done_before_it_is_given() -> None:
    with mounted(KEY) as client:
        assert client.get("/config").status_code == 401
        assert client.post("/gradio_api/queue/join", json={"data": []}).status_code == 401
        assert client.get(AUDIO).status_code == 401
        assert client.post(DECODE, content=b"x").status_code == 401
        for path in ("monitor", "monitor/series", "logs", "logs/stream", "report"):
            assert client.get(f"/studio/{path}").status_code == 401
        for password in ("", "wrong", KEY + "x"):
            assert client.post("/login", data={"username": "me", "password": password}).status_code in (400, 422)
        assert client.get(AUDIO).status_code == 401
        assert client.post("/login", data={"username": "me", "password": KEY}).status_code == 200
        assert client.get("/config").status_code == 200
        assert client.post(DECODE, content=b"x").status_code == 502
        assert client.get(AUDIO).status_code == 502  # the door is open; there is just no server behind it
        assert client.get(f"{files.GUARDED.jobs}/job_..%2Fx/audio").status_code == 404
        assert client.get(f"{files.GUARDED.jobs}/{JOB_ID}/script").status_code == 422
        assert KEY not in client.get("/").text


def relay(api: FastAPI) -> TestClient:
    app = FastAPI()
    transport = httpx.ASGITransport(api)
    app.include_router(files.routes(Api("http://127.0.0.1", KEY, transport), lambda request: True))
    return TestClient(app)


def test_range_and_key_go_in_and_the_bytes_come_out() -> None:
    api = FastAPI()
    seen: list[Request] = []

    @api.get("/v1/audio/jobs/{job_id}/audio")
    async def audio(request: Request) -> PlainTextResponse:
        seen.append(request)
        headers = {"Content-Range": "bytes 2-4/9", "Set-Cookie": "x=y", "Accept-Ranges": "bytes"}
        return PlainTextResponse("cde", 206, headers, "audio/mpeg")

    answer = relay(api).get(f"{AUDIO}?done", headers={"Range": "bytes=2-4", "Cookie": "secret=1"})
    assert (answer.status_code, answer.content) == (206, b"cde")
    assert answer.headers["content-range"] == "bytes 2-4/9"
    assert answer.headers["content-length"] == "3"
    assert "set-cookie" not in answer.headers
    assert seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert seen[0].headers["range"] == "bytes=2-4"
    assert "cookie" not in seen[0].headers
    assert not seen[0].url.query


@pytest.mark.parametrize("name", ["subtitles.srt", "subtitles.vtt"])
def test_the_servers_refusal_comes_through(name: str) -> None:
    answer = relay(FastAPI()).get(f"{files.GUARDED.jobs}/{JOB_ID}/{name}")
    assert answer.status_code == 404


def test_a_file_goes_in_as_it_is_and_its_text_comes_out() -> None:
    api = FastAPI()
    seen: list[tuple[str | None, bytes]] = []

    @api.post("/v1/audio/decode")
    async def decode(request: Request) -> PlainTextResponse:
        seen.append((request.headers.get("authorization"), await request.body()))
        return PlainTextResponse('{"text": "x"}', 413, media_type="application/json")

    answer = relay(api).post(DECODE, content=b"\xff\xfe\x00", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()) == (413, {"text": "x"})
    assert seen == [(f"Bearer {KEY}", b"\xff\xfe\x00")]


def test_figures_lines_and_reports_go_through_with_the_parameters_that_they_have() -> None:
    api = FastAPI()
    seen: list[Request] = []

    @api.get("/v1/{path:path}")
    async def answer(request: Request) -> PlainTextResponse:
        seen.append(request)
        return PlainTextResponse("data: x\n\n", media_type="text/event-stream")

    client = relay(api)
    asked = {
        f"{files.GUARDED.monitor}?names=x": "/v1/monitor",
        f"{files.GUARDED.monitor}/series?names=a,b&seconds=300&steps=3&evil=1": "/v1/monitor/series",
        f"{files.GUARDED.logs}?level=info&since=1": "/v1/logs",
        f"{files.GUARDED.logs}/stream?after=web%3Ax.1": "/v1/logs/stream",
        f"{files.GUARDED.report}?since=7d&format=json": "/v1/report",
    }
    for path, wanted in asked.items():
        found = client.get(path, headers={"Last-Event-ID": "web:x.7", "Cookie": "secret=1"})
        assert (found.status_code, found.text) == (200, "data: x\n\n")
        assert seen[-1].url.path == wanted
        assert seen[-1].headers["authorization"] == f"Bearer {KEY}"
        assert seen[-1].headers["last-event-id"] == "web:x.7"
        assert "cookie" not in seen[-1].headers
    assert [str(request.query_params) for request in seen] == [
        *("", "names=a%2Cb&seconds=300&steps=3", "level=info", "after=web%3Ax.1", "since=7d"),
    ]
    for path in (
        "/studio/metrics",
        f"{files.GUARDED.monitor}/stream",
        f"{files.GUARDED.logs}/x",
        "/studio/admin/restart",
    ):
        assert client.get(path).status_code == 404
    assert client.post(files.GUARDED.monitor).status_code == 405


def test_the_charts_script_comes_with_the_page_and_is_kept() -> None:
    with mounted(None) as client:
        answer = client.get(plotly.ADDRESS)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert "plotly.js v" in answer.text[:200]
    assert plotly.ADDRESS.endswith(metadata.version("plotly"))


class BreakingStream(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"abc"
        raise httpx.RemoteProtocolError("peer closed connection")


def test_a_stream_that_the_api_cuts_off_is_cut_off_without_a_trace() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=BreakingStream()))
    app = FastAPI()
    app.include_router(files.routes(Api("http://127.0.0.1", KEY, transport), lambda request: True))
    sent: list[Message] = []

    async def ask() -> None:
        async def receive() -> Message:
            await asyncio.sleep(60)
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": AUDIO, "headers": [], "query_string": b""}
        await app(scope | {"asgi": {"version": "3.0", "spec_version": "2.4"}}, receive, send)

    asyncio.run(ask())
    assert sent[-1] == {"type": "http.response.body", "body": b"abc", "more_body": True}

"""No path and no address from a request is ever opened: the real page beside the real API, on a real socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from longtake.studio import door, mount_studio
from tests.unit.server.house import House, serving
from tests.unit.server.test_errors import error_of

SECRET = "nobody-may-read-this"
JOIN = "/gradio_api/queue/join"


class Bait:
    """A server of the network behind, which must never be asked; and a file that must never be read."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(SECRET.encode())

            def log_message(self, *args: object) -> None:
                pass

        self.file = folder / "secret.txt"
        self.file.write_text(SECRET)
        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/secret.txt"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def bait(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bait]:
    bait = Bait(tmp_path_factory.mktemp("bait"))
    yield bait
    bait.close()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where Gradio would put copies."""
    folder = tmp_path_factory.mktemp("gradio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[httpx.Client]:
    house = House(tmp_path_factory.mktemp("data"))

    async def mount() -> None:
        mount_studio(house.app, "http://127.0.0.1:1", api_key=None, max_file_bytes=4_000_000)

    asyncio.run(mount())
    with serving(house.app) as url, httpx.Client(base_url=url, timeout=20, trust_env=False) as http:
        yield http
    house.db.close()


def file_data(path: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def outcome(http: httpx.Client, body: dict[str, Any]) -> str:
    """All that a client is told of an event, until it is over."""
    joined = http.post(JOIN, json=body)
    if joined.status_code != 200:
        assert error_of(joined)["code"] == "invalid_value"
        return joined.text
    told = joined.text
    with http.stream("GET", "/gradio_api/queue/data", params={"session_hash": body["session_hash"]}) as stream:
        for line in stream.iter_lines():
            told += line
            if "process_completed" in line or "close_stream" in line:
                break
    return told


def test_no_event_of_the_page_opens_a_file_or_an_address(http: httpx.Client, bait: Bait, cache: Path) -> None:
    events = http.get("/config").json()["dependencies"]
    assert len(events) > 20
    for event in events:
        if not event["backend_fn"]:
            continue
        for place in range(len(event["inputs"])):
            for wanted in (str(bait.file), bait.url):
                data: list[Any] = [""] * len(event["inputs"])
                data[place] = file_data(wanted)
                session = f"s{event['id']}x{place}"
                told = outcome(http, {"data": data, "fn_index": event["id"], "session_hash": session})
                assert SECRET not in told, event
                assert "invalid_value" in told, event  # not even begun
    assert bait.asked == []
    assert list(cache.rglob("*.*")) == []


def nested(thing: Any) -> Iterator[dict[str, Any]]:
    """The ways to hide something in an event."""
    yield {"data": [thing]}
    yield {"data": [[thing]]}
    yield {"data": [{"value": thing}]}
    yield {"data": [], "event_data": thing}
    yield {"data": [], "event_data": {"job": thing}}
    yield {"data": [], "event_data": [thing]}
    yield {"data": [], "batched": [thing]}
    yield {"data": thing}


def test_what_could_be_a_file_is_refused_unread(http: httpx.Client, bait: Bait) -> None:
    for event in nested(file_data(str(bait.file))):
        answer = http.post(JOIN, json={"fn_index": 0, "session_hash": "s", **event})
        assert answer.status_code == 400, event
        assert error_of(answer)["code"] == "invalid_value"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"[" * 100_000, b'{"data": 7}', b'{"data": [' + b"9" * 5000 + b"]}"]
)
def test_what_is_no_event_is_refused(http: httpx.Client, body: bytes) -> None:
    answer = http.post(JOIN, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    error_of(answer)


def test_the_wall_behind_holds_alone(http: httpx.Client, bait: Bait, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio's own look at paths, which a mounted page has only when it is told that it was launched."""
    monkeypatch.setattr(door, "_read", json.loads)
    boot = http.get("/config").json()["dependencies"][0]
    data = ["en", "", file_data(str(bait.file))]
    told = outcome(http, {"data": data, "fn_index": boot["id"], "session_hash": "behind"})
    assert '"success":false' in told.replace(" ", "")
    assert SECRET not in told


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/upload"),
        ("GET", "/gradio_api/upload_progress?upload_id=x"),
        ("GET", "/gradio_api/file=/etc/passwd"),
        ("HEAD", "/gradio_api/file=/etc/passwd"),
        ("GET", "/gradio_api/file=http://127.0.0.1/"),
        ("GET", "/gradio_api/file/etc/passwd"),
        ("GET", "/gradio_api/proxy=http://127.0.0.1/"),
        ("POST", "/gradio_api/run/predict"),
        ("POST", "/gradio_api/api/predict"),
        ("POST", "/gradio_api/call/boot"),
        ("POST", "/gradio_api/call/v2/boot"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/stream/x"),
        ("GET", "/gradio_api/stream/a/0/0/playlist-file"),
        ("GET", "/gradio_api/custom_component/a/client/b/c"),
        ("GET", "/gradio_api/info"),
        ("GET", "/gradio_api/openapi.json"),
        ("GET", "/gradio_api/token"),
        ("GET", "/gradio_api/deep_link"),
        ("GET", "/monitoring"),
        ("POST", "/gradio_api/queue/join/"),
        ("POST", "//gradio_api/queue/join"),
        ("GET", "/nothing"),
        ("PUT", "/"),
    ],
)
def test_what_the_page_does_not_need_is_not_there(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request(method, httpx.URL(str(http.base_url) + path))
    assert answer.status_code == 404
    if method != "HEAD":
        assert error_of(answer)["code"] == "unknown_route"


@pytest.mark.parametrize("path", ["/assets/..%2f..%2f..%2fpackage.json", "/static/%2fetc%2fpasswd", "/assets/%00"])
def test_assets_are_assets(http: httpx.Client, path: str) -> None:
    assert http.get(httpx.URL(str(http.base_url) + path)).status_code in (403, 404)

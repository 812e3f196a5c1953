from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from starlette.testclient import TestClient

from tests.unit.server.house import House, serving
from tests.unit.server.test_errors import error_of


def asking(house: House, base: str = "http://127.0.0.1") -> TestClient:
    return TestClient(house.app, base_url=base, raise_server_exceptions=False)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7860", "localhost:1", "LOCALHOST", "[::1]:7860", "127.9.9.9", "x.localhost"]
)
def test_loopback_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "192.168.1.5:7860", "", "[::1", "127.0.0.1.evil"]
)
def test_other_hosts_are_not(client: TestClient, host: str) -> None:
    response = client.get("/healthz", headers={"Host": host})

    assert response.status_code == 421
    assert error_of(response)["code"] == "host_not_allowed"


def test_allowed_hosts_and_addresses_of_a_public_server(make_house: Callable[..., House]) -> None:
    client = asking(make_house(host="0.0.0.0", api_key="k", allowed_hosts=("Voice.Example",)))

    assert client.get("/healthz", headers={"Host": "voice.example:8000"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "192.168.1.5:7860"}).status_code == 200  # no name, no rebinding
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"Origin": "http://127.0.0.1"}, 202),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:3000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 202),
    ],
)
def test_pages_of_other_origins_change_nothing(client: TestClient, headers: dict[str, str], status: int) -> None:
    response = client.post("/v1/audio/jobs", json={"script": "Hello."}, headers=headers)

    assert response.status_code == status
    if status == 403:
        assert error_of(response)["code"] == "cross_origin_refused"


def test_origin_behind_a_proxy_that_rewrites_the_host(make_house: Callable[..., House]) -> None:
    client = asking(make_house(allowed_hosts=("voice.example",)))

    sent = client.post("/v1/audio/jobs", json={"script": "Hello."}, headers={"Origin": "https://voice.example"})

    assert sent.status_code == 202


@pytest.fixture
def locked(make_house: Callable[..., House]) -> Iterator[TestClient]:
    with asking(make_house(api_key="schlüssel")) as client:
        yield client


@pytest.mark.parametrize("sent", [None, "Bearer wrong", "Bearer ", "Basic schlüssel", "schlüssel", "Bearer schlüsse"])
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/v1/nothing"])
def test_without_the_key_nothing_is_told(locked: TestClient, path: str, sent: str | None) -> None:
    headers = {} if sent is None else {"Authorization": sent.encode()}
    response = locked.get(path, headers=headers)  # type: ignore[arg-type]

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert error_of(response)["code"] == "invalid_api_key"


def test_with_the_key_all_is_told(locked: TestClient) -> None:
    headers = {"Authorization": "bearer schlüssel".encode()}

    assert locked.get("/v1/models", headers=headers).status_code == 200  # type: ignore[arg-type]
    assert locked.get("/metrics", headers=headers).status_code == 200  # type: ignore[arg-type]


def test_health_needs_no_key(make_house: Callable[..., House]) -> None:
    house = make_house(api_key="k")
    house.statuses = []

    assert asking(house).get("/healthz").status_code == 200
    assert asking(house).get("/readyz").status_code == 503


def test_body_that_says_it_is_too_large_is_not_read(make_house: Callable[..., House]) -> None:
    client = asking(make_house(body_max_bytes=1024))

    response = client.post("/v1/audio/jobs", json={"script": "a" * 1100})

    assert response.status_code == 413
    assert error_of(response)["code"] == "body_too_large"
    assert "1024" in error_of(response)["message"]


def test_chunked_body_is_cut_off_at_the_limit(make_house: Callable[..., House]) -> None:
    house = make_house(body_max_bytes=10_000)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 50_000_000:
            sent += 1000
            yield b" " * 1000

    with serving(house.app) as base, httpx.Client(base_url=base) as client:
        try:
            response = client.post("/v1/audio/jobs", content=endless())
            assert response.status_code == 413
            assert error_of(response)["code"] == "body_too_large"
        except (httpx.WriteError, httpx.ReadError):
            pass  # it hung up while we were still sending: as good
    assert sent < 50_000_000


def test_security_headers_on_every_answer(client: TestClient) -> None:
    for path in ("/healthz", "/v1/nothing"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["x-request-id"].startswith("req_")
        assert "access-control-allow-origin" not in headers
    assert client.get("/healthz", headers={"Host": "evil"}).headers["X-Content-Type-Options"] == "nosniff"

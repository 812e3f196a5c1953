"""Streams without an end, over a real socket."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator

import pytest
from fastapi import Response
from fastapi.responses import StreamingResponse

from longtake.core.errors import QueueFullError
from longtake.server import live
from longtake.server.live import LiveStream, Seats
from tests.unit.server.house import House, serving, wait_until


def test_a_reader_that_takes_nothing_is_given_up(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "SLOW_S", 0.3)
    seats = Seats(1, "a flood")

    async def flood() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 20)

    @house.app.get("/v1/flood", response_class=StreamingResponse)
    async def stream() -> Response:
        return LiveStream(flood(), seats)

    with serving(house.app) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as reader:
            reader.sendall(b"GET /v1/flood HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            wait_until(lambda: seats.taken == 1)
            wait_until(lambda: seats.taken == 0)
        time.sleep(0.2)  # until the server has noticed that it left
    assert "GET /v1/flood was cut off: its reader took nothing for 0.3 s" in caplog.text


def test_a_seat_is_free_again_whatever_happens_on_it() -> None:
    seats = Seats(1, "it")

    def fail() -> None:
        with seats.take():
            with pytest.raises(QueueFullError, match="1 readers listen to it, which is the limit"), seats.take():
                pass
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with seats.take():
        assert seats.taken == 1

"""A webhook on this machine that keeps what it is sent, and refuses as often as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.refuses = 0  # so many more
        self.holds_s = 0.0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(hook.holds_s)
                hook.paths.append(self.path)
                hook.refuses -= 1
                if hook.refuses < 0:
                    hook.received.append(json.loads(body))
                self.send_response(500 if hook.refuses >= 0 else 200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server.server_port}/hook-SECRET"

    def wait(self, count: int, timeout_s: float = 20.0) -> list[dict[str, Any]]:
        deadline_s = time.monotonic() + timeout_s
        while len(self.received) < count:
            assert time.monotonic() < deadline_s, f"{len(self.received)} of {count} came"
            time.sleep(0.01)
        return self.received


@contextmanager
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    thread = threading.Thread(target=hook.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hook
    finally:
        hook.server.shutdown()
        thread.join()
        hook.server.server_close()

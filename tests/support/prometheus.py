"""A real Prometheus on this machine, for the length of a test: Debian's package, or none."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")


class Prometheus:
    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=10.0)
        self.began_s = time.time()

    def get(self, path: str, **given: str) -> Any:
        answer = self._http.get(f"/api/v1/{path}", params=given)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def points(self, expression: str) -> int:
        """How many values the expression has had since the start, over all series; what is no number does not count."""
        found = self.get("query_range", query=expression, start=str(self.began_s), end=str(time.time()), step="1")
        return sum(math.isfinite(float(value)) for series in found["result"] for _, value in series["values"])

    def close(self) -> None:
        self._http.close()


@contextmanager
def scraping(folder: Path, target: str, rules: Path) -> Iterator[Prometheus]:
    """Scrapes ``target`` (host:port) once a second."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "longtake", "static_configs": [{"targets": [target]}]}],
    }
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(config))
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={path}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    prometheus = Prometheus(f"http://127.0.0.1:{port}")
    try:
        deadline_s = time.monotonic() + 30
        while not _is_ready(prometheus):
            assert process.poll() is None, "it did not start"
            assert time.monotonic() < deadline_s, "it did not become ready"
            time.sleep(0.1)
        yield prometheus
    finally:
        prometheus.close()
        process.terminate()
        process.wait(20)


def _is_ready(prometheus: Prometheus) -> bool:
    try:
        return bool(prometheus.get("targets")["activeTargets"])
    except (httpx.TransportError, AssertionError):
        return False

"""A real `longtake serve` in a process of its own, to be asked and to be killed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import httpx
import psutil

LONGTAKE = str(Path(sys.executable).with_name("longtake"))


class Served:
    """Starts on a free port; a second start on the same data folder is a restart."""

    def __init__(self, data: Path, *options: str, **environment: str) -> None:
        self._data = data
        self._options = options
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LONGTAKE_")}
        self._environment = kept | {"LONGTAKE_DISK_FLOOR_MIB": "16"} | environment
        self.start()

    def start(self, *, is_awaited: bool = True) -> None:
        self.process = subprocess.Popen(
            [LONGTAKE, "serve", "--port", "0", "--data", str(self._data), "--no-studio", *self._options],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        found = re.search(r"http://\S+", self.process.stdout.readline())
        assert found, "it did not start"
        self.url = found[0]
        self.http = httpx.Client(base_url=self.url, timeout=30.0)
        deadline = time.monotonic() + 20
        while is_awaited:
            try:
                if self.http.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, "it did not become ready"
            time.sleep(0.05)

    @property
    def worker(self) -> psutil.Process:
        return psutil.Process(self.process.pid).children()[0]

    def kill(self) -> None:
        """-9, and what it had opened here is closed."""
        self.process.kill()
        self._closed()

    def stop(self) -> float:
        """SIGTERM; gives the seconds it took."""
        start = time.monotonic()
        self.process.terminate()
        self._closed()
        return time.monotonic() - start

    def _closed(self) -> None:
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.http.close()

    def wait(self, job_id: str, *states: str, timeout_s: float = 60.0) -> dict[str, object]:
        deadline = time.monotonic() + timeout_s
        while True:
            job: dict[str, object] = self.http.get(f"/v1/audio/jobs/{job_id}").json()
            if job["state"] in (states or ("done", "failed", "cancelled")):
                return job
            assert time.monotonic() < deadline, job
            time.sleep(0.02)

    def spoken(self, job_id: str) -> int:
        done: int = self.http.get(f"/v1/audio/jobs/{job_id}").json()["progress"]["passages_done"]
        return done

    def __enter__(self) -> Served:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.stop()

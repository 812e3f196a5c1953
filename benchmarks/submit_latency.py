"""How long a submit takes while a worker uses a whole core. Median, 95th percentile, worst; last line: one JSON."""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

LONGTAKE = str(Path(sys.executable).with_name("longtake"))
LONG_SCRIPT = Path(__file__).parent / "data" / "4p_climate_45min.txt"
SHORT = {"model": "espeak", "script": "Speaker 1: Hello there.\nSpeaker 2: Good evening."}


def times_ms(http: httpx.Client, body: dict[str, str], count: int) -> list[float]:
    """Milliseconds of each POST /v1/audio/jobs; every job is cancelled again."""
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        answer = http.post("/v1/audio/jobs", json=body)
        taken.append((time.perf_counter() - start) * 1000)
        answer.raise_for_status()
        http.post(f"/v1/audio/jobs/{answer.json()['id']}/cancel")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        server = subprocess.Popen(
            [LONGTAKE, "serve", "--port", "0", "--no-studio", "--data", data],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None
            with httpx.Client(base_url=found[0], timeout=30) as http:
                while http.get("/readyz").status_code != 200:
                    time.sleep(0.1)
                long_body = SHORT | {"script": LONG_SCRIPT.read_text(encoding="utf-8")}
                idle = times_ms(http, SHORT, arguments.count)
                http.post("/v1/audio/jobs", json=long_body).raise_for_status()  # 20 s of work for one core and more
                busy = times_ms(http, SHORT, arguments.count)
                long = times_ms(http, long_body, 10)
        finally:
            server.terminate()
            server.wait(20)
    figures = {}
    for name, taken in (("idle", idle), ("busy", busy), ("busy_60k_characters", long)):
        taken.sort()
        figures[name] = {
            "median_ms": round(statistics.median(taken), 1),
            "p95_ms": round(taken[int(0.95 * (len(taken) - 1))], 1),
            "worst_ms": round(taken[-1], 1),
        }
        print(name, figures[name])
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

"""A real server with 100 MB of log, 200 who watch it, and a disk that is full: bounded memory, and it goes on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from longtake.logs.setup import FILE_BYTES, FILES
from tests.support.served import Served

JOBS = "/v1/audio/jobs"
READERS = 200
MIB = 1 << 20
SCRIPT = "Alice: The butler SENTINEL did it.\nBob: With the candlestick."


def line(number: int, text: str, process: str) -> bytes:
    time_ = f"2026-01-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000000Z"
    fields = {"time": time_, "level": "info", "event": f"event {number}", "process": process, "note": text}
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def fill(logs: Path) -> None:
    """100 MB, in the files of two processes."""
    logs.mkdir(parents=True)
    text = "y" * 400
    for process in ("web", "worker-espeak"):
        for age in range(FILES):
            number = (FILES - age) * 10_000
            with (logs / (f"{process}.log" + (f".{age}" if age else ""))).open("wb") as file:
                while file.tell() < FILE_BYTES - 2000:
                    number += 1
                    file.write(line(number % 80_000, text, process))


def used_bytes(served: Served) -> int:
    return psutil.Process(served.process.pid).memory_info().rss


def speak(served: Served) -> str:
    job = served.http.post(JOBS, json={"script": SCRIPT}).json()["id"]
    assert served.wait(job)["state"] == "done"
    return str(job)


def test_a_hundred_megabytes_of_log_are_searched_in_bounded_memory(tmp_path: Path) -> None:
    fill(tmp_path / "logs")
    with Served(tmp_path) as served:
        speak(served)
        before = used_bytes(served)
        cursor: str | None = None
        pages, found = 0, []
        while pages == 0 or cursor is not None:
            query = {"text": "EVENT 12345", "limit": "1000"} | ({"cursor": cursor} if cursor else {})
            began_s = time.monotonic()
            page = served.http.get("/v1/logs", params=query).json()
            assert time.monotonic() - began_s < 10
            cursor, pages = page["cursor"], pages + 1
            found += [each["event"] for each in page["lines"]]
        assert found == ["event 12345"] * 2, "once in the log of each process"
        assert 10 <= pages <= 30, "each looks through a part of it"
        grown = used_bytes(served) - before
        print(f"{pages} pages, grown by {grown / MIB:.1f} MiB")
        assert grown < 40 * MIB
        total = sum(path.stat().st_size for path in (tmp_path / "logs").iterdir())
        assert total < 2 * FILES * FILE_BYTES + MIB, "and what was full has moved on"


def test_two_hundred_readers_of_the_live_log_do_not_hold_up_the_service(tmp_path: Path) -> None:
    with Served(tmp_path, LONGTAKE_LOGS__LEVEL="debug") as served:
        speak(served)
        before = used_bytes(served)
        asyncio.run(watch(served))
        grown = used_bytes(served) - before
        print(f"grown by {grown / MIB:.1f} MiB")
        assert grown < 60 * MIB
        assert served.http.get("/readyz").status_code == 200


async def watch(served: Served) -> None:
    """Half of them read, half never do; jobs are spoken meanwhile, and every reader has all lines of them."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=served.url, timeout=60, limits=limits) as http:
        done: set[str] = set()
        begun = asyncio.Semaphore(0)

        async def read(job_ids: set[str]) -> None:
            seen: dict[str, int] = {}
            async with http.stream("GET", "/v1/logs/stream", params={"text": "job"}) as response:
                assert response.status_code == 200
                begun.release()
                async for text in response.aiter_lines():
                    if text.startswith("data: "):
                        event = json.loads(text.removeprefix("data: "))
                        if event["event"] == "job done":
                            done.add(event["job"])
                            seen[event["job"]] = seen.get(event["job"], 0) + 1
                            if len(seen) == 3:
                                assert set(seen.values()) == {1}
                                job_ids.update(seen)
                                return

        async def idle() -> None:
            async with http.stream("GET", "/v1/logs/stream") as response:
                assert response.status_code == 200
                begun.release()
                await asyncio.sleep(60)

        told: list[set[str]] = [set() for _ in range(READERS // 2)]
        idlers = [asyncio.create_task(idle()) for _ in range(READERS // 2)]
        readers = [asyncio.create_task(read(each)) for each in told]
        for _ in range(READERS):
            await asyncio.wait_for(begun.acquire(), 60)
        waits = []
        jobs = set()
        for _ in range(3):
            job = (await http.post(JOBS, json={"script": SCRIPT})).json()["id"]
            jobs.add(job)
            while (await http.get(f"{JOBS}/{job}")).json()["state"] != "done":
                began_s = time.monotonic()
                await http.get("/healthz")
                waits.append(time.monotonic() - began_s)
                await asyncio.sleep(0.05)
        await asyncio.wait_for(asyncio.gather(*readers), 60)
        for task in idlers:
            task.cancel()
        await asyncio.gather(*idlers, return_exceptions=True)
        assert [each ^ jobs for each in told if each != jobs][:3] == [], "every reader was told of every job, once"
        print(f"/healthz beside {READERS} readers: {1000 * sorted(waits)[len(waits) // 2]:.0f} ms")
        assert sorted(waits)[len(waits) // 2] < 1.0


def test_the_log_tells_of_jobs_and_never_quotes_a_script(tmp_path: Path) -> None:
    with Served(tmp_path, LONGTAKE_LOGS__LEVEL="debug", LONGTAKE_SERVER__API_KEY="a-long-random-word") as served:
        served.http.headers["Authorization"] = "Bearer a-long-random-word"
        job = speak(served)
        hostile = 'SENTINEL\r\n\x1b[31m{"time"'
        assert served.http.post(JOBS, json={"script": hostile, "settings": {"pitch": hostile}}).status_code == 400
        assert served.http.get(f"/v1/SENTINEL%0d%0a{hostile.encode().hex()}").status_code == 404
        lines = served.http.get(f"{JOBS}/{job}/log").json()["lines"][::-1]
        assert [each["event"] for each in lines] == ["job begun", *["stretch committed"] * 2, "job done"]
        assert [each.get("passage") for each in lines] == [None, 0, 1, None]
    for path in tmp_path.rglob("*.log*"):
        text = path.read_text()
        assert "SENTINEL" not in text
        assert "a-long-random-word" not in text
        assert "\x1b" not in text
        assert all(json.loads(each)["time"] for each in text.splitlines())


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own for the logs, of 256 KiB."""
    logs = tmp_path / "data" / "logs"
    logs.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(logs)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    yield logs
    subprocess.run(["umount", "-l", str(logs)], check=True)


def test_a_full_log_disk_is_told_when_there_is_room_and_harms_nobody(disk: Path, tmp_path: Path) -> None:
    with Served(tmp_path / "data", LONGTAKE_LOGS__LEVEL="debug") as served:
        speak(served)
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1024)):
                pass
        for log in disk.glob("*.log"):  # the room in the last page of each is used, too
            with log.open("ab", buffering=0) as file, suppress(OSError):
                while file.write(b"\n"):
                    pass
        job = speak(served)
        assert served.http.get("/v1/logs", params={"job": job}).json()["lines"] == []
        assert len(served.http.get(f"{JOBS}/{job}/log").json()["lines"]) == 4, "the job's own log lies elsewhere"
        filler.unlink()
        speak(served)
        lines = served.http.get("/v1/logs", params={"level": "warning"}).json()["lines"]
        assert any(each["event"].startswith("4 lines are lost") and "space" in each["event"] for each in lines)

"""A script is spoken, edited, and spoken again, by real workers with espeak; each job has a worker of its own."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from longtake.config import load_settings
from longtake.delivery import audio_path, subtitles_of
from longtake.intake import JobRequest
from longtake.jobs.records import Job, Kind
from longtake.jobs.states import State
from longtake.wiring import Host, open_host
from tests.support.scripts import dialogue
from tests.support.served import Served

SCRIPT = dialogue(30)  # about three minutes, 90 passages
EDITED = SCRIPT.replace("number 40.", "number forty, once more.")
# A new line in front moves all that follows: neither its place nor its neighbours are part of a passage.
LONGER = "Speaker 2: This was not there before.\n" + EDITED


@dataclass(frozen=True)
class Spoken:
    audio: bytes
    subtitles: str
    passages: int
    samples: dict[str, bytes]  # text → what was committed for it


@contextmanager
def host(data: Path, cache_mib: int) -> Iterator[Host]:
    worker = {
        "heartbeat_s": 60.0,
        "lease_s": 180.0,
        "cache_mib": cache_mib,
    }  # the counts come with the last beat, not with a lucky one
    with open_host(load_settings(data=data, disk_floor_mib=16, worker=worker), workers=True) as host:
        yield host


def wait(host: Host, job: Job, passages: int | None = None) -> Job:
    deadline = time.monotonic() + 60
    while (now := host.store.job(job.id)).state is not State.DONE:
        assert now.state in (State.QUEUED, State.RUNNING), now.error
        assert time.monotonic() < deadline, now
        if passages is not None and now.passages_done >= passages:
            break
        time.sleep(0.005)
    return now


def result(host: Host, job: Job) -> Spoken:
    job = wait(host, job)
    path = audio_path(host.folder, job)
    assert path is not None
    samples = {}
    for passage, spoken in host.store.passages(job.id):
        assert spoken is not None
        assert len(spoken.stretches) == 1
        text = passage.lines[0].text
        samples[text] = (host.folder.passages(job.id) / spoken.stretches[0].file).read_bytes()
    return Spoken(path.read_bytes(), "".join(subtitles_of(host.store, job, "srt")), job.passages_total, samples)


def say(data: Path, script: str, *, cache_mib: int = 64) -> tuple[Spoken, int, int]:
    """What came of it, and how many passages were found and not found meanwhile."""
    with host(data, cache_mib) as held:
        before = held.store.cache_counts().get("espeak", (0, 0))
        job, _ = held.intake.submit(JobRequest(script, loudness="podcast", response_format="flac"))
        spoken = result(held, job)
    with open_host(load_settings(data=data, disk_floor_mib=16), workers=False) as after:
        hits, misses = after.store.cache_counts()["espeak"]
    return spoken, hits - before[0], misses - before[1]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_an_edited_script_is_spoken_where_it_was_edited(data: Path, tmp_path: Path) -> None:
    first, hits, misses = say(data, SCRIPT)
    assert (hits, misses) == (0, first.passages)
    again, hits, misses = say(data, LONGER)
    assert (hits, misses) == (first.passages - 1, 2)
    anew, hits, misses = say(tmp_path / "anew", LONGER, cache_mib=0)
    assert (hits, misses) == (0, 0)
    assert again.samples == anew.samples
    assert again.subtitles == anew.subtitles
    assert again.audio == anew.audio
    assert not (tmp_path / "anew" / "cache").exists()


def test_what_a_killed_worker_had_spoken_for_another_job_is_whole(data: Path, tmp_path: Path) -> None:
    """Nothing is synced: whatever the kill left, an entry is whole or is none."""
    with host(data, 64) as held:
        job, _ = held.intake.submit(JobRequest(SCRIPT, loudness="podcast", response_format="flac"))
        for at in (10, 40):
            wait(held, job, at)
            pid = held.statuses()[0].pid
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                time.sleep(0.2)
        wait(held, job)
    again, hits, _ = say(data, SCRIPT)
    anew, _, _ = say(tmp_path / "anew", SCRIPT, cache_mib=0)
    assert hits >= again.passages - 2 * 4, "at most those being spoken at each kill are missing"
    assert again.audio == anew.audio


def test_health_is_found_by_speaking(data: Path) -> None:
    with host(data, 64) as held:
        for _ in range(3):
            job, _ = held.intake.submit(JobRequest("One.", response_format="pcm"), kind=Kind.PROBE)
            wait(held, job)
        assert not held.folder.cache.exists()


def test_metrics_tell_of_it(data: Path) -> None:
    with Served(data, LONGTAKE_WORKER__HEARTBEAT_S="0.1") as served:
        body = {"script": "Speaker 1: Good evening.", "response_format": "pcm"}
        for _ in range(4):
            served.wait(served.http.post("/v1/audio/jobs", json=body).json()["id"])
        deadline = time.monotonic() + 10
        while 'longtake_cache_hit_ratio{engine="espeak"} 0.75' not in (page := served.http.get("/metrics").text):
            assert time.monotonic() < deadline, page
            time.sleep(0.05)
        assert 'longtake_cache_hits_total{engine="espeak"} 3.0' in page
        served.worker.kill()
        time.sleep(0.5)
        page = served.http.get("/metrics").text
        assert 'longtake_cache_hits_total{engine="espeak"} 3.0' in page, "a new worker sets nothing back"
        deadline = time.monotonic() + 30  # its size is looked at now and then
        while float(re.findall(r"^longtake_cache_bytes (\S+)$", page, re.MULTILINE)[0]) <= 10_000:
            assert time.monotonic() < deadline, page
            time.sleep(0.2)
            page = served.http.get("/metrics").text

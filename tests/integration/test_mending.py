"""A VibeVoice worker mended while it speaks: memory really comes back, and the job sounds as if nothing had been."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest

from longtake.config import load_settings
from longtake.delivery import audio_path
from longtake.engines.vibevoice.planning.footprint import ACOUSTIC_ENCODER, EMBEDDING, SIZES, weights
from longtake.engines.vibevoice.weights.shapes import random_config
from longtake.intake import JobRequest
from longtake.jobs.records import Job
from longtake.jobs.states import ENDED, State
from longtake.supervise import Mending, WorkerState
from longtake.supervise.answers import LOAD, RELEASE, UNLOAD
from longtake.wiring import Host, open_host
from tests.support.recordings import voice

ENGINE = "vibevoice"
SCRIPT = "".join(
    f"Speaker {1 + turn % 3}: Turn {turn} says something that takes three or four seconds to say.\n"
    for turn in range(16)
)
WAIT_S = 90.0


class House:
    """A host with its worker process."""

    def __init__(self, host: Host) -> None:
        self.host = host
        mending = host.mending
        assert mending is not None
        self.mending: Mending = mending
        for number, name in enumerate(("one", "two", "three")):
            host.voices.add(voice(3.0, pitch_hz=110.0 + 60 * number), name=name, language="en")

    @property
    def worker(self) -> psutil.Process:
        (status,) = self.host.statuses()
        return psutil.Process(status.pid)

    def job(self, job: Job) -> Job:
        return self.host.store.job(job.id)

    def submit(self, script: str = SCRIPT) -> Job:
        return self.host.intake.submit(JobRequest(script, response_format="pcm", settings={"steps": 1}, seed=7))[0]

    def wait(self, job: Job, *states: State, at_least_s: float = 0.0) -> Job:
        deadline = time.monotonic() + WAIT_S
        while True:
            now = self.job(job)
            if now.state in (states or ENDED) and now.audio_samples >= at_least_s * 24_000:
                return now
            assert now.state not in ENDED, (now.state, now.error)
            assert time.monotonic() < deadline, now
            time.sleep(0.02)

    def pcm(self, job: Job) -> np.ndarray:
        path = audio_path(self.host.folder, self.wait(job, State.DONE))
        assert path is not None
        return np.fromfile(path, "<i2").astype(float)


Open = Callable[[str], House]


@pytest.fixture
def open_house(tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as stack:

        def open_(model: str) -> House:
            engine = {"model": model, "device": "cpu", "dtype": "fp32"}
            settings = load_settings(data=tmp_path / "data", engines=(ENGINE,), engine=engine, disk_floor_mib=16)
            return House(stack.enter_context(open_host(settings, workers=True)))

        yield open_


def test_a_job_goes_through_release_unload_and_restart_and_sounds_the_same(open_house: Open) -> None:
    house = open_house("random:tiny")
    whole = house.pcm(house.submit())
    job = house.submit()
    house.wait(job, State.RUNNING, at_least_s=2.0)
    assert house.mending.order(ENGINE, RELEASE, WAIT_S).is_done
    assert (house.job(job).state, house.job(job).token) == (State.RUNNING, 1), "it went on"
    unloaded = house.mending.order(ENGINE, UNLOAD, WAIT_S)
    assert (unloaded.is_done, unloaded.state) == (True, WorkerState.UNLOADED)
    queued = house.job(job)
    assert (queued.state, queued.crashes) == (State.QUEUED, 0)
    assert "unloaded" in (queued.reason or "")
    assert house.mending.order(ENGINE, LOAD, WAIT_S).error is None
    house.wait(job, State.RUNNING, at_least_s=queued.audio_samples / 24_000 + 2.0)
    restarted = house.mending.restart(ENGINE, WAIT_S, drains=False)
    assert (restarted.is_done, restarted.state) == (True, WorkerState.READY)
    assert restarted.before is not None
    assert restarted.after is not None
    ours = house.pcm(job)
    assert house.job(job).token == 3
    assert ours.shape == whole.shape
    assert np.abs(ours - whole).max() <= 33, "1e-3"


def test_draining_lets_it_end_under_its_own_claim(open_house: Open) -> None:
    house = open_house("random:tiny")
    job = house.submit()
    house.wait(job, State.RUNNING, at_least_s=1.0)
    old = house.worker.pid
    later: list[Job] = []
    timer = threading.Timer(0.3, lambda: later.append(house.submit("Speaker 1: And one more.\n")))
    timer.start()
    drained = house.mending.restart(ENGINE, WAIT_S, drains=True)
    timer.join()
    assert drained.is_done
    done = house.job(job)
    assert (done.state, done.token, done.crashes) == (State.DONE, 1, 0)
    assert house.worker.pid != old
    assert house.wait(later[0]).state is State.DONE


def test_unloading_returns_the_weights_to_the_system(open_house: Open) -> None:
    """It has spoken before, so that its weights are really there, the packed ones too, of which torch knows nothing."""
    house = open_house("random:small")
    house.pcm(house.submit("Speaker 1: A few words.\nSpeaker 2: And a few more.\n"))
    worker = house.worker
    resident = worker.memory_info().rss
    unloaded = house.mending.order(ENGINE, UNLOAD, WAIT_S)
    after = worker.memory_info().rss
    assert unloaded.before is not None
    assert unloaded.after is not None
    assert unloaded.given_back is not None
    assert unloaded.before.rss_bytes == pytest.approx(resident, rel=0.05), "what is told is what the system says"
    assert unloaded.after.rss_bytes == pytest.approx(after, rel=0.05)
    assert unloaded.given_back.rss_bytes == unloaded.before.rss_bytes - unloaded.after.rss_bytes
    parts = weights(random_config("small"), SIZES["fp32"])
    touched = sum(parts.values()) - parts[EMBEDDING] - parts[ACOUSTIC_ENCODER]
    print(f"{resident >> 20} MiB, then {after >> 20} MiB; weights that were touched {touched >> 20} MiB")
    assert resident - after >= 0.9 * touched
    house.pcm(house.submit("Speaker 3: It speaks again.\n"))
    assert house.worker.pid == worker.pid, "loaded again by the job itself"
    again = house.mending.order(ENGINE, UNLOAD, WAIT_S).after
    assert again is not None
    assert again.rss_bytes - after < 0.1 * touched, "a second time leaves no more behind"

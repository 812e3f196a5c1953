"""A heat curve is played to a real server, through a scripted driver in the place of NVIDIA's: what users see, and that
the audio is the same as if nothing had been."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from longtake.config import HeatSettings, load_settings
from longtake.delivery import audio_path
from longtake.intake import JobRequest
from longtake.jobs.records import Job
from longtake.jobs.states import State
from longtake.monitor.heat import HEAT_REASON
from longtake.wiring import open_host
from longtake.wiring.heat import HeatKeeper
from tests.support.nvml.script import card
from tests.support.nvml.watch import until as seen
from tests.support.nvml.watch import watching
from tests.support.recordings import voice
from tests.support.scripts import dialogue
from tests.support.served import Served

ROOT = Path(__file__).parents[2]
SHADOW = ROOT / "tests/support/nvml/shadow"
TURN = "Speaker {}: Turn {} says something that takes three or four seconds to say.\n"
SCRIPT = "".join(TURN.format(1 + turn % 2, turn) for turn in range(30))


class Driver:
    """The JSON file that the server's driver reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.script: dict[str, Any] = {"cards": [card(0, temperature=50), card(1, temperature=55)]}
        self.write()

    def write(self) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.script))
        new.replace(self.path)

    def set(self, index: int = 0, **changes: Any) -> None:
        self.script["cards"][index] |= changes
        self.write()

    @property
    def limits(self) -> dict[str, int]:
        path = self.path.with_suffix(".limits")
        found: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        return found


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path / "driver.json")


@contextmanager
def serving(data: Path, driver: Driver, **environment: str) -> Iterator[Served]:
    path = f"{SHADOW}:{ROOT / 'src'}:{ROOT}"
    with Served(
        data,
        "--engine",
        "vibevoice",
        "--model",
        "random:tiny",
        PYTHONPATH=path,
        SCRIPTED_NVML=str(driver.path),
        OMP_NUM_THREADS="1",
        **environment,
    ) as served:
        yield served


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with two voices."""
    data = tmp_path / "data"
    with open_host(load_settings(data=data, engines=("vibevoice",), disk_floor_mib=16), workers=False) as host:
        for number in (1, 2):
            host.voices.add(voice(3.0, pitch_hz=110.0 * number), name=f"v{number}", language="en")
    return data


T = TypeVar("T")


def until(look: Callable[[], T], holds: Callable[[T], object], timeout_s: float = 60.0) -> T:
    deadline = time.monotonic() + timeout_s
    while True:
        found = look()
        if holds(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def submit(served: Served, script: str = SCRIPT) -> str:
    body = {"script": script, "response_format": "pcm", "seed": 7, "settings": {"steps": 1}}
    answer = served.http.post("/v1/audio/jobs", json=body)
    assert answer.status_code == 202, answer.text
    job: str = answer.json()["id"]
    return job


def job_of(served: Served, job: str) -> Any:
    return served.http.get(f"/v1/audio/jobs/{job}").json()


def pcm(served: Served, job: str) -> np.ndarray:
    audio = served.http.get(f"/v1/audio/jobs/{job}/audio")
    assert audio.status_code == 200
    return np.frombuffer(audio.content, "<i2").astype(np.int32)


def spoken_s(served: Served, job: str) -> float:
    seconds: float = job_of(served, job)["progress"]["audio_seconds"]
    return seconds


def heat(served: Served) -> Any:
    return served.http.get("/v1/monitor").json()["heat"]


def reason_of_readiness(served: Served) -> str | None:
    reason: str | None = served.http.get("/readyz").json()["engines"]["vibevoice"]["reason"]
    return reason


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_heat_curve_pauses_commits_and_resumes_and_the_audio_is_the_same(data: Path, driver: Driver) -> None:
    with serving(data, driver) as served:
        undisturbed = submit(served)
        served.wait(undisturbed, timeout_s=120)
        wanted = pcm(served, undisturbed)

        running = submit(served)
        until(lambda: spoken_s(served, running), lambda seconds: seconds > 1)
        driver.set(temperature=76)
        until(lambda: heat(served), lambda each: each["level"] == "hold")
        later = submit(served, TURN.format(1, "later"))
        told = until(lambda: job_of(served, later), lambda each: each["reason"])
        assert told["state"] == "queued"
        assert told["reason"] == f"{HEAT_REASON}: card 0 has 76 °C; jobs start again below 70 °C"
        before_s = spoken_s(served, running)
        if job_of(served, running)["state"] == "running":
            until(lambda: spoken_s(served, running), lambda seconds: seconds > before_s)  # it goes on meanwhile

        driver.set(temperature=88)
        paused = until(lambda: job_of(served, running), lambda each: each["state"] == "paused")
        assert paused["reason"].startswith(f"{HEAT_REASON}: card 0 has 88 °C; jobs go on below 70 °C")
        assert 0 < paused["progress"]["audio_seconds"] < paused["progress"]["estimated_seconds"]
        driver.set(temperature=71)
        time.sleep(2.5)
        assert heat(served)["level"] == "pause", "between the two it stays as it is"
        assert spoken_s(served, running) == paused["progress"]["audio_seconds"]
        assert job_of(served, later)["state"] == "queued"

        driver.set(temperature=69)
        served.wait(running, timeout_s=120)
        served.wait(later, timeout_s=60)
        found = pcm(served, running)
        assert found.size == wanted.size
        # It goes on from what it has read again, and the order of sums is another then: the bar of every resumption.
        assert np.abs(found - wanted).max() <= 1e-3 * 32_768
        status = heat(served)
        assert status["level"] == "normal"
        assert status["actions"] == {"hold": 1, "pause": 1, "go": 1, "resumed": 1}
        metrics = served.http.get("/metrics").text
        assert 'longtake_heat_actions_total{action="pause"} 1.0' in metrics
        assert 'longtake_gpu_temperature_celsius{gpu="1"} 55.0' in metrics
        curve = served.http.get("/v1/monitor/series?names=heat_level&seconds=300").json()["series"][0]
        assert max(value for value in curve["max"] if value is not None) == 2
        recalled = served.http.get(f"/v1/audio/jobs/{running}/events").text.count("event: recalled")
        assert recalled == 0, "nothing was spoken twice"


def has_spoken(passages: int, job: Job) -> bool:
    return job.passages_done > passages or job.state is State.DONE


@pytest.mark.timeout(200)
def test_of_an_engine_without_rounding_not_a_byte_is_another(tmp_path: Path) -> None:
    """espeak heats no card; here it is told to rest as if it did, again and again."""
    script: dict[str, Any] = {"cards": [card(temperature=50)]}
    settings = load_settings(data=tmp_path / "data", disk_floor_mib=16)
    with open_host(settings, workers=True) as host, watching(script) as watch:
        host.cards.heat.close()  # it sees no card, and would have the jobs go on that this one pauses
        keeper = HeatKeeper(watch, host.store, ["espeak"], host._order, HeatSettings(), host.clock)

        def at(celsius: float) -> None:
            script["cards"][0]["temperature"] = celsius
            seen(watch, lambda reading: reading.cards and reading.cards[0].temperature_celsius == celsius)
            keeper.look()

        def spoken(job: Job) -> Job:
            return until(lambda: host.store.job(job.id), lambda now: now.state is State.DONE)

        request = JobRequest(dialogue(60), response_format="mp3", loudness="podcast")
        undisturbed = spoken(host.intake.submit(request)[0])
        cache = host.cache.usage()
        shutil.rmtree(host.folder.cache)  # what was spoken before is not to be found again
        assert cache.entries
        job = host.intake.submit(request)[0]
        pauses = 0
        while host.store.job(job.id).state is not State.DONE:
            more = host.store.job(job.id).passages_done + 8
            until(partial(host.store.job, job.id), partial(has_spoken, more))
            at(90)
            now = until(lambda: host.store.job(job.id), lambda now: now.state in (State.PAUSED, State.DONE))
            pauses += now.state is State.PAUSED
            at(60)
        assert pauses >= 2, "it was quicker than the heat"
        paths = [audio_path(host.folder, host.store.job(each.id)) for each in (undisturbed, job)]
        first, second = (path.read_bytes() for path in paths if path is not None)
        assert first == second


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_heat_paused_goes_on_after_the_server_was_killed_and_a_users_pause_stays(
    data: Path, driver: Driver
) -> None:
    with serving(data, driver) as served:
        mine, hot = submit(served), submit(served)
        for job in (mine, hot):
            until(partial(spoken_s, served, job), lambda seconds: seconds > 0.5)
        driver.set(index=1, throttles=0x40)
        for job in (mine, hot):
            told = until(partial(job_of, served, job), lambda each: each["state"] == "paused")
            assert "card 1 has 55 °C and slows itself down (hardware_thermal)" in told["reason"]
        served.http.post(f"/v1/audio/jobs/{mine}/pause")
        assert job_of(served, mine)["reason"] is None
        served.kill()
        served.start(is_awaited=False)
        time.sleep(3)
        until(lambda: heat(served), lambda each: each["level"] == "pause")
        assert job_of(served, hot)["state"] == "paused", "the card is still slowed down"
        why_not = partial(reason_of_readiness, served)
        until(why_not, lambda reason: "it waits for the GPU to cool: card 1 has 55 °C" in (reason or ""))
        served.kill()
        driver.set(index=1, throttles=0)
        served.start()
        served.wait(hot, timeout_s=120)
        assert job_of(served, mine)["state"] == "paused"


@pytest.mark.timeout(120)
def test_the_power_limit_is_set_and_taken_back_also_after_a_kill(data: Path, driver: Driver) -> None:
    with serving(data, driver, LONGTAKE_HEAT__POWER_LIMIT_WATTS="450") as served:
        until(lambda: driver.limits, lambda limits: limits == {"GPU-0": 450_000, "GPU-1": 450_000})
        cards = until(
            lambda: served.http.get("/v1/monitor").json()["gpus"]["cards"],
            lambda cards: cards[0]["power_limit_watts"] == 450.0,
        )
        assert [each["power_limit_watts"] for each in cards] == [450.0, 450.0]
        served.kill()
        assert driver.limits["GPU-0"] == 450_000, "nobody could take it back"
        served.start()
        served.stop()
        assert driver.limits == {"GPU-0": 700_000, "GPU-1": 700_000}
        assert not (data / "power-limits.json").exists()


@pytest.mark.timeout(120)
def test_a_lost_card_and_a_driver_that_hangs_are_told_and_the_server_answers(data: Path, driver: Driver) -> None:
    with serving(data, driver) as served:

        def gpus() -> Any:
            began_s = time.perf_counter()
            found = served.http.get("/v1/monitor")
            assert time.perf_counter() - began_s < 2
            assert found.json()["age_seconds"] < 3
            return found.json()["gpus"]

        until(gpus, lambda each: each["state"] == "ok" and len(each["cards"]) == 2)
        driver.set(index=1, lost=True)
        found = until(gpus, lambda each: each["total"]["lost"] == 1)
        assert [each["is_lost"] for each in found["cards"]] == [False, True]
        driver.script["hangs"] = True
        driver.write()
        silent = until(gpus, lambda each: each["state"] == "silent")
        assert "the driver has not answered for" in silent["reason"]
        assert silent["age_seconds"] >= 3
        assert "longtake_gpu_driver_up 0.0" in served.http.get("/metrics").text
        driver.script["hangs"] = False
        driver.write()
        until(gpus, lambda each: each["state"] == "ok")
        driver.script["hangs"] = True
        driver.write()
        until(gpus, lambda each: each["state"] == "silent")
        assert served.stop() < 15, "a driver that hangs does not hold up the end"

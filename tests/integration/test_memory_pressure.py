"""VibeVoice jobs in too little memory: a neighbour that takes half, a device that runs out, a budget for a few."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.many_jobs import budget_for, lengths, load, speak_all
from longtake.config import WorkerSettings
from longtake.core.clock import SystemClock
from longtake.core.records import Line, Passage
from longtake.engines.vibevoice.about import INFO
from longtake.engines.vibevoice.engine import VibeVoiceEngine
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job, PlannedPassage
from longtake.jobs.states import ENDED, State
from longtake.jobs.store import JobStore
from longtake.worker import loop as loops
from longtake.worker import preemption as preemptions
from longtake.worker import pressure as pressures
from longtake.worker import waits
from longtake.worker.loop import WorkerLoop
from longtake.worker.pressure import Pressure
from tests.support.jobs import spec

BUDGET = 1 << 30
FLOOR = 1 << 20


class House:
    """A worker's loop in this process, on a machine whose free memory the test tells."""

    def __init__(self, root: Path, engine: VibeVoiceEngine, budget: int = BUDGET) -> None:
        self.folder = DataFolder(root, floor_bytes=0)
        self.db = Database(self.folder.database)
        self.store = JobStore(self.db)
        self.engine = engine
        self.free_bytes = 1 << 40
        clock = SystemClock()
        pressure = Pressure(budget, lambda: self.free_bytes, FLOOR, clock)
        desk = WorkerDesk(self.db, "w1", INFO.name, 1)
        settings = WorkerSettings(poll_s=0.01, max_jobs=8)
        self.loop = WorkerLoop(engine, desk, self.folder, settings, clock, budget_bytes=budget, pressure=pressure)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.loop.run()
        except BaseException as error:
            self.error = error

    def submit(self, number: int, expected_s: float = 40.0) -> Job:
        passage = Passage(0, (Line(1, f"This is job {number}.", "en"),), 0.0)
        wanted = spec(engine=INFO.name, model=INFO.name, voices={1: "hum"}, settings={"steps": 1}, seed=number)
        return self.store.submit(wanted, "x", [PlannedPassage(passage, "en", 4, expected_s)])[0]

    def until(self, condition: Callable[[], object], timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.error is None, self.error
            assert time.monotonic() < deadline, [(job.state, job.reason) for job in self.store.jobs()]
            time.sleep(0.01)

    def states(self, jobs: list[Job]) -> list[State]:
        return [self.store.job(job.id).state for job in jobs]

    def wait(self, jobs: list[Job]) -> list[Job]:
        self.until(lambda: all(state in ENDED for state in self.states(jobs)))
        return [self.store.job(job.id) for job in jobs]

    def audio(self, job: Job) -> np.ndarray:
        done = self.store.job(job.id)
        assert done.audio_file is not None, done.error
        return np.fromfile(self.folder.job(done.id) / done.audio_file, "<i2").astype(np.int32)

    def reasons(self, job: Job) -> list[str]:
        return [str(event.data.get("reason")) for event in self.store.events(job.id) if event.data.get("reason")]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> VibeVoiceEngine:
    torch.set_num_threads(1)
    return load(tmp_path_factory.mktemp("voices"), "random:tiny")


MakeHouse = Callable[..., House]


@pytest.fixture
def make_house(tmp_path: Path, engine: VibeVoiceEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeHouse]:
    monkeypatch.setattr(loops, "LOOK_S", 0.05)
    monkeypatch.setattr(waits, "TELL_AFTER_S", 0.1)
    monkeypatch.setattr(pressures, "CALM_S", 0.3)
    monkeypatch.setattr(preemptions, "CALM_S", 0.3)
    houses: list[House] = []

    def make(**options: Any) -> House:
        houses.append(House(tmp_path / f"data-{len(houses)}", engine, **options))
        return houses[-1]

    yield make
    for house in houses:
        house.loop.stop()
        house.thread.join(20)
        house.db.close()
    assert (engine.used_bytes, engine.active) == (0, 0), "nothing is held when all is over"


def test_a_neighbour_that_takes_half_of_the_memory_fails_nobody(make_house: MakeHouse) -> None:
    undisturbed = make_house()
    alone = undisturbed.wait([undisturbed.submit(number) for number in range(3)])
    house = make_house()
    jobs = [house.submit(number) for number in range(3)]
    house.until(lambda: min(house.store.job(job.id).audio_samples for job in jobs) > 0)
    house.free_bytes = FLOOR - 1
    house.until(lambda: house.states(jobs) == [State.RUNNING, State.QUEUED, State.QUEUED])
    for job in jobs[1:]:
        reason = house.store.job(job.id).reason or ""
        assert reason.startswith("waits for memory: other programs have taken it")
        assert house.store.job(job.id).audio_samples > 0, "what was spoken is kept"
    time.sleep(0.5)
    assert house.engine.active <= 1, "the last one goes on, and no other is taken up"
    house.free_bytes = 1 << 40
    done = house.wait(jobs)
    assert [job.state for job in done] == [State.DONE] * 3
    assert [job.crashes for job in done] == [0, 0, 0]
    assert house.error is None
    for mine, theirs in zip(jobs, alone, strict=True):
        assert np.abs(house.audio(mine) - undisturbed.audio(theirs)).max() <= 66, "as if nothing had been"


def test_a_neighbour_that_never_leaves_lets_them_go_on_one_by_one(make_house: MakeHouse) -> None:
    house = make_house()
    house.free_bytes = 0
    jobs = [house.submit(number, 3.0) for number in range(3)]
    assert [job.state for job in house.wait(jobs)] == [State.DONE] * 3


@pytest.mark.parametrize("where", ["step", "read", "open"])
def test_a_device_that_runs_out_lets_them_go_on_fewer_side_by_side(
    make_house: MakeHouse, engine: VibeVoiceEngine, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """No more than two fit, whatever the budget says."""
    runner = engine._runner
    real = getattr(runner, where)

    def limited(*arguments: Any, **named: Any) -> Any:
        if engine.active + (where == "open") > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(*arguments, **named)

    monkeypatch.setattr(runner, where, limited)
    house = make_house()
    jobs = [house.submit(number, 10.0) for number in range(4)]
    done = house.wait(jobs)
    assert [job.state for job in done] == [State.DONE] * 4, [job.error for job in done]
    assert any("fewer jobs are spoken side by side" in reason for job in jobs for reason in house.reasons(job))
    assert house.error is None, "the process survives"


def test_one_that_runs_out_alone_is_tried_a_few_times(
    make_house: MakeHouse, engine: VibeVoiceEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []

    def open_none(*arguments: Any, **named: Any) -> Any:
        tries.append(time.monotonic())
        raise torch.OutOfMemoryError("CUDA out of memory.")

    house = make_house()
    with monkeypatch.context() as patch:
        patch.setattr(engine._runner, "open", open_none)
        failed = house.wait([house.submit(0, 3.0)])[0]
    assert failed.state is State.FAILED
    assert (failed.error or {})["code"] == "out_of_memory"
    assert len(tries) == 3
    assert min(np.diff(tries)) >= 0.3, "with a rest between"
    assert house.wait([house.submit(1, 3.0)])[0].state is State.DONE


def test_a_job_that_waits_for_memory_says_so_until_it_is_spoken(make_house: MakeHouse, engine: VibeVoiceEngine) -> None:
    probe = make_house()
    cost = budget_for(engine, [40.0], 1)
    del probe
    house = make_house(budget=round(1.5 * cost))
    jobs = [house.submit(number) for number in range(3)]
    house.until(lambda: "waits for memory" in (house.store.job(jobs[2].id).reason or ""))
    waiting = house.store.job(jobs[2].id)
    assert waiting.state is State.RUNNING
    assert "are free; 1 job before it" in str(waiting.reason)
    done = house.wait(jobs)
    assert [(job.state, job.reason) for job in done] == [(State.DONE, None)] * 3
    kinds = [event.data["reason"] for event in house.store.events(jobs[2].id) if event.kind == "waiting"]
    assert kinds[-1] is None, "and nothing more once it is spoken"


def test_many_jobs_of_mixed_length_in_memory_for_a_few(tmp_path: Path, engine: VibeVoiceEngine) -> None:
    """A cut of benchmarks/many_jobs.py."""
    wanted = [each / 4 for each in lengths(12)]
    seen = speak_all(engine, tmp_path / "data", wanted, budget_for(engine, wanted, 3))
    assert seen.done == seen.jobs == 12
    assert 0 < seen.most_held_bytes <= seen.budget_bytes
    assert seen.longest_wait_s < seen.wall_s

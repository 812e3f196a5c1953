"""The keeper of the heat policy with a real store, and a scripted driver."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longtake.config import HeatSettings
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.records import Job
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from longtake.monitor.heat import BLIND_S, HEAT_REASON, HeatLevel
from longtake.monitor.probes.gpus import GpuWatch
from longtake.monitor.probes.records import GpuState
from longtake.wiring.heat import TELL_AGAIN_S, HeatKeeper
from longtake.worker.orders import Rest
from tests.support.clock import HandClock
from tests.support.jobs import planned, spec
from tests.support.nvml.script import card
from tests.support.nvml.watch import until, watching


class Warm:
    """A store, a card whose temperature a test sets, and what the workers were told."""

    def __init__(self, root: Path, watch: GpuWatch, script: dict[str, Any]) -> None:
        self.clock = HandClock()
        self.db = Database(root / "jobs.db")
        self.store = JobStore(self.db, clock=self.clock)
        self.watch = watch
        self.script = script
        self.told: list[tuple[str, str]] = []
        self.keeper = self.make()

    def make(self, **settings: Any) -> HeatKeeper:
        def tell(engine: str, line: str) -> None:
            self.told.append((engine, line))

        return HeatKeeper(self.watch, self.store, ["espeak"], tell, HeatSettings(**settings), self.clock)

    def at(self, celsius: float, **changes: Any) -> None:
        """The card has it, and the keeper looks."""
        self.script["cards"][0] |= {"temperature": celsius, **changes}
        until(self.watch, lambda each: each.cards and each.cards[0].temperature_celsius == celsius)
        self.clock.sleep(1)
        self.keeper.look()

    def orders(self) -> list[Rest]:
        found = [Rest.from_order(*line.partition(" ")[::2]) for _, line in self.told if line != "wake"]
        self.told.clear()
        return found

    def job(self, engine: str = "espeak") -> Job:
        return self.store.submit(spec(engine=engine), "x", planned(1))[0]

    def suspended(self, reason: str = f"{HEAT_REASON}: card 0 has 90 °C") -> Job:
        """As a worker leaves it that was told to pause."""
        job = self.job()
        desk = WorkerDesk(self.db, "w", "espeak", 1, only_job=job.id, clock=self.clock)
        claim = desk.claim()
        assert claim is not None
        desk.suspend(claim, reason)
        return job

    def now(self, job: Job) -> tuple[State, str | None]:
        found = self.store.job(job.id)
        return found.state, found.reason


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Warm]:
    script: dict[str, Any] = {"cards": [card(temperature=50)]}
    with watching(script) as watch:
        until(watch, lambda each: each.state is GpuState.OK)
        warm = Warm(tmp_path, watch, script)
        yield warm
        warm.db.close()


def test_a_heat_curve_reaches_the_workers_the_jobs_and_the_log(warm: Warm, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    waiting = warm.job()
    warm.at(74)
    assert warm.orders() == []
    assert warm.now(waiting) == (State.QUEUED, None)

    warm.at(76)
    held = f"{HEAT_REASON}: card 0 has 76 °C; jobs start again below 70 °C"
    assert warm.orders() == [Rest("hold", held)]
    assert warm.now(waiting) == (State.QUEUED, held)
    warm.at(72)
    assert warm.orders() == [], "between the two it stays as it is"
    assert warm.now(waiting) == (State.QUEUED, held), "told once, not every second anew"
    later = warm.job()
    warm.at(73)
    assert warm.now(later)[1] == f"{HEAT_REASON}: card 0 has 73 °C; jobs start again below 70 °C"

    warm.at(88)
    assert [order.word for order in warm.orders()] == ["pause"]
    paused = warm.suspended()
    warm.at(71)
    assert warm.now(paused)[0] is State.PAUSED
    warm.orders()

    warm.at(69)
    assert warm.orders()[0] == Rest("go")
    assert [warm.now(job) for job in (waiting, later, paused)] == [(State.QUEUED, None)] * 3
    events = [event.data["reason"] for event in warm.store.events(waiting.id) if event.kind == "waiting"]
    assert events == [held, None]
    status = warm.keeper.status
    assert (status.heat.level, status.actions) == (
        HeatLevel.NORMAL,
        {"hold": 1, "pause": 1, "go": 1, "resumed": 1},
    )
    told = [record.getMessage() for record in caplog.records if record.name == "longtake.wiring.heat"]
    assert told == [
        f"heat: no new jobs start: {held}",
        f"heat: running jobs are paused: {HEAT_REASON}: card 0 has 88 °C; jobs go on below 70 °C",
        "heat: the cards have cooled; jobs go on",
        "the cards have cooled: job goes on",
    ]


def test_a_slowdown_of_the_hardware_pauses_at_once(warm: Warm) -> None:
    warm.at(80, throttles=0x8)
    assert [order.word for order in warm.orders()] == ["pause"]


def test_a_users_pause_stays_and_so_does_what_another_reason_paused(warm: Warm) -> None:
    mine, full = warm.suspended(), warm.suspended("disk full: no room")
    warm.store.pause(mine.id)
    asked = warm.job()
    warm.store.pause(asked.id)
    warm.at(80)
    warm.at(60)
    assert warm.now(mine) == (State.PAUSED, None)
    assert warm.now(full) == (State.PAUSED, "disk full: no room")
    assert warm.now(asked)[0] is State.PAUSED


def test_what_a_dead_host_left_paused_or_told_goes_on(warm: Warm) -> None:
    paused, waiting = warm.suspended(), warm.job()
    warm.store.explain_queued("espeak", HEAT_REASON, f"{HEAT_REASON}: card 0 has 80 °C")
    warm.at(60)
    assert warm.now(paused) == warm.now(waiting) == (State.QUEUED, None)
    assert ("espeak", "wake") in warm.told


def test_while_the_card_is_still_hot_a_new_host_leaves_them_paused(warm: Warm) -> None:
    paused = warm.suspended()
    warm.at(90)
    assert warm.now(paused)[0] is State.PAUSED


def test_before_anybody_has_looked_nothing_is_resumed(tmp_path: Path, warm: Warm) -> None:
    paused = warm.suspended()
    warm.watch = GpuWatch(warm.clock)  # not started
    warm.make().look()
    assert warm.now(paused)[0] is State.PAUSED


@pytest.mark.parametrize("way", ["no driver", "policy off"])
def test_without_cards_or_with_the_policy_off_nothing_waits(warm: Warm, way: str, tmp_path: Path) -> None:
    paused = warm.suspended()
    if way == "policy off":
        warm.script["cards"][0]["temperature"] = 95
        until(warm.watch, lambda each: each.cards[0].temperature_celsius == 95)
        warm.make(policy=False).look()
    else:
        with watching({"driver": "LibraryNotFound"}) as watch:
            until(watch, lambda each: each.state is GpuState.ABSENT)
            warm.watch = watch
            warm.make().look()
    assert warm.now(paused) == (State.QUEUED, None)
    assert warm.orders() == []


def test_a_worker_that_comes_later_is_told_too(warm: Warm) -> None:
    warm.at(90)
    warm.orders()
    for _ in range(12):
        warm.at(90)
    assert len(warm.orders()) == round(12 / TELL_AGAIN_S)
    warm.at(50)
    warm.orders()
    warm.clock.sleep(TELL_AGAIN_S)
    warm.at(50)
    assert warm.orders() == [Rest("go")], "one that was frozen may have missed it"


def test_a_hanging_driver_keeps_the_level_and_not_for_ever(warm: Warm) -> None:
    warm.at(90)
    paused = warm.suspended()
    warm.script["hangs"] = True
    until(warm.watch, lambda each: each.state is GpuState.SILENT)
    warm.clock.sleep(BLIND_S - 1)
    warm.keeper.look()
    assert warm.now(paused)[0] is State.PAUSED
    warm.clock.sleep(1)
    warm.keeper.look()
    assert warm.now(paused)[0] is State.QUEUED


def test_jobs_of_other_engines_are_left_alone(warm: Warm) -> None:
    other = warm.job("vibevoice")
    warm.at(90)
    assert warm.now(other) == (State.QUEUED, None)


def test_the_keeper_looks_by_itself(warm: Warm) -> None:
    waiting = warm.job()
    keeper = warm.make()
    keeper.start()
    warm.script["cards"][0]["temperature"] = 80
    deadline = time.monotonic() + 10
    while warm.now(waiting)[1] is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    keeper.close()

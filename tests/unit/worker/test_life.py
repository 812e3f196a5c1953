"""A worker's life with a real store, real files and a real loop; only the engine and the clock are the test's."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from longtake.config import WorkerSettings
from longtake.core.errors import CapacityError, LongtakeError, TransientError
from longtake.core.memory import MemoryUse
from longtake.core.stats import StepStats
from longtake.engines.base import Engine
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Claim, Job, Kind
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from longtake.supervise.answers import Answer
from longtake.worker import life as lives
from longtake.worker.life import Life
from longtake.worker.loop import WorkerLoop
from longtake.worker.recycling import LEARNS_FOR_S
from tests.support.clock import HandClock
from tests.support.engine import NumberEngine
from tests.support.jobs import planned, spec


class World:
    """One life in a thread, on a data folder; every engine that it loads is known by a weak reference."""

    def __init__(self, root: Path, **settings: object) -> None:
        self.folder = DataFolder(root, floor_bytes=0)
        self.db = Database(self.folder.database)
        self.clock = HandClock()
        self.store = JobStore(self.db, clock=self.clock)
        self.desk = WorkerDesk(self.db, "w1", "espeak", 1, clock=self.clock)
        self.settings = WorkerSettings.model_validate({"poll_s": 0.005} | settings)
        self.engines: list[weakref.ref[NumberEngine]] = []
        self.gate = threading.Event()  # while it is closed, every step waits for it
        self.gate.set()
        self.is_at_gate = threading.Event()
        self.answers: dict[str, Answer] = {}
        self.load_error: Exception | None = None
        self.loads = 0
        self.error: BaseException | None = None
        self.life = Life(
            self.load,
            self.loop_for,
            self.desk,
            self.settings,
            self.clock,
            answer=lambda answer: self.answers.update({answer.ticket: answer}),
            news=lambda: None,
            blank=StepStats("w1", "espeak", 1, self.clock.boot_id, 0.0, "loading"),
        )
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        try:
            self.life.run()
        except BaseException as error:
            self.error = error

    def load(self) -> Engine:
        self.loads += 1
        if self.load_error is not None:
            raise self.load_error
        engine = NumberEngine()
        engine.before_step = self.wait_at_gate
        self.engines.append(weakref.ref(engine))
        return engine

    def wait_at_gate(self) -> None:
        self.is_at_gate.set()
        self.gate.wait(20)

    def loop_for(self, engine: Engine, attend: Callable[[], None]) -> WorkerLoop:
        return WorkerLoop(engine, self.desk, self.folder, self.settings, self.clock, budget_bytes=1000, attend=attend)

    def submit(self, passages: int = 3, kind: Kind = Kind.JOB) -> Job:
        return self.store.submit(spec(), "x", planned(passages, silence_s=0.5), kind=kind)[0]

    def until(self, condition: Callable[[], object], timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.error is None, self.error
            assert time.monotonic() < deadline, (self.life.pulse(), [(j.state, j.reason) for j in self.store.jobs()])
            time.sleep(0.005)

    def until_state(self, state: str) -> None:
        self.until(lambda: self.life.pulse().state == state)

    def until_done(self, *jobs: Job) -> None:
        self.until(lambda: all(self.job(job).state is State.DONE for job in jobs))

    def answer(self, word: str, ticket: str = "t") -> Answer:
        self.answers.pop(ticket, None)
        self.life.tell(word, ticket)
        self.until(lambda: ticket in self.answers)
        return self.answers[ticket]

    def job(self, job: Job) -> Job:
        return self.store.job(job.id)

    def speaking(self, passages: int = 3) -> Job:
        """A job that stands in the middle of its first passage until the gate is opened."""
        self.gate.clear()
        self.is_at_gate.clear()
        job = self.submit(passages)
        assert self.is_at_gate.wait(10)
        return job

    @property
    def living(self) -> int:
        gc.collect()
        return sum(engine() is not None for engine in self.engines)


MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeWorld]:
    monkeypatch.setattr(lives, "LOOK_S", 0.01)
    worlds: list[World] = []

    def make(**settings: object) -> World:
        worlds.append(World(tmp_path / "data", **settings))
        worlds[-1].thread.start()
        worlds[-1].until_state("ready")
        return worlds[-1]

    yield make
    for world in worlds:
        world.life.stop()
        world.gate.set()
        world.thread.join(10)
        assert not world.thread.is_alive()
        world.db.close()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()


def test_unloading_lets_go_of_the_engine_and_the_next_job_loads_it_again(world: World) -> None:
    first = world.submit()
    world.until_done(first)
    answer = world.answer("unload")
    assert (world.life.pulse().state, world.life.pulse().active) == ("unloaded", 0)
    assert (world.life.figures().state, world.life.figures().active) == ("unloaded", 0)
    assert world.living == 0, "nothing holds it any more"
    assert answer.before.rss_bytes > 0 < answer.after.rss_bytes
    steps = world.life.pulse().steps
    second = world.submit()
    world.until_done(second)
    assert (world.living, len(world.engines)) == (1, 2)
    assert world.life.pulse().steps > steps, "what was counted before still counts"
    world.answer("unload")
    assert world.life.figures().counts.passages == 6


def test_a_job_that_is_unloaded_goes_back_with_a_reason_and_waits_for_the_engine(world: World) -> None:
    job = world.speaking()
    waiting = world.submit()
    world.life.tell("unload", "t")
    world.gate.set()
    world.until(lambda: "t" in world.answers)
    assert (world.job(job).state, world.job(job).crashes) == (State.QUEUED, 0)
    assert "unloaded" in (world.job(job).reason or "")
    time.sleep(0.1)
    assert world.life.pulse().state == "unloaded", "not for those that were queued when it was ordered"
    loaded = world.answer("load")
    assert loaded.error is None
    assert world.life.pulse().state == "ready"
    world.until_done(job, waiting)
    assert world.job(job).token == 2


def test_a_store_that_is_busy_then_is_asked_until_the_job_is_free(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heart goes on and renews leases: a job that was not put back would be nobody's for ever."""
    release, asked = world.desk.release, [0]

    def busy(claim: Claim, reason: str | None = None) -> State:
        asked[0] += 1
        if asked[0] < 4:
            raise TransientError("The store is busy.")
        return release(claim, reason)

    monkeypatch.setattr(world.desk, "release", busy)
    job = world.speaking()
    world.life.tell("unload", "t")
    world.gate.set()
    world.until(lambda: "t" in world.answers)
    assert world.job(job).state is State.QUEUED
    assert asked == [4]


def test_a_busy_store_is_not_asked_without_a_pause(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lives, "LOOK_S", 0.1)
    release, asked, is_busy = world.desk.release, [0], [True]

    def busy(claim: Claim, reason: str | None = None) -> State:
        asked[0] += 1
        if is_busy[0]:
            raise TransientError("The store is busy.")
        return release(claim, reason)

    monkeypatch.setattr(world.desk, "release", busy)
    world.speaking()
    world.life.tell("unload", "t")
    world.gate.set()
    time.sleep(0.5)
    is_busy[0] = False
    world.until(lambda: "t" in world.answers)
    assert asked[0] < 15


def test_whatever_is_new_loads_it_for_all(world: World) -> None:
    old = world.speaking()
    world.life.tell("unload", "t")
    world.gate.set()
    world.until(lambda: "t" in world.answers)
    new = world.submit()
    world.until_done(old, new)


def test_a_job_that_is_resumed_is_new(world: World) -> None:
    job = world.speaking()
    world.life.tell("unload", "t")
    world.gate.set()
    world.until(lambda: "t" in world.answers)
    world.store.pause(job.id)
    time.sleep(0.1)
    assert world.life.pulse().state == "unloaded"
    world.store.resume(job.id)
    world.until_done(job)


def test_releasing_keeps_the_engine_and_disturbs_no_job(world: World) -> None:
    job = world.speaking()
    world.life.tell("release", "t")
    world.gate.set()
    world.until(lambda: "t" in world.answers)
    world.until_done(job)
    engine = world.engines[0]()
    assert engine is not None
    assert engine.releases == 1
    assert (len(world.engines), world.job(job).token) == (1, 1)


def test_every_order_is_answered_whether_or_not_there_is_an_engine(world: World) -> None:
    for word in ("measure", "release", "load", "unload", "unload", "release", "measure", "load"):
        assert world.answer(word).error is None, word
    assert world.life.pulse().state == "ready"
    assert len(world.engines) == 2


def test_orders_that_came_during_one_beat_are_carried_out_one_after_the_other(world: World) -> None:
    job = world.speaking()
    for number, word in enumerate(("unload", "release", "unload", "load")):
        world.life.tell(word, str(number))
    world.gate.set()
    world.until(lambda: len(world.answers) == 4)
    assert world.loads == 2
    world.until_done(job)


def test_to_be_measured_waits_for_no_beat(world: World) -> None:
    world.speaking()
    assert world.answer("measure").before.rss_bytes > 0


def test_draining_speaks_what_is_held_takes_nothing_more_and_ends(world: World) -> None:
    held = world.speaking()
    world.life.tell("drain", "")
    later = world.submit()
    speech = world.submit(1, Kind.SPEECH)
    world.gate.set()
    world.thread.join(10)
    assert not world.thread.is_alive()
    assert world.error is None
    states = [world.job(job).state for job in (held, later)]
    assert states == [State.DONE, State.QUEUED]
    assert world.job(speech).state in (State.DONE, State.QUEUED)
    assert world.job(held).token == 1


def test_a_job_behind_a_long_one_is_not_kept_from_speaking_while_it_drains(world: World) -> None:
    """Somebody holds a connection open for it."""
    held = world.speaking(40)
    world.life.tell("drain", "")
    speech = world.submit(1, Kind.SPEECH)
    world.gate.set()
    world.until(lambda: world.job(speech).state is State.DONE)
    world.thread.join(10)
    assert world.job(held).state is State.DONE


def test_an_unloaded_worker_drains_at_once(world: World) -> None:
    world.answer("unload")
    world.life.tell("drain", "")
    world.thread.join(10)
    assert not world.thread.is_alive()


def test_idle_for_long_it_unloads_by_itself_and_any_job_loads_it(make_world: MakeWorld) -> None:
    world = make_world(idle_minutes=10)
    world.clock.sleep(599)
    time.sleep(0.05)
    assert world.life.pulse().state == "ready"
    world.clock.sleep(1)
    world.until_state("unloaded")
    assert world.living == 0
    job = world.submit()
    world.until_done(job)
    world.clock.sleep(599)
    time.sleep(0.05)
    assert world.life.pulse().state == "ready", "its time begins with the last job"


def test_probes_do_not_keep_it_awake_and_work_does(make_world: MakeWorld) -> None:
    world = make_world(idle_minutes=1)
    job = world.speaking()
    world.clock.sleep(25)  # within the lease
    world.life.tell("release", "t")
    world.gate.set()
    world.until_done(job)
    for _ in range(2):
        world.clock.sleep(29)
        probe = world.submit(1, Kind.PROBE)
        world.until(lambda probe=probe: world.job(probe).state is State.DONE)  # type: ignore[misc]
    assert world.life.pulse().state == "ready"
    world.clock.sleep(3)
    world.until_state("unloaded")


@pytest.mark.parametrize(
    "error", [CapacityError("The device has no room for the weights."), TransientError("The job store is busy.")]
)
def test_no_room_to_load_again_is_told_and_tried_later(world: World, error: LongtakeError) -> None:
    world.answer("unload")
    world.load_error = error
    assert world.answer("load").error == error.message
    job = world.submit()
    time.sleep(0.1)
    assert (world.job(job).state, world.thread.is_alive()) == (State.QUEUED, True)
    assert world.loads == 2, "not again and again"
    world.load_error = None
    world.clock.sleep(lives.RETRY_S)
    world.until_done(job)


def test_one_that_has_grown_past_its_mark_leaves_with_its_job_put_back(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = [500]
    monkeypatch.setattr(lives, "memory_use", lambda: MemoryUse(resident[0]))
    world = make_world(recycle_rss="1000")
    world.clock.sleep(LEARNS_FOR_S - 1)
    time.sleep(0.1)
    job = world.speaking(40)
    resident[0] = 1200
    world.clock.sleep(2)
    world.gate.set()
    world.thread.join(10)
    assert not world.thread.is_alive()
    assert world.job(job).state is State.QUEUED
    assert "begins afresh" in (world.job(job).reason or "")
    assert world.job(job).crashes == 0

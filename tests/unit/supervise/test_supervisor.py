from __future__ import annotations

from dataclasses import replace

import pytest

from longtake.supervise import Patience, Progress, Supervisor, WorkerState
from longtake.supervise.policy import FIRST_WAIT_S, MAX_DEATHS
from longtake.supervise.supervisor import EXIT_CANNOT_LOAD
from tests.support.clock import HandClock


class FakeProcess:
    """Lives until it is killed, or told to die."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None
        self.sent: list[str] = []
        self.is_closed = False
        self.obeys = True

    def exit_code(self) -> int | None:
        return self.code

    def send(self, line: str) -> None:
        self.sent.append(line)
        if line == "stop\n" and self.obeys:
            self.code = 0

    def kill(self) -> None:
        self.code = -9

    def wait(self, timeout_s: float) -> bool:
        return self.code is not None

    def close(self) -> None:
        self.is_closed = True

    def last_words(self) -> str:
        return f"exit code {self.code}: boom"

    def words(self) -> str:
        return "a stack\nboom"


class World:
    """A supervisor with everything around it in the test's hands."""

    def __init__(self, engines: tuple[str, ...] = ("espeak",)) -> None:
        self.clock = HandClock()
        self.processes: list[FakeProcess] = []
        self.ids: list[str] = []
        self.said: dict[str, Progress] = {}
        self.deaths: list[tuple[str, str | None]] = []
        self.spawn_error: Exception | None = None
        self.supervisor = Supervisor(
            engines,
            spawn=self.spawn,
            progress=lambda: self.said,
            died=lambda worker_id, how: self.deaths.append((worker_id, how)),
            patience=Patience(start_s=60.0, stall_s=30.0, ceiling_s=300.0, silence_s=40.0, stop_s=0.1),
            clock=self.clock,
        )

    def spawn(self, engine: str, worker_id: str) -> FakeProcess:
        self.ids.append(worker_id)
        if self.spawn_error is not None:
            raise self.spawn_error
        self.processes.append(FakeProcess(100 + len(self.processes)))
        return self.processes[-1]

    def says(
        self,
        *,
        is_ready: bool = True,
        steps: int = 0,
        active: int = 0,
        committed_s: float | None = None,
        is_unloaded: bool = False,
    ) -> None:
        now_s = self.clock.now_s
        self.said = {self.ids[-1]: Progress(is_ready, steps, active, now_s, committed_s, is_unloaded)}

    def look(self, after_s: float = 0.0) -> None:
        self.clock.sleep(after_s)
        self.supervisor.look()

    @property
    def status(self):  # type: ignore[no-untyped-def]
        return self.supervisor.statuses()[0]


def test_a_worker_is_started_and_becomes_ready() -> None:
    world = World()
    world.look()
    assert world.status.state is WorkerState.STARTING
    world.says(is_ready=False)
    world.look(1)
    assert world.status.state is WorkerState.STARTING
    world.says(steps=3)
    world.look(1)
    assert (world.status.state, world.status.steps, world.status.pid) == (WorkerState.READY, 3, 100)
    assert len(world.processes) == 1


def test_a_dead_worker_is_replaced_after_a_wait_and_its_jobs_are_freed() -> None:
    world = World()
    world.look()
    world.processes[0].code = 1
    world.look()
    assert world.deaths == [(world.ids[0], "exit code 1: boom")]
    assert world.processes[0].is_closed
    assert (world.status.state, world.status.reason) == (WorkerState.WAITING, "exit code 1: boom")
    world.look(FIRST_WAIT_S / 2)
    assert len(world.processes) == 1
    world.look(FIRST_WAIT_S)
    assert len(world.processes) == 2
    assert world.ids[0] != world.ids[1]
    assert world.status.restarts == 1
    world.says(steps=1)
    world.look()
    assert world.status.reason is None


def test_a_busy_worker_without_progress_is_killed_and_the_reason_says_so() -> None:
    world = World()
    world.look()
    world.says(steps=5, active=2)
    for _ in range(29):
        world.look(1)
    assert world.processes[0].code is None
    world.says(steps=5, active=2)  # its heart beats on
    world.look(3)
    assert world.processes[0].code == -9
    world.look()
    assert world.deaths[0][1] == "it made no step for 30 s with 2 jobs in hand (stall)"


def test_progress_however_slow_is_life() -> None:
    world = World()
    world.look()
    for step in range(20):
        world.says(steps=step, active=1)
        world.look(29)
    assert world.processes[0].code is None


def test_an_idle_worker_may_stand_still_for_ever() -> None:
    world = World()
    world.look()
    world.says(steps=5, active=0)
    for _ in range(100):
        world.says(steps=5, active=0)
        world.look(29)
    assert world.processes[0].code is None
    world.says(steps=5, active=1)  # work came only now: its time begins now
    world.look(20)
    assert world.processes[0].code is None


def test_an_idle_worker_whose_heart_stops_is_taken_for_frozen() -> None:
    world = World()
    world.look()
    world.says(steps=5, active=0)
    world.look(39)
    assert world.processes[0].code is None
    world.look(2)
    world.look()
    assert world.deaths[0][1] == "its heart did not beat for 40 s"


def test_a_worker_that_never_loads_is_killed() -> None:
    world = World()
    world.look()
    world.says(is_ready=False)
    world.look(59)
    assert world.processes[0].code is None
    world.look(2)
    world.look()
    assert world.deaths[0][1] == "it had not loaded its engine after 60 s"


def test_a_crash_loop_is_broken_and_shown_and_can_be_mended() -> None:
    world = World()
    for _ in range(MAX_DEATHS):
        world.look(31)
        world.processes[-1].code = 4
        world.look()
    assert world.status.state is WorkerState.BROKEN
    assert "5 workers died within 10 minutes" in world.status.reason
    assert "boom" in world.status.reason
    world.look(3600)
    assert len(world.processes) == MAX_DEATHS
    world.supervisor.restart("espeak")
    world.look()
    assert len(world.processes) == MAX_DEATHS + 1
    assert world.status.state is WorkerState.STARTING


def test_the_open_breaker_tells_how_it_is_closed() -> None:
    world = World(("echo",))
    for _ in range(MAX_DEATHS):
        world.look(31)
        world.processes[-1].code = 4
        world.look()
    assert "restarted; a server does so on POST /v1/admin/restart?engine=echo." in world.status.reason


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file or directory", "/logs/w.log"), TypeError("ours")])
def test_a_worker_that_cannot_be_started_is_a_death_like_others(error: Exception) -> None:
    world = World()
    world.spawn_error = error
    world.look()
    assert world.status.state is WorkerState.WAITING
    assert world.status.reason == f"it could not be started: {error}"
    world.look(FIRST_WAIT_S / 2)
    assert len(world.ids) == 1, "it waits like after other deaths"
    world.spawn_error = None
    world.look(FIRST_WAIT_S)
    assert (world.status.state, len(world.processes)) == (WorkerState.STARTING, 1)


def test_workers_that_can_never_be_started_open_the_breaker() -> None:
    world = World()
    world.spawn_error = OSError("no more processes")
    for _ in range(3 * MAX_DEATHS):
        world.look(31)
    assert len(world.ids) == MAX_DEATHS
    assert world.status.state is WorkerState.BROKEN
    assert "no more processes" in world.status.reason
    world.spawn_error = None
    world.supervisor.restart("espeak")
    world.look()
    assert world.status.state is WorkerState.STARTING


def test_a_worker_that_says_it_cannot_load_is_not_tried_again() -> None:
    world = World()
    world.look()
    world.processes[0].code = EXIT_CANNOT_LOAD
    world.look()
    assert (world.status.state, world.status.reason) == (WorkerState.BROKEN, f"exit code {EXIT_CANNOT_LOAD}: boom")
    world.look(3600)
    assert len(world.processes) == 1


def test_engines_are_judged_one_by_one() -> None:
    world = World(("a", "b"))
    world.look()
    world.processes[0].code = 1
    world.look()
    states = {status.engine: status.state for status in world.supervisor.statuses()}
    assert states == {"a": WorkerState.WAITING, "b": WorkerState.STARTING}


def test_wake_reaches_the_engines_worker_alone() -> None:
    world = World(("a", "b"))
    world.look()
    world.supervisor.wake("b")
    world.supervisor.wake("unknown")
    assert [process.sent for process in world.processes] == [[], ["wake\n"]]


@pytest.mark.parametrize("obeys", [True, False])
def test_stop_asks_first_and_kills_then(obeys: bool) -> None:
    world = World()
    world.look()
    world.processes[0].obeys = obeys
    world.supervisor.stop()
    assert world.processes[0].sent == ["stop\n"]
    assert world.processes[0].code == (0 if obeys else -9)
    assert world.deaths == [(world.ids[0], None)]
    assert world.status.state is WorkerState.STOPPED


def test_a_worker_that_makes_steps_but_commits_nothing_meets_the_ceiling() -> None:
    world = World()
    world.look()
    begun_s = world.clock.now_s
    for step in range(60):
        world.says(steps=step, active=1, committed_s=begun_s)
        world.look(5)
    assert world.processes[0].code is None
    world.says(steps=61, active=1, committed_s=begun_s)
    world.look(1)
    assert world.processes[0].code == -9
    world.look()
    assert world.deaths[0][1] == "it made steps, but committed nothing for 300 s (ceiling)"


def test_the_ceiling_counts_from_the_latest_commit() -> None:
    world = World()
    world.look()
    for step in range(200):
        world.says(steps=step, active=1, committed_s=world.clock.now_s)
        world.look(5)
    assert world.processes[0].code is None


def test_a_worker_that_hangs_before_its_first_beat_is_not_waited_for_as_long_as_a_slow_one() -> None:
    world = World()
    world.supervisor._patience = replace(world.supervisor._patience, start_s=900.0)
    world.look()
    world.look(159)
    assert world.processes[0].code is None
    world.look(2)
    world.look()
    assert world.deaths[0][1] == "its heart did not beat for 160 s while it loaded"


def test_a_worker_that_loads_long_and_says_so_is_left_alone() -> None:
    world = World()
    world.supervisor._patience = replace(world.supervisor._patience, start_s=900.0)
    world.look()
    for _ in range(8):
        world.says(is_ready=False)
        world.look(100)
    assert world.processes[0].code is None


def test_an_unloaded_worker_is_well_and_has_its_time_to_load_again() -> None:
    world = World()
    world.look()
    world.says(steps=3)
    world.look(1)
    for _ in range(10):
        world.says(steps=3, is_unloaded=True)
        world.look(39)
    assert world.status.state is WorkerState.UNLOADED
    assert world.status.can_serve
    for _ in range(2):
        world.says(is_ready=False, steps=3)
        world.look(29)
    assert world.status.state is WorkerState.STARTING
    assert world.processes[0].code is None, "its time began when it began to load, not when it was born"
    world.says(is_ready=False, steps=3)
    world.look(4)
    assert world.status.state is WorkerState.STARTING
    world.look(30)
    world.look()
    assert world.deaths[0][1] == "it had not loaded its engine after 60 s"


@pytest.mark.parametrize(("drains", "word"), [(False, "stop\n"), (True, "drain\n")])
def test_a_restart_tells_the_worker_how_to_leave_and_starts_another_without_a_wait(drains: bool, word: str) -> None:
    world = World()
    world.look()
    world.supervisor.restart("espeak", drains=drains)
    assert world.processes[0].sent == [word]
    world.processes[0].code = 0
    world.look()
    world.look()
    assert (len(world.processes), world.deaths) == (2, [(world.ids[0], None)]), "it was asked: no crash is counted"


def test_a_frozen_worker_does_not_keep_a_restart_waiting() -> None:
    world = World()
    world.look()
    world.says()
    world.processes[0].obeys = False
    world.supervisor.restart("espeak")
    world.look(0.1)
    world.supervisor.restart("espeak")  # to ask again gives it no more time
    world.look(0.15)
    world.look(FIRST_WAIT_S)
    world.look(FIRST_WAIT_S)
    assert world.deaths == [(world.ids[0], "it was told to stop and had not after 0.2 s")]
    world.says()
    world.look(20)
    assert [process.code for process in world.processes] == [-9, None], "the next one has nothing to do with that"


def test_a_worker_that_drains_has_all_the_time_it_needs() -> None:
    world = World()
    world.look()
    world.says()
    world.supervisor.restart("espeak", drains=True)
    world.look(30)
    assert world.processes[0].code is None


def test_an_order_reaches_the_worker_that_lives() -> None:
    world = World()
    world.supervisor.order("espeak", "unload 1")
    world.look()
    world.supervisor.order("espeak", "unload 2")
    assert world.processes[0].sent == ["unload 2\n"]

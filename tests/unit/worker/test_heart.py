"""The heart with a real store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longtake.core.errors import DiskFullError
from longtake.jobs.database import Database
from longtake.jobs.desk import LEASE_S, WorkerDesk
from longtake.jobs.records import WorkerRow
from longtake.jobs.store import JobStore
from longtake.worker.heart import Heart, Pulse
from tests.support.clock import HandClock
from tests.support.jobs import planned, spec

NEVER_S = 3600.0


class Patient:
    """A worker that does nothing but live."""

    def __init__(self, root: Path) -> None:
        self.clock = HandClock()
        self.db = Database(root / "jobs.db")
        self.store = JobStore(self.db, clock=self.clock)
        self.desk = WorkerDesk(self.db, "w1", "espeak", 4711, clock=self.clock)
        self.pulse = Pulse("loading", 0, 0)
        self.hearts: list[Heart] = []

    def heart(self, period_s: float = NEVER_S, desk: WorkerDesk | None = None) -> Heart:
        heart = Heart(desk or self.desk, lambda: self.pulse, period_s)
        heart.start()
        self.hearts.append(heart)
        return heart

    @property
    def row(self) -> WorkerRow:
        (row,) = self.store.workers()
        return row

    @property
    def told(self) -> Pulse:
        return Pulse(self.row.state, self.row.steps, self.row.active)


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Patient]:
    patient = Patient(tmp_path)
    yield patient
    for heart in patient.hearts:
        heart.stop()
    patient.db.close()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_the_first_beat_is_made_before_start_returns(patient: Patient) -> None:
    patient.heart()
    row = patient.row
    assert (row.id, row.engine, row.pid, row.state, row.steps, row.active) == ("w1", "espeak", 4711, "loading", 0, 0)
    assert (row.boot_id, row.beat_monotonic_s) == (patient.clock.boot_id, patient.clock.now_s)


def test_it_beats_on_and_tells_how_far_the_worker_is(patient: Patient) -> None:
    patient.heart(period_s=0.005)
    for steps in (1, 5, 9):
        patient.pulse = Pulse("ready", steps, 2)
        wait_until(lambda: patient.told == patient.pulse)


def test_news_does_not_wait_for_the_period(patient: Patient) -> None:
    heart = patient.heart()
    for state in ("ready", "leaving"):
        patient.pulse = Pulse(state, 0, 0)
        heart.beat_now()
        wait_until(lambda: patient.told == patient.pulse)


def test_it_tells_what_the_cache_was_good_for_also_after_it_has_stopped(patient: Patient) -> None:
    heart = patient.heart()
    heart.stop()
    patient.pulse = Pulse("ready", 9, 0, cache_hits=7, cache_misses=2)
    heart.beat()
    assert (patient.row.cache_hits, patient.row.cache_misses) == (7, 2)


def test_every_beat_renews_the_lease(patient: Patient) -> None:
    patient.store.submit(spec(), "x", planned(1))
    assert patient.desk.claim() is not None
    heir = WorkerDesk(patient.db, "w2", "espeak", 1, clock=patient.clock)
    heart = patient.heart()
    for _ in range(3):
        patient.clock.sleep(LEASE_S - 1)
        heart.beat_now()
        wait_until(lambda: patient.row.beat_monotonic_s == patient.clock.now_s)
        assert heir.claim() is None


def test_a_stopped_heart_is_still_at_once(patient: Patient) -> None:
    heart = patient.heart()
    patient.pulse = Pulse("ready", 1, 0)
    start = time.monotonic()
    heart.stop()
    assert time.monotonic() - start < 1.0
    assert patient.row.steps == 0, "a stopped heart beats no more"
    assert not [thread for thread in threading.enumerate() if thread.name == "heart"]


class FullDisk(WorkerDesk):
    """Cannot write every second beat."""

    beats = 0

    def heartbeat(self, **pulse: Any) -> None:
        self.beats += 1
        if self.beats % 2:
            raise DiskFullError("no room for the beat")
        super().heartbeat(**pulse)


def test_a_beat_that_cannot_be_written_is_told_and_tried_again(
    patient: Patient, caplog: pytest.LogCaptureFixture
) -> None:
    desk = FullDisk(patient.db, "w1", "espeak", 1, clock=patient.clock)
    patient.heart(period_s=0.005, desk=desk)  # the very first one fails, too
    wait_until(lambda: desk.beats >= 4)
    assert "heartbeat not written: no room for the beat" in caplog.text
    assert patient.row.id == "w1"

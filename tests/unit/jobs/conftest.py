from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.records import QueueLimits
from longtake.jobs.store import JobStore
from tests.support.clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "jobs.db")
    yield database
    database.close()


@pytest.fixture
def store(db: Database, clock: HandClock) -> JobStore:
    return JobStore(db, clock=clock, limits=QueueLimits(max_jobs=5, max_audio_s=100.0))


@pytest.fixture
def make_desk(db: Database, clock: HandClock) -> Callable[..., WorkerDesk]:
    def make(worker_id: str = "w1", engine: str = "espeak", **options: Any) -> WorkerDesk:
        return WorkerDesk(db, worker_id, engine, 1234, clock=clock, **options)

    return make

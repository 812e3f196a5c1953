"""A data folder with a past of which every number is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job
from longtake.jobs.store import JobStore
from longtake.monitor.rollups import Rollups
from longtake.report import Setup, Sources
from longtake.supervise.crashes import CrashFolder
from tests.support.clock import HandClock
from tests.support.jobs import planned, spec, spoken

MINUTE_S = 60.0
HOUR_S = 3600.0
DAY_S = 86_400.0
GIB = 1 << 30


class Past:
    """Jobs and minutes, made one after the other while a clock is turned."""

    def __init__(self, root: Path) -> None:
        self.clock = HandClock()
        self.clock.wall_shift_s = -(self.clock.wall_s() % DAY_S)  # a round beginning
        self.folder = DataFolder(root, floor_bytes=0)
        self.db = Database(self.folder.database)
        self.store = JobStore(self.db, clock=self.clock)
        self.free_bytes = 100 * GIB
        self.setup = Setup(engines=("espeak",), max_jobs=4)

    @property
    def now_s(self) -> float:
        return self.clock.wall_s()

    def sources(self) -> Sources:
        return Sources(
            history=self.store.history,
            minutes=self.folder.minutes,
            crashes=CrashFolder(self.folder.crashes).newest,
            free_bytes=lambda: self.free_bytes,
            budgets=dict,
            setup=self.setup,
        )

    def submit(self, *, engine: str = "espeak", title: str = "A test") -> Job:
        return self.store.submit(spec(engine=engine, model=engine, title=title), "A secret script.", planned(1))[0]

    def desk(self, job: Job, worker: str = "w") -> WorkerDesk:
        return WorkerDesk(self.db, worker, job.spec.engine, 1, only_job=job.id, clock=self.clock)

    def done(self, *, wait_s: float = 0.0, took_s: float = 10.0, audio_s: float = 100.0, engine: str = "espeak") -> Job:
        """A job that waited, was spoken in one go, and is done; the clock is at its end."""
        job = self.submit(engine=engine)
        self.clock.sleep(wait_s)
        desk = self.desk(job)
        claim = desk.claim()
        assert claim is not None
        desk.commit(claim, [spoken(0, samples=round(audio_s * 24_000))])
        self.clock.sleep(took_s)
        desk.finish(claim, "audio-1.pcm", 1)
        return self.store.job(job.id)

    def failed(self, code: str, message: str = "It quotes: A secret script.") -> Job:
        job = self.submit()
        desk = self.desk(job)
        claim = desk.claim()
        assert claim is not None
        desk.fail(claim, {"message": message, "type": "engine_error", "param": None, "code": code})
        return self.store.job(job.id)

    def interrupted(self, reason: str) -> Job:
        """A job that a worker put back into the queue, where it stays."""
        job = self.submit()
        desk = self.desk(job)
        claim = desk.claim()
        assert claim is not None
        desk.release(claim, reason)
        return self.store.job(job.id)

    def watch(self, start_s: float, minutes: list[Mapping[str, float]]) -> None:
        """Minutes of the monitor, from a wall time on; in each, low and high are 1 below and above the mean, but for
        ratios and counts."""
        rollups = Rollups(self.folder.minutes)
        for number, values in enumerate(minutes):
            bands = {name: _band(name, value) for name, value in values.items()}
            assert rollups.add(int(start_s // MINUTE_S) + number, bands)
        rollups.close()

    def close(self) -> None:
        self.db.close()


def _band(name: str, value: float) -> tuple[float, float, float]:
    is_plain = "_ratio" in name or name.partition(":")[0] in ("gpu_xids", "gpu_lost")
    return (value, value, value) if is_plain else (value - 1, value, value + 1)

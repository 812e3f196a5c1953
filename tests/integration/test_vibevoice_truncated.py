"""A model that never stops, on the whole path: truncated, however often it is resumed, and nobody beside it notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from longtake.config import WorkerSettings
from longtake.core.clock import SystemClock
from longtake.core.records import Line, Passage
from longtake.engines.vibevoice import engine as engine_module
from longtake.engines.vibevoice import tokens
from longtake.engines.vibevoice.about import INFO
from longtake.engines.vibevoice.engine import VibeVoiceEngine
from longtake.engines.vibevoice.load import load_engine
from longtake.engines.vibevoice.names import DIFFUSION
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job, PlannedPassage
from longtake.jobs.states import ENDED, State
from longtake.jobs.store import JobStore
from longtake.voices import VoiceStore
from longtake.worker.loop import WorkerLoop
from tests.support.jobs import spec
from tests.support.recordings import voice

ENDLESS = "It never ends."
LIMIT = round((8 + 4 + 150) * 1.25)  # of a passage of one second: half as much again, 20 s, and control tokens


class Bench:
    """A worker's loop in this process, with the engine as it is loaded."""

    def __init__(self, root: Path, engine: VibeVoiceEngine) -> None:
        self.folder = DataFolder(root, floor_bytes=0)
        self.db = Database(self.folder.database)
        self.store = JobStore(self.db)
        self.engine = engine
        desk = WorkerDesk(self.db, "w1", "vibevoice", 1)
        settings = WorkerSettings(poll_s=0.01)
        self.loop = WorkerLoop(engine, desk, self.folder, settings, SystemClock(), budget_bytes=1 << 30)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.loop.run()
        except BaseException as error:
            self.error = error

    def submit(self, text: str, expected_s: float) -> Job:
        passage = Passage(0, (Line(1, text, "en"),), 0.0)
        plan = PlannedPassage(passage, "en", 4, expected_s)
        wanted = spec(engine="vibevoice", model="vibevoice", voices={1: "v1"}, settings={"steps": 1})
        return self.store.submit(wanted, text, [plan])[0]

    def wait(self, job: Job) -> Job:
        deadline = time.monotonic() + 60
        while (now := self.store.job(job.id)).state not in ENDED:
            assert self.error is None, self.error
            assert time.monotonic() < deadline, now
            time.sleep(0.02)
        return now


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    real = tokens.plan_tokens

    def plan(lines: tuple[Line, ...], expected_s: float) -> list[int]:
        return [DIFFUSION] * 5_000 if lines[0].text == ENDLESS else real(lines, expected_s)

    monkeypatch.setattr(engine_module, "plan_tokens", plan)
    torch.set_num_threads(1)
    VoiceStore(tmp_path / "voices").add(voice(3.0), name="v1", language="en")
    engine = load_engine(INFO, voices=tmp_path / "voices", model="random:tiny", device="cpu", dtype="fp32")
    bench = Bench(tmp_path / "data", engine)
    yield bench
    bench.loop.stop()
    bench.thread.join(20)
    bench.db.close()


def test_truncated_stays_truncated_and_its_partner_is_done(bench: Bench) -> None:
    partner = bench.submit("Somebody else speaks beside it.", 60.0)
    job = bench.submit(ENDLESS, 1.0)
    for attempt in range(3):
        failed = bench.wait(job)
        assert failed.state is State.FAILED
        assert failed.error is not None
        assert failed.error["code"] == "truncated", attempt
        assert "longtake resume JOB --from TIME" in str(failed.error["message"])
        assert (failed.crashes, failed.audio_samples) == (0, LIMIT * 3200), "all of it is kept, and no more is spoken"
        bench.store.resume(job.id)
    done = bench.wait(partner)
    assert (done.state, done.audio_samples) == (State.DONE, 450 * 3200)
    assert done.audio_file is not None
    audio = np.fromfile(bench.folder.job(done.id) / done.audio_file, "<i2")
    assert audio.size == 450 * 3200
    bench.wait(job)
    assert bench.error is None
    assert bench.engine._runner.free_slots == INFO.max_active
    assert bench.engine._runner.kv.used_bytes == 0

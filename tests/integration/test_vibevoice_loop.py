"""VibeVoice in the worker's loop: what it is asked window by window, and a model that never stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from longtake.audio import read_trace as read_stretch_trace
from longtake.config import WorkerSettings
from longtake.core.clock import SystemClock
from longtake.core.records import Line, Passage
from longtake.engines.vibevoice import engine as engine_module
from longtake.engines.vibevoice.about import INFO
from longtake.engines.vibevoice.decoding.tokens import plan_tokens
from longtake.engines.vibevoice.engine import VibeVoiceEngine
from longtake.engines.vibevoice.load import load_engine
from longtake.engines.vibevoice.network.names import DIFFUSION
from longtake.engines.vibevoice.prompting.prompt import Prompt, build_prompt
from longtake.engines.vibevoice.trace import read_trace
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job, PlannedPassage, SpokenPassage
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

    def submit(self, expected_s: float, *texts: str) -> Job:
        """A passage of two turns for each text; ``expected_s`` is that of a passage."""
        passages = [
            Passage(index, (Line(1, text, "en"), Line(2, f"And so? ({text})", "en")), 0.0)
            for index, text in enumerate(texts)
        ]
        plan = [PlannedPassage(passage, "en", 4, expected_s) for passage in passages]
        voices = {1: "v1", 2: "v1"}
        wanted = spec(engine="vibevoice", model="vibevoice", voices=voices, settings={"steps": 1})
        return self.store.submit(wanted, "x", plan)[0]

    def wait(self, job: Job) -> Job:
        deadline = time.monotonic() + 60
        while (now := self.store.job(job.id)).state not in ENDED:
            assert self.error is None, self.error
            assert time.monotonic() < deadline, now
            time.sleep(0.02)
        return now


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    def plan(lines: tuple[Line, ...], expected_s: float) -> list[int]:
        return [DIFFUSION] * 5_000 if lines[0].text == ENDLESS else plan_tokens(lines, expected_s)

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
    partner = bench.submit(60.0, "Somebody else speaks beside it.")
    job = bench.submit(1.0, ENDLESS)
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


def test_each_window_asks_for_its_own_turns_behind_the_last_two(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the model reads, and what it is let to speak: every turn once, in order, and no other."""
    asked: list[list[str]] = []

    def build(tokenizer: Any, lines: Any, voices: Any) -> Prompt:
        asked.append([text for group in lines for _, text in group])
        return build_prompt(tokenizer, lines, voices)

    monkeypatch.setattr(engine_module, "build_prompt", build)
    texts = ["Alpha.", "Beta.", "Gamma.", "Delta.", "Epsilon."]
    job = bench.submit(4.0, *texts)
    done = bench.wait(job)
    assert done.state is State.DONE, done.error
    turns = [[text, f"And so? ({text})"] for text in texts]
    assert asked == [[*chain(*turns[max(0, index - 2) : index + 1])] for index in range(5)]
    for passage, spoken in bench.store.passages(job.id):
        assert spoken is not None
        tokens, frames = spoken_tokens(bench.folder, job, spoken)
        assert tokens == plan_tokens(passage.lines, 4.0), "its own turns alone"
        assert spoken.samples == frames * 3200 == 30 * 3200


def spoken_tokens(folder: DataFolder, job: Job, spoken: SpokenPassage) -> tuple[list[int], int]:
    """What is committed of a passage: its steps, and how many of them are frames."""
    files = folder.passages(job.id)
    trace = read_trace(b"".join(read_stretch_trace(files / s.file, s.samples) for s in spoken.stretches))
    return list(trace.tokens), trace.frames

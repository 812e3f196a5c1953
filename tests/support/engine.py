"""An engine that speaks numbers: passage i is a block of samples of value i + 1. Steps are counted, faults on order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from longtake.core.errors import EngineError, InputError, WorkerError
from longtake.core.records import EngineInfo, Mark, PassageShape
from longtake.core.stats import EngineStats
from longtake.engines.base import Chunk, Cost, End, Ended, Failed, SpeakRequest, StepResult

BEATS = 2  # chunks a passage
SAMPLES = 2400  # a passage


class NumberEngine:
    """Speaks every active request side by side, BEATS steps a passage."""

    def __init__(self, max_active: int = 2, cost_bytes: int = 10, *, caches: bool = False) -> None:
        self.info = EngineInfo(
            "espeak",
            "Numbers",
            PassageShape.SENTENCE,
            None,
            400,
            max_active,
            {"*": 150.0},
            caches_passages=caches,
            uses_seed=False,
        )
        self.place = "numbers"
        self.budget_bytes = None
        self.cost_bytes = cost_bytes
        self.active: dict[str, SpeakRequest] = {}
        self.beats: dict[str, int] = {}
        self.spoken: list[int] = []
        self.stopped: list[str] = []
        self.most_active = 0
        self.releases = 0
        self.fails_at: int | None = None  # a passage that cannot be spoken
        self.dies_at: int | None = None  # a passage that ends the process
        self.start_error: Exception | None = None
        self.before_step: Callable[[], None] = lambda: None

    def revision(self, request: SpeakRequest) -> str:
        return "numbers-1"

    def cost(self, request: SpeakRequest) -> Cost:
        return Cost(self.cost_bytes, BEATS)

    def start(self, request: SpeakRequest) -> None:
        if "unknown" in request.voices.values():
            raise InputError("There is no voice 'unknown'.", code="unknown_voice")
        if self.start_error is not None:
            raise self.start_error
        self.active[request.id] = request
        self.beats[request.id] = 0
        self.most_active = max(self.most_active, len(self.active))

    def step(self) -> StepResult:
        self.before_step()
        chunks, ended, failed = [], [], []
        for request_id, request in list(self.active.items()):
            index = request.passage.index
            if index == self.dies_at:
                raise WorkerError("the device fell off the bus")
            if index == self.fails_at:
                failed.append(Failed(request_id, EngineError(f"passage {index} cannot be spoken")))
                self._forget(request_id)
                continue
            chunks.append(Chunk(request_id, np.full(SAMPLES // BEATS, index + 1, np.int16)))
            self.beats[request_id] += 1
            if self.beats[request_id] == BEATS:
                ended.append(Ended(request_id, End.FINISHED, (Mark(0.0, 0.1, request.passage.lines[0].text, 1),)))
                self.spoken.append(index)
                self._forget(request_id)
        return StepResult(tuple(chunks), tuple(ended), tuple(failed))

    def trace(self, request_id: str) -> bytes:
        return b""

    def stop(self, request_id: str) -> None:
        self.stopped.append(request_id)
        self._forget(request_id)

    def stats(self) -> EngineStats:
        return EngineStats(frames=10 * len(self.spoken))

    def release(self) -> None:
        self.releases += 1

    def close(self) -> None:
        self.active.clear()

    def _forget(self, request_id: str) -> None:
        self.active.pop(request_id, None)
        self.beats.pop(request_id, None)

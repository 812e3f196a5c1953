"""An engine that speaks with recordings: every line is the first second of its speaker's voice.

`registered` puts it beside the real engines in this process; `environment` does so in the processes that get it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from longtake.core.errors import CapacityError, InputError
from longtake.core.records import EngineInfo, PassageShape
from longtake.core.stats import EngineStats
from longtake.core.units import SAMPLE_RATE_HZ
from longtake.engines import registry
from longtake.engines.base import Chunk, Cost, End, Ended, Engine, EngineAbout, Loads, SpeakRequest, StepResult
from longtake.voices import VoiceStore

HOME = Path(__file__).parents[2]
NAME = "echo"
HARD_CAP = 400
INFO = EngineInfo(
    name=NAME,
    title="Echo",
    shape=PassageShape.SENTENCE,
    max_speakers=4,
    max_passage_characters=HARD_CAP,
    max_active=2,
    paces={"*": 150.0},
    speaks_recordings=True,
    changes_speed=False,
)


class EchoAbout(EngineAbout):
    """Has no voices of its own. The setting `cap` is the cap on a passage; `told` is what it was last asked for."""

    info = INFO

    def __init__(self) -> None:
        self.told: tuple[int, float, Mapping[str, Any]] | None = None

    def passage_cap(
        self,
        characters: int,
        expected_s: float,
        settings: Mapping[str, Any],
        loads: Loads,
        budget_bytes: int | None = None,
    ) -> int:
        self.told = (characters, expected_s, settings)
        cap: int = settings.get("cap", HARD_CAP)
        if cap > 1000:
            raise CapacityError(f"A passage of {cap} characters does not fit.", code="window_exceeded")
        return cap

    def least_bytes(self, expected_s: float, recordings_s: float, loads: Loads) -> int:
        return round(1000 * (expected_s + recordings_s))

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        if not isinstance(settings.get("cap", 1), int):
            raise InputError("cap is a number.", code="setting_out_of_range")

    def load(self, options: Mapping[str, Any]) -> Engine:
        return EchoEngine(VoiceStore(Path(options["voices"])))


class EchoEngine:
    info = INFO
    place = "echo"
    budget_bytes = None

    def __init__(self, voices: VoiceStore) -> None:
        self._voices = voices
        self._active: dict[str, SpeakRequest] = {}

    def revision(self, request: SpeakRequest) -> str:
        raise NotImplementedError("it is not cached")

    def cost(self, request: SpeakRequest) -> Cost:
        return Cost(1, 1)

    def start(self, request: SpeakRequest) -> None:
        for voice in request.voices.values():
            self._voices.samples(voice)
        self._active[request.id] = request

    def step(self) -> StepResult:
        requests, self._active = self._active, {}
        chunks = tuple(
            Chunk(each.id, np.concatenate([self._say(each.voices[line.speaker]) for line in each.passage.lines]))
            for each in requests.values()
        )
        return StepResult(chunks, tuple(Ended(request_id, End.FINISHED) for request_id in requests))

    def _say(self, voice: str) -> np.ndarray[Any, np.dtype[np.int16]]:
        return self._voices.recording(voice)[:SAMPLE_RATE_HZ]

    def trace(self, request_id: str) -> bytes:
        return b""

    def stop(self, request_id: str) -> None:
        self._active.pop(request_id, None)

    def stats(self) -> EngineStats:
        return EngineStats()

    def release(self) -> None:
        pass

    def close(self) -> None:
        self._active.clear()


def registered() -> dict[str, str]:
    """What `longtake.engines.registry.ENGINES` is to be."""
    return {**registry.ENGINES, NAME: f"{__name__}:{EchoAbout.__name__}"}


def environment() -> dict[str, str]:
    """Variables with which every Python process knows the engine: sitecustomize.py beside this file puts it in."""
    path = os.pathsep.join([str(Path(__file__).with_name("knows_echo")), str(HOME)])
    return {"PYTHONPATH": path}

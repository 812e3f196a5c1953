"""A small model with random weights, and an engine on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from longtake.core.errors import LongtakeError, NotFoundError
from longtake.core.records import Line, Passage
from longtake.engines.base import Ended, SpeakRequest, StepResult
from longtake.engines.vibevoice import engine
from longtake.engines.vibevoice.about import INFO
from longtake.engines.vibevoice.decoding.runner import Runner
from longtake.engines.vibevoice.engine import VibeVoiceEngine
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.network.names import DIFFUSION
from longtake.engines.vibevoice.prompting.tokenizer import build_byte_tokenizer
from longtake.engines.vibevoice.prompting.voice_bank import VoiceBank
from longtake.engines.vibevoice.trace import Weights
from longtake.engines.vibevoice.weights.random_model import build_random

WEIGHTS = Weights(b"\x01\xff\x02\xff\x00\x04\x80\x01", "random:test")


class Hums:
    """Recordings that are made when they are asked for: voice ``hum-3`` hums a third tone."""

    def samples(self, voice_id: str) -> int:
        return len(self.recording(voice_id))

    def recording(self, voice_id: str) -> NDArray[np.int16]:
        if not voice_id.startswith("hum-"):
            raise NotFoundError(f"There is no voice {voice_id!r}.", code="unknown_voice")
        number = int(voice_id[4:])
        t_T = np.arange(50_000 + 1_000 * number) / 24_000
        return (8_000 * np.sin(2 * np.pi * (100 + 30 * number) * t_T)).astype(np.int16)


@dataclass
class Said:
    """All that the engine said of one request."""

    chunks: list[NDArray[np.int16]] = field(default_factory=list)
    trace: bytes = b""
    end: Ended | None = None

    @property
    def pcm(self) -> NDArray[np.int32]:
        return np.concatenate([np.empty(0, np.int16), *self.chunks]).astype(np.int32)


class Bench:
    def __init__(self, engine: VibeVoiceEngine, runner: Runner) -> None:
        self.engine = engine
        self.runner = runner

    def speak(self, *requests: SpeakRequest) -> list[Said]:
        """All from the same beat on, each to its end."""
        said = {request.id: Said() for request in requests}
        for request in requests:
            self.engine.start(request)
        while not all(one.end for one in said.values()):
            self.beat(said)
        return list(said.values())

    def beat(self, said: dict[str, Said]) -> None:
        result = self.engine.step()
        assert result.failed == ()
        self._note(result, said)

    def _note(self, result: StepResult, said: dict[str, Said]) -> None:
        for chunk in result.chunks:
            said[chunk.request_id].chunks.append(chunk.pcm_T)
        for ended in result.ended:
            said[ended.request_id].end = ended
            said[ended.request_id].trace += ended.trace

    def speak_all(self, said: dict[str, Said]) -> dict[str, LongtakeError]:
        """What is active, to its end; gives the errors of those that failed."""
        failed: dict[str, LongtakeError] = {}
        while any(one.end is None for name, one in said.items() if name not in failed):
            result = self.engine.step()
            failed |= {each.request_id: each.error for each in result.failed}
            self._note(result, said)
        return failed

    def is_empty(self) -> bool:
        return self.runner.kv.used_bytes == 0 and self.runner.free_slots == INFO.max_active


def ask(
    request_id: str = "r", text: str = "One line. And more.", *, speakers: int = 2, expected_s: float = 1.2, **more: Any
) -> SpeakRequest:
    """A request of as many lines as speakers; ``index`` is its passage's."""
    lines = tuple(Line(number, f"{text} {number}", "en") for number in range(1, speakers + 1))
    passage = Passage(more.pop("index", 0), lines, 0.0)
    voices = more.pop("voices", {number: f"hum-{number}" for number in range(1, speakers + 1)})
    more.setdefault("settings", {"steps": 2})
    return SpeakRequest(request_id, passage, voices, expected_s=expected_s, **more)


def build_bench(
    model: VibeVoiceModel, *, is_random: bool = True, weights: Weights = WEIGHTS, has_int8_kv: bool = False
) -> Bench:
    runner = Runner(model, INFO.max_active, has_int8_kv=has_int8_kv)
    bank = VoiceBank(model, Hums())
    return Bench(
        VibeVoiceEngine(runner, build_byte_tokenizer(), bank, INFO, weights=weights, is_random=is_random), runner
    )


@pytest.fixture(scope="session")
def tiny() -> VibeVoiceModel:
    torch.set_num_threads(1)
    return build_random("tiny", dtype=torch.float32, device="cpu")


@pytest.fixture
def never_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights whose plan is frames without end."""
    monkeypatch.setattr(engine, "plan_tokens", lambda lines, expected_s: [DIFFUSION] * 50_000)


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(tiny: VibeVoiceModel) -> MakeBench:
    """Args: ``window`` positions instead of the model's own, ``is_random`` False to let the model choose its tokens."""

    def make(*, window: int | None = None, is_random: bool = True) -> Bench:
        model = tiny
        if window is not None:
            model = tiny.__class__.__new__(tiny.__class__)
            model.__dict__.update(tiny.__dict__)
            config = tiny.config
            model.config = replace(config, decoder=replace(config.decoder, max_position_embeddings=window))
        return build_bench(model, is_random=is_random)

    return make


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()

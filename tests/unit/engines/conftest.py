"""The engines that the conformance suite puts through its properties, and the words that its tests are written in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from longtake.core.records import Line, Mark, Passage
from longtake.engines.base import End, Engine, EngineAbout, SpeakRequest
from longtake.engines.registry import about
from longtake.voices import VoiceStore


@dataclass
class Heard:
    """All that an engine said of one request."""

    chunks: list[NDArray[np.int16]] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    marks: tuple[Mark, ...] = ()

    @property
    def pcm(self) -> NDArray[np.int16]:
        return np.concatenate(self.chunks)

    @property
    def seconds(self) -> float:
        return self.pcm.size / 24_000


@dataclass
class Bench:
    """An engine that is loaded, and how to make and hear requests of it."""

    about: EngineAbout
    engine: Engine
    voices: tuple[str, str]
    tolerance: int = 0  # in int16 steps, between a request alone and in company
    resume_tolerance: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    def request(
        self, request_id: str, text: str, *, speaker: int = 1, language: str = "en", **more: Any
    ) -> SpeakRequest:
        voices = more.pop("voices", {1: self.voices[0], 2: self.voices[1]})
        passage = Passage(index=0, lines=(Line(speaker, text, language),), silence_before_s=0.0)
        more.setdefault("settings", self.settings)
        return SpeakRequest(request_id, passage, voices, expected_s=0.06 * len(text), **more)

    def speak(self, *requests: SpeakRequest, max_steps: int = 1000) -> dict[str, Heard]:
        """Start all, step until all have ended. Fails when one fails, or when something is heard of another."""
        heard = {request.id: Heard() for request in requests}
        for request in requests:
            self.engine.start(request)
        for _ in range(max_steps):
            result = self.engine.step()
            assert result.failed == ()
            for chunk in result.chunks:
                assert not heard[chunk.request_id].ends, "a chunk after the end"
                heard[chunk.request_id].chunks.append(chunk.pcm_T)
            for ended in result.ended:
                heard[ended.request_id].ends.append(ended.end)
                heard[ended.request_id].marks = ended.marks
            if all(one.ends for one in heard.values()):
                return heard
        raise AssertionError(f"not ended after {max_steps} steps")

    def assert_same(self, one: NDArray[np.int16], other: NDArray[np.int16]) -> None:
        assert one.shape == other.shape
        assert np.abs(one.astype(int) - other).max(initial=0) <= self.tolerance

    def say(self, text: str, **more: Any) -> Heard:
        return self.speak(self.request("only", text, **more))["only"]


@pytest.fixture(params=["espeak", "vibevoice"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Every engine in turn; here a new engine joins the suite."""
    if request.param == "espeak":
        yield from _espeak()
    else:
        yield request.getfixturevalue(request.param)


@pytest.fixture
def espeak() -> Iterator[Bench]:
    yield from _espeak()


def _espeak() -> Iterator[Bench]:
    known = about("espeak")
    voices = known.default_voices({1: "en", 2: "en"})
    engine = known.load({})
    yield Bench(known, engine, (voices[1], voices[2]))
    engine.close()


@pytest.fixture(scope="session")
def vibevoice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One for all tests: its weights take a second to make, and a test that leaves something behind is found out."""
    known = about("vibevoice")
    folder = tmp_path_factory.mktemp("voices")
    store = VoiceStore(folder)
    t_T = np.arange(60_000) / 24_000  # noqa: N806  (shape suffix)
    hums = [(8_000 * np.sin(2 * np.pi * pitch_hz * t_T)).astype(np.int16) for pitch_hz in (110, 220)]
    first, second = (store.add(hum, name=f"hum {number}", language="en").id for number, hum in enumerate(hums))
    torch.set_num_threads(1)
    options = {"model": "random:tiny", "device": "cpu", "dtype": "fp32", "voices": str(folder)}
    engine = known.load(options)
    # 1e-4 and 1e-3
    yield Bench(known, engine, (first, second), tolerance=4, resume_tolerance=33, settings={"steps": 2})
    engine.close()

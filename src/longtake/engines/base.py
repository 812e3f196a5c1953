"""The one interface of all engines, step by step. Knows nothing of jobs, files or processes.

The worker loop is the same for espeak and for a 7B model:

    engine.start(request)                 for each passage that the scheduler admits
    result = engine.step()                one beat for every active request
    engine.stop(request.id)               when its job is paused or cancelled

One thread owns the engine; no method is safe to call from another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from longtake.core.errors import LongtakeError
from longtake.core.records import EngineInfo, Mark, Passage, Voice
from longtake.core.stats import EngineStats

OUT_OF_MEMORY = "out_of_memory"  # code of a CapacityError


@dataclass(frozen=True, slots=True)
class SpeakRequest:
    """A passage to be spoken.

    Attributes:
        id: Unique among the active requests of one engine.
        voices: Speaker number → voice id, for every speaker of the passage.
        speed: 1.0 is the voice's own pace.
        expected_s: How long it will probably last; 0 when nobody knows.
        seed: Of this passage; the same request with the same seed gives the same samples, whatever was spoken before it
            or beside it.
        settings: The engine's own settings, checked by `EngineAbout.check_settings`.
        trace: Of what is spoken of the passage already, as `Engine.trace` gave it; the engine goes on behind that.
        past: The passages before it, the latest last, each with its whole trace; at most `EngineInfo.past_passages`.
    """

    id: str
    passage: Passage
    voices: Mapping[int, str]
    speed: float = 1.0
    expected_s: float = 0.0
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    trace: bytes = b""
    past: tuple[tuple[Passage, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request will hold, known before it starts: exact, or an upper bound.

    Attributes:
        steps: At most so many; 0 when nobody knows.
    """

    used_bytes: int
    steps: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples of one request, in order. `pcm_T`: int16, mono, 24 kHz, host memory."""

    request_id: str
    pcm_T: NDArray[np.int16]  # noqa: N815  (shape suffix)


class End(StrEnum):
    FINISHED = "finished"
    TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True)
class Ended:
    """A request has spoken its last chunk.

    Attributes:
        marks: Of the whole passage, also of what was spoken before a resume.
        trace: Of the chunks since the last call of `Engine.trace`.
        message: For people: why it was cut, and where, if it was. FINISHED with a message was cut by its user's leave,
            or is probably not what was asked for: it becomes the job's remark.
    """

    request_id: str
    end: End
    marks: tuple[Mark, ...] = ()
    trace: bytes = b""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A request cannot be spoken; the engine itself is well and has forgotten it.

    Attributes:
        error: A CapacityError of code `OUT_OF_MEMORY` is no fault of the request: it may go on when there is room.
        trace: Of the chunks since the last call of `Engine.trace`, when it can go on behind them.
    """

    request_id: str
    error: LongtakeError
    trace: bytes = b""


@dataclass(frozen=True, slots=True)
class StepResult:
    chunks: tuple[Chunk, ...] = ()
    ended: tuple[Ended, ...] = ()
    failed: tuple[Failed, ...] = ()


class Engine(Protocol):
    """A loaded engine."""

    @property
    def info(self) -> EngineInfo: ...

    @property
    def place(self) -> str:
        """What speaks, and on what, in a few words for people: a job that changes it on its way says so."""
        ...

    @property
    def budget_bytes(self) -> int | None:
        """What its requests may hold at once in a device's own memory, as far as that is free now; None: they hold host
        memory, which the worker measures."""
        ...

    def revision(self, request: SpeakRequest) -> str:
        """What decides the request's samples and is not in it: library, weights, the sound of its voices. A word that
        changes whenever the samples could. Asked only when `EngineInfo.caches_passages` is set."""
        ...

    def cost(self, request: SpeakRequest) -> Cost:
        """What the request will hold at most, without starting it. Raises what `start` raises for the same request."""
        ...

    def start(self, request: SpeakRequest) -> None:
        """Make the request active.

        Raises:
            InputError: The request names a voice or setting that this engine does not have, or goes on behind what
                other weights have spoken.
            CapacityError: There is no room for it (code `OUT_OF_MEMORY`). As after any error, nothing is held then.
            WorkerError: The engine is beyond use; the process must end.
            InvariantError: A request of that id is active already.
        """
        ...

    def step(self) -> StepResult:
        """Advance every active request by one beat; a request that ends or fails is forgotten.

        Raises:
            WorkerError: The engine is beyond use; the process must end.
        """
        ...

    def trace(self, request_id: str) -> bytes:
        """What the engine needs to go on behind the chunks it has given since the last call: the traces of a passage,
        one behind the other, are its trace. Empty from an engine that can only begin a passage anew
        (`EngineInfo.keeps_traces` is False)."""
        ...

    def stop(self, request_id: str) -> None:
        """Forget the request and free what it holds; unknown ids are ignored."""
        ...

    def stats(self) -> EngineStats:
        """What it has counted and holds. Asked some times a second, so it must not wait for the device."""
        ...

    def release(self) -> None:
        """Give up what it keeps only to be quicker. Active requests go on, and nothing sounds different."""
        ...

    def close(self) -> None:
        """Free everything; the engine is not used after this."""
        ...


@dataclass(frozen=True, slots=True)
class Loads:
    """What engines were told to load, as far as their memory depends on it; None and ``auto`` are their own choice."""

    model: str | None = None
    dtype: str = "auto"
    kv_dtype: str = "auto"


class EngineAbout(Protocol):
    """What is known of an engine without loading it. Imported by the web process: no torch, no shared library.

    What an engine does not say is taken from here: it has no voices of its own, holds next to nothing, and can only
    begin a passage anew.
    """

    @property
    def info(self) -> EngineInfo: ...

    def voices(self) -> tuple[Voice, ...]:
        """Its own voices, the recommended ones first."""
        return ()

    def find_voice(self, voice_id: str) -> Voice | None:
        """The voice of that id, also when `voices` does not list it (espeak has thousands of combinations)."""
        return None

    def default_voices(self, languages: Mapping[int, str]) -> dict[int, str]:
        """Speaker number → voice id; distinct for distinct speakers, fit for each speaker's language."""
        return {}

    def passage_cap(
        self,
        characters: int,
        expected_s: float,
        settings: Mapping[str, Any],
        loads: Loads,
        budget_bytes: int | None = None,
    ) -> int:
        """The most characters that a passage may have, for a script of ``characters`` that lasts about ``expected_s``.

        Args:
            budget_bytes: What requests may hold, where that is known.

        Raises:
            CapacityError: The settings ask for more in one passage than the engine can hold.
        """
        return self.info.max_passage_characters

    def least_bytes(self, expected_s: float, recordings_s: float, loads: Loads) -> int:
        """What a request holds at the very least; 0 from an engine that never holds much.

        Args:
            recordings_s: Length of the recordings that speak in it, all together.
        """
        return 0

    def cut_trace(self, trace: bytes, samples: int) -> tuple[bytes, int]:
        """Cut a stretch back: the trace of its first samples, and how many those are, at most ``samples``. No samples
        and no trace from an engine that can only begin a passage anew (`EngineInfo.keeps_traces` is False).

        Args:
            trace: Of the stretch alone.
        """
        return b"", 0

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raises InputError for a setting that it does not know or a value out of range."""
        ...

    def load(self, options: Mapping[str, Any]) -> Engine:
        """Load the engine, in the worker process only."""
        ...

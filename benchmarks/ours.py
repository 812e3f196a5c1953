"""Our loop as the engine runs it, without jobs: prompts read, then steps with what the engine keeps of each frame."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.rival import GUIDANCE, STEPS
from longtake.engines.vibevoice.decoding.eager import Teller
from longtake.engines.vibevoice.decoding.feed import Feed
from longtake.engines.vibevoice.decoding.graphs import use_graphs
from longtake.engines.vibevoice.decoding.runner import Runner
from longtake.engines.vibevoice.decoding.solver import Solver, solver_table
from longtake.engines.vibevoice.decoding.streams import Frame, Stream
from longtake.engines.vibevoice.decoding.tokens import Scripted
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.network.names import DIFFUSION, START
from longtake.engines.vibevoice.prompting.prompt import Prompt
from longtake.engines.vibevoice.trace import read_trace, write_step

READ_AT_ONCE = 512


@dataclass(slots=True)
class Spoken:
    """Seconds of each step of all streams, wall and CPU; what the first stream said; the parts of a step."""

    frame_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    audio: list[Tensor] = field(default_factory=list)
    parts_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


class GivenNoise:
    """The same noise for every stream; that of a frame is drawn as the rival draws it."""

    def __init__(self, seed: int, frames: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._noise = [torch.randn(2, 64, generator=generator)[0] for _ in range(frames)]

    def draw(self, frame: int) -> tuple[Tensor, None]:
        return self._noise[frame % len(self._noise)], None


class Ours:
    """A runner with room for so many streams.

    Attributes:
        tellers: How it may tell its steps: ``eager``, and ``graphs`` where the device has them. The latter is set.
    """

    def __init__(self, model: VibeVoiceModel, slots: int) -> None:
        self.model = model
        self.runner = Runner(model, slots)
        self.tellers: dict[str, Teller] = {"eager": self.runner.teller}
        if use_graphs(self.runner, slots) is None:
            self.tellers["graphs"] = self.runner.teller
        self._late: list[Frame] = []

    def speak(self, ids: list[int], frames: int, *, streams: int = 1, seed: int = 0, has_parts: bool = False) -> Spoken:
        """So many frames of each stream, all with the same prompt, side by side."""
        opened = [self._open(ids, frames, seed) for _ in range(streams)]
        spoken, self._late = Spoken(), []
        undo = self._watch(spoken) if has_parts else []
        try:
            for _ in range(frames):
                self._step(opened, spoken)
        finally:
            for stop in undo:
                stop()
            for stream in opened:
                self.runner.close(stream)
        return spoken

    def _open(self, ids: list[int], frames: int, seed: int) -> Stream:
        past = read_trace(b"")
        feed = Feed(self.model, Prompt((*ids[:-1], START), {}), {}, past)
        stream = self.runner.open(
            feed,
            chooser=Scripted([DIFFUSION] * (frames + 1)),
            noise=GivenNoise(seed, frames),  # type: ignore[arg-type]
            table=solver_table(STEPS, Solver.ODE),
            guidance=GUIDANCE,
            capacity=len(feed) + frames + 1,
            context=frames + 2,
            past=past,
        )
        while self.runner.read(stream, feed, READ_AT_ONCE):
            pass
        return stream

    def _step(self, streams: list[Stream], spoken: Spoken) -> None:
        begun, begun_cpu = time.perf_counter(), time.thread_time()
        outcomes = self.runner.step(streams)
        frames = [outcome.frame for outcome in outcomes if outcome.frame is not None]
        if self.runner.is_ahead:  # as the engine does
            frames, self._late = self._late, frames
        for frame in frames:  # what the engine keeps of a frame, and what it gives out
            write_step(DIFFUSION, frame.features_192.numpy())
            frame.pcm_T.numpy().copy()
        spoken.frame_s.append(time.perf_counter() - begun)
        spoken.cpu_s.append(time.thread_time() - begun_cpu)
        spoken.audio.append(outcomes[0].place.wave_T.clone())

    def _watch(self, spoken: Spoken) -> list[Callable[[], None]]:
        """Time the parts of each step; gives what undoes it. On a GPU each part is waited for."""
        model, is_cuda = self.model, self.model.device.type == "cuda"
        now = time.perf_counter if is_cuda else time.thread_time
        undo: list[Callable[[], None]] = []

        def watch(owner: Any, method: str, part: str) -> None:
            original = getattr(owner, method)

            def timed(*args: Any, **kwargs: Any) -> Any:
                begun = now()
                result = original(*args, **kwargs)
                if is_cuda:
                    torch.cuda.synchronize()
                spoken.parts_s[part].append(now() - begun)
                return result

            setattr(owner, method, timed)
            undo.append(lambda: delattr(owner, method))

        watch(self.runner.teller, "decode", "decoder")
        watch(self.runner.teller, "diffuse", "diffusion")
        watch(self.runner.teller, "code", "coding")
        watch(model.semantic_tokenizer.encoder, "step", "of it semantic")  # not seen in a graph
        return undo

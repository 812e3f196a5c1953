"""The VibeVoice engine: requests in, frames out. Knows nothing of jobs or files; `runner` knows the model.

A request reads (prompt, voices and what was spoken before, some hundred positions a beat, so that a newcomer holds up
nobody), then speaks one frame a beat until the model says that it is done, or its limit is reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from longtake.core.errors import CapacityError, InputError, InvariantError
from longtake.core.records import EngineInfo
from longtake.core.units import format_duration
from longtake.engines.base import Chunk, Cost, End, Ended, Failed, SpeakRequest, StepResult
from longtake.engines.vibevoice.budget import FRAMES_PER_S, frame_limit
from longtake.engines.vibevoice.feed import Feed
from longtake.engines.vibevoice.model import VibeVoiceModel
from longtake.engines.vibevoice.names import EOS
from longtake.engines.vibevoice.noise import FrameNoise
from longtake.engines.vibevoice.prompt import Prompt, build_prompt, measure_prompt
from longtake.engines.vibevoice.runner import Outcome, Runner, Stream, features_of
from longtake.engines.vibevoice.settings import VibeVoiceSettings, read_settings
from longtake.engines.vibevoice.solver import Solver, solver_table
from longtake.engines.vibevoice.tokenizer import TextTokenizer
from longtake.engines.vibevoice.tokens import Chooser, Greedy, Scripted, plan_tokens
from longtake.engines.vibevoice.trace import Trace, join_traces, read_trace, write_step
from longtake.engines.vibevoice.voice_bank import VoiceBank
from longtake.nn.kv import KVStore

READ_AT_ONCE = 512  # positions of one beat
# Control tokens between frames: END and START at most turns, as far as is known, and never more than frames.
CONTROL_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class _Plan:
    """A request with its places counted.

    Attributes:
        past: Steps of the passages before it, without their ends, and its own that are spoken already.
        limit: Steps that the passage may have, those spoken already included.
    """

    settings: VibeVoiceSettings
    lines: tuple[tuple[tuple[int, str], ...], ...]
    voices: Mapping[int, int]
    prompt_tokens: int
    past: Trace
    own: Trace
    limit: int

    @property
    def capacity(self) -> int:
        return self.prompt_tokens + len(self.past.tokens) - len(self.own.tokens) + self.limit

    @property
    def context(self) -> int:
        return self.capacity - self.prompt_tokens + 1


@dataclass(slots=True, eq=False)
class _Active:
    request: SpeakRequest
    plan: _Plan
    feed: Feed | None  # None once it is read
    stream: Stream
    trace: bytearray = field(default_factory=bytearray)


class VibeVoiceEngine:
    """Implements `Engine`.

    Args:
        name: Of the weights, for people.
        is_random: The weights are random: when to stop is planned, not learned.
    """

    def __init__(
        self,
        runner: Runner,
        tokenizer: TextTokenizer,
        voices: VoiceBank,
        info: EngineInfo,
        *,
        name: str,
        is_random: bool,
    ) -> None:
        self._runner = runner
        self._tokenizer = tokenizer
        self._voices = voices
        self._info = info
        self._name = name
        self._is_random = is_random
        self._active: dict[str, _Active] = {}

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def place(self) -> str:
        weight = self._runner.model.language_model.embed_tokens.weight
        return f"{self._name} on {self._runner.model.device}, {str(weight.dtype).removeprefix('torch.')}"

    @property
    def model(self) -> VibeVoiceModel:
        return self._runner.model

    @property
    def state_bytes(self) -> int:
        """Of the convolution states of all places."""
        return self._runner.state_bytes

    def revision(self, request: SpeakRequest) -> str:
        raise InvariantError("What VibeVoice speaks depends on the past of a passage; it is not to be cached.")

    def cost(self, request: SpeakRequest) -> Cost:
        """Both rows of keys and values, at their largest. The convolution states are there already."""
        plan = self._plan(request)
        decoder = self._runner.model.config.decoder
        weight = self._runner.model.language_model.embed_tokens.weight
        used_bytes = KVStore.row_bytes(
            layers=decoder.num_hidden_layers,
            kv_heads=decoder.num_key_value_heads,
            head_dim=decoder.head_dim,
            dtype=weight.dtype,
            capacity=plan.capacity + plan.context,
        )
        return Cost(used_bytes, steps=plan.limit)

    def start(self, request: SpeakRequest) -> None:
        if request.id in self._active:
            raise InvariantError(f"Request {request.id!r} is active already.")
        if not self._runner.free_slots:
            raise InvariantError(f"All {self._info.max_active} places are taken.")
        plan = self._plan(request)
        settings = plan.settings
        prompt = self._prompt(plan)
        latents = {
            speaker: self._voices.latents(request.voices[speaker], is_noisy=settings.voice_noise)
            for speaker in prompt.voice_places
        }
        feed = Feed(self._runner.model, prompt, latents, plan.past)
        table = solver_table(settings.steps, Solver(settings.solver))
        stream = self._runner.open(
            feed,
            chooser=self._chooser(request),
            noise=FrameNoise(request.seed, settings.steps if settings.solver == Solver.SDE else 0),
            table=table,
            guidance=settings.guidance,
            capacity=plan.capacity,
            context=plan.context,
            past=plan.past,
            steps=len(plan.own.tokens),
            frames=plan.own.frames,
        )
        self._active[request.id] = _Active(request, plan, feed, stream)

    def step(self) -> StepResult:
        chunks: list[Chunk] = []
        ended: list[Ended] = []
        failed: list[Failed] = []
        self._read_some()
        speaking = [active for active in self._active.values() if active.feed is None]
        outcomes = self._runner.step([active.stream for active in speaking]) if speaking else []
        for active, outcome in zip(speaking, outcomes, strict=True):
            if outcome.frame is not None:
                chunks.append(Chunk(active.request.id, to_pcm(outcome.frame.wave_T)))
            active.trace += write_step(
                outcome.token, None if outcome.frame is None else features_of(outcome.frame).numpy()
            )
            if end := self._end(active, outcome):
                ended.append(end)
                self.stop(active.request.id)
        return StepResult(tuple(chunks), tuple(ended), tuple(failed))

    def trace(self, request_id: str) -> bytes:
        active = self._active[request_id]
        trace = bytes(active.trace)
        active.trace.clear()
        return trace

    def stop(self, request_id: str) -> None:
        active = self._active.pop(request_id, None)
        if active is not None:
            self._runner.close(active.stream)

    def close(self) -> None:
        for request_id in list(self._active):
            self.stop(request_id)

    def _plan(self, request: SpeakRequest) -> _Plan:
        if request.speed != 1.0:
            raise InputError("VibeVoice speaks at its voices' own pace; leave out the speed.", code="invalid_speed")
        settings = read_settings(request.settings)
        own = read_trace(request.trace)
        window = self._runner.model.config.window
        limit = round(frame_limit(request.expected_s) * (1 + CONTROL_SHARE))
        past = [(passage, read_trace(trace).without_end()) for passage, trace in request.past]
        while True:
            lines = tuple(
                tuple((line.speaker, line.text) for line in passage.lines)
                for passage in [*(passage for passage, _ in past), request.passage]
            )
            voices = self._voices_of(request, {speaker for group in lines for speaker, _ in group})
            prompt_tokens = measure_prompt(self._tokenizer, lines, voices)
            before = join_traces([trace for _, trace in past])
            room = window - prompt_tokens - len(before.tokens)
            # What was spoken before is worth its places, but less than the end of what is to be spoken.
            if room >= min(limit, round(request.expected_s * FRAMES_PER_S) + 1) or not past:
                break
            del past[0]
        if room <= len(own.tokens):
            raise CapacityError(
                f"The prompt has {prompt_tokens:,} tokens (the text of {len(request.passage.lines)} turns and "
                f"{len(voices)} voices), and the model's window has {window:,}: no room is left to speak. Shorten the "
                "script, or leave out --context full.",
                code="window_exceeded",
            )
        return _Plan(settings, lines, voices, prompt_tokens, join_traces([before, own]), own, min(limit, room))

    def _voices_of(self, request: SpeakRequest, speakers: set[int]) -> dict[int, int]:
        """Speaker → frames of the voice; speakers of the past who say nothing more need none."""
        for line in request.passage.lines:
            if line.speaker not in request.voices:
                raise InputError(
                    f"Speaker {line.speaker} has no voice. Add a recording with `longtake voices add`, and give it.",
                    code="unknown_voice",
                    param=f"voices.{line.speaker}",
                )
        return {s: self._voices.frames(request.voices[s]) for s in sorted(speakers) if s in request.voices}

    def _prompt(self, plan: _Plan) -> Prompt:
        return build_prompt(self._tokenizer, plan.lines, plan.voices)

    def _chooser(self, request: SpeakRequest) -> Chooser:
        if not self._is_random:
            return Greedy()
        return Scripted(plan_tokens(request.passage.lines, request.expected_s))

    def _read_some(self) -> None:
        """The reader that came first reads on; when nobody speaks, it reads to its end."""
        for active in self._active.values():
            if active.feed is not None:
                if not self._runner.read(active.stream, active.feed, READ_AT_ONCE):
                    active.feed = None
                return

    def _end(self, active: _Active, outcome: Outcome) -> Ended | None:
        stream, limit = active.stream, active.plan.limit
        if outcome.token == EOS:
            return Ended(active.request.id, End.FINISHED, trace=bytes(active.trace))
        if stream.step < limit:
            return None
        spoken_s = stream.frame / FRAMES_PER_S
        what = (
            f"The speech did not come to its end: after {format_duration(spoken_s)} (about "
            f"{format_duration(active.request.expected_s)} were expected) its limit of {limit:,} steps was reached in "
            f"passage {active.request.passage.index + 1}."
        )
        trace = bytes(active.trace)
        if active.plan.settings.allow_truncated:
            return Ended(active.request.id, End.FINISHED, trace=trace, message=what)
        advice = (
            "What was spoken is kept. Another seed may help, or shorter turns; the setting allow_truncated takes what "
            "there is."
        )
        return Ended(active.request.id, End.TRUNCATED, trace=trace, message=f"{what} {advice}")


def to_pcm(wave_T: Tensor) -> NDArray[np.int16]:
    """Samples of -1 … 1 as int16, clipped, on the CPU."""
    samples: NDArray[np.int16] = (wave_T.float() * 32767).round().clamp(-32768, 32767).short().cpu().numpy()
    return samples

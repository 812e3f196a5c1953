"""The VibeVoice engine: requests in, frames out. Knows nothing of jobs or files; `runner` knows the model.

A request reads (prompt, voices and what was spoken before, some hundred positions a beat, so that a newcomer holds up
nobody), then speaks one frame a beat until the model says that it is done, or its limit is reached.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from longtake.core.errors import EngineError, InvariantError, LongtakeError, WorkerError
from longtake.core.records import EngineInfo
from longtake.core.stats import EngineStats
from longtake.engines.base import Chunk, Cost, Ended, Failed, SpeakRequest, StepResult
from longtake.engines.vibevoice.decoding.feed import Feed
from longtake.engines.vibevoice.decoding.noise import FrameNoise
from longtake.engines.vibevoice.decoding.runner import Runner
from longtake.engines.vibevoice.decoding.solver import Solver, solver_table
from longtake.engines.vibevoice.decoding.streams import Frame, Outcome, Stream
from longtake.engines.vibevoice.decoding.tokens import Chooser, Greedy, Scripted, plan_tokens
from longtake.engines.vibevoice.failures import broken, lost_step, mistake, no_room, not_finite
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.network.names import DIFFUSION, EOS
from longtake.engines.vibevoice.planning.ending import end_at_limit, end_of_speech
from longtake.engines.vibevoice.planning.footprint import Dtypes, kv_bytes
from longtake.engines.vibevoice.planning.plan import Plan, plan_request
from longtake.engines.vibevoice.planning.workspace import READ_AT_ONCE, requests_room
from longtake.engines.vibevoice.prompting.prompt import build_prompt
from longtake.engines.vibevoice.prompting.tokenizer import TextTokenizer
from longtake.engines.vibevoice.prompting.voice_bank import VoiceBank
from longtake.engines.vibevoice.trace import Weights, write_head, write_step
from longtake.nn.faults import free_device_bytes, is_device_fault, is_out_of_memory, taken_device_bytes


@dataclass(slots=True, eq=False)
class _Active:
    request: SpeakRequest
    plan: Plan
    feed: Feed | None  # None once it is read
    stream: Stream
    trace: bytearray = field(default_factory=bytearray)
    late: Frame | None = None  # the latest frame, while it is on its way from a device that runs ahead


@dataclass(slots=True)
class _Beat:
    """A `StepResult` in the making."""

    chunks: list[Chunk] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)


class VibeVoiceEngine:
    """Implements `Engine`.

    Args:
        weights: Their name and fingerprint, for what is spoken with them.
        is_random: The weights are random: when to stop is planned, not learned.
    """

    def __init__(
        self,
        runner: Runner,
        tokenizer: TextTokenizer,
        voices: VoiceBank,
        info: EngineInfo,
        *,
        weights: Weights,
        is_random: bool,
    ) -> None:
        self._runner = runner
        self._tokenizer = tokenizer
        self._voices = voices
        self._info = info
        self._weights = weights
        self._is_random = is_random
        self._active: dict[str, _Active] = {}
        self._frames = self._tokens = self._read_tokens = 0

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def place(self) -> str:
        how = "" if self.model.config.quantization is None else f"{self.model.config.quantization} and "
        return f"{self._weights.name} on {self.model.device}, {how}{str(self.model.dtype).removeprefix('torch.')}"

    @property
    def model(self) -> VibeVoiceModel:
        return self._runner.model

    @property
    def state_bytes(self) -> int:
        """Of the convolution states of all places."""
        return self._runner.state_bytes

    @property
    def used_bytes(self) -> int:
        """Keys and values that active requests hold."""
        return self._runner.kv.used_bytes

    @property
    def active(self) -> int:
        """Requests started and not ended."""
        return len(self._active)

    @property
    def budget_bytes(self) -> int | None:
        """On CUDA what is free beside the model, less the encoder of a new voice and what a beat needs for a moment."""
        model = self.model
        free = free_device_bytes(model.device)
        if free is None:
            return None
        return requests_room(free, model.config, self._sizes, self._info.max_active)

    @property
    def _sizes(self) -> Dtypes:
        return Dtypes(self.model.dtype.itemsize, self.model.codec_dtype.itemsize)

    def revision(self, request: SpeakRequest) -> str:
        raise InvariantError("What VibeVoice speaks depends on the past of a passage; it is not to be cached.")

    def cost(self, request: SpeakRequest) -> Cost:
        """Both rows of keys and values, at their largest. The convolution states are there already."""
        plan = self._plan(request)
        return Cost(self._row_bytes(plan), steps=plan.limit)

    def start(self, request: SpeakRequest) -> None:
        if request.id in self._active:
            raise InvariantError(f"Request {request.id!r} is active already.")
        if not self._runner.free_slots:
            raise InvariantError(f"All {self._info.max_active} places are taken.")
        plan = self._plan(request)
        with self._explaining(plan):
            stream, feed = self._open(request, plan)
        self._active[request.id] = _Active(request, plan, feed, stream)

    def step(self) -> StepResult:
        beat = _Beat()
        self._read_some(beat)
        speaking = [active for active in self._active.values() if active.feed is None]
        for active, outcome in zip(speaking, self._speak(speaking, beat), strict=True):
            try:
                self._take(active, outcome, beat)
            except Exception as error:
                self._give_up(active, error, beat)
        return StepResult(tuple(beat.chunks), tuple(beat.ended), tuple(beat.failed))

    def trace(self, request_id: str) -> bytes:
        active = self._active[request_id]
        trace = bytes(active.trace)
        active.trace.clear()
        return trace

    def stop(self, request_id: str) -> None:
        active = self._active.pop(request_id, None)
        if active is not None:
            self._runner.close(active.stream)

    def stats(self) -> EngineStats:
        allocated, reserved = taken_device_bytes(self.model.device)
        return EngineStats(
            frames=self._frames,
            tokens=self._tokens,
            read_tokens=self._read_tokens,
            parts_s=dict(self._runner.parts.seconds),
            kv_bytes=self._runner.kv.used_bytes,
            device_allocated_bytes=allocated,
            device_reserved_bytes=reserved,
        )

    def release(self) -> None:
        """The voices that were encoded, each encoded again when it is next asked for, and the recorded steps."""
        self._voices.clear()
        self._runner.teller.release()

    def close(self) -> None:
        for request_id in list(self._active):
            self.stop(request_id)

    # Before it speaks

    def _plan(self, request: SpeakRequest) -> Plan:
        return plan_request(
            request, self._tokenizer, self._voices, window=self.model.config.window, weights=self._weights
        )

    def _row_bytes(self, plan: Plan) -> int:
        """Both rows of keys and values, at their largest."""
        return kv_bytes(self.model.config.decoder, plan.rows.positions, self._runner.kv.dtype.itemsize)

    def _open(self, request: SpeakRequest, plan: Plan) -> tuple[Stream, Feed]:
        settings = plan.settings
        prompt = build_prompt(self._tokenizer, plan.lines, plan.voices)
        latents = {
            speaker: self._voices.latents(request.voices[speaker], is_noisy=settings.voice_noise)
            for speaker in prompt.voice_places
        }
        feed = Feed(self.model, prompt, latents, plan.past)
        stream = self._runner.open(
            feed,
            chooser=self._chooser(request),
            noise=FrameNoise(request.seed, settings.steps if settings.solver == Solver.SDE else 0),
            table=solver_table(settings.steps, Solver(settings.solver)),
            guidance=settings.guidance,
            capacity=plan.rows.positive,
            context=plan.rows.negative,
            past=plan.past,
            steps=len(plan.own.tokens),
            frames=plan.own.frames,
        )
        return stream, feed

    def _chooser(self, request: SpeakRequest) -> Chooser:
        if not self._is_random:
            return Greedy()
        return Scripted(plan_tokens(request.passage.lines, request.expected_s))

    # Speaking

    def _read_some(self, beat: _Beat) -> None:
        """The reader that came first reads on."""
        active = next((each for each in self._active.values() if each.feed is not None), None)
        if active is None or active.feed is None:
            return
        stream = active.stream
        before = stream.position + stream.context
        try:
            with self._explaining(active.plan):
                if not self._runner.read(stream, active.feed, READ_AT_ONCE):
                    active.feed = None
        except Exception as error:
            self._give_up(active, error, beat)
        self._read_tokens += stream.position + stream.context - before

    def _speak(self, speaking: list[_Active], beat: _Beat) -> list[Outcome]:
        """One step of the model for all of them. When it fails, the coders' states are anywhere: nobody goes on here.

        Whose fault it was that memory ran out cannot be told: each is given up with its trace, to go on when there is
        room. After anything else the process ends.
        """
        if not speaking:
            return []
        try:
            return self._runner.step([active.stream for active in speaking])
        except Exception as error:
            if is_out_of_memory(error):
                self._runner.teller.release()
                while speaking:
                    active = speaking.pop(0)
                    self._give_up(active, no_room(error, self._row_bytes(active.plan), self.model.device), beat)
                return []
            raise lost_step(error, len(speaking), self.place) from error

    def _take(self, active: _Active, outcome: Outcome, beat: _Beat) -> None:
        """What a step gave to one stream."""
        late, active.late = active.late, None
        if late is not None:
            self._keep(active, late, beat)
        if outcome.error is not None:
            raise outcome.error
        self._tokens += 1
        self._frames += outcome.frame is not None
        end = self._end(active, outcome)
        if outcome.frame is None:
            self._begin(active)
            active.trace += write_step(outcome.token, None)
        elif self._runner.is_ahead and end is None:
            active.late = outcome.frame  # read behind the next token: who asked now would wait for it
        else:
            self._keep(active, outcome.frame, beat)
        if end is not None:
            beat.ended.append(replace(end, trace=bytes(active.trace)))
            self.stop(active.request.id)

    def _keep(self, active: _Active, frame: Frame, beat: _Beat) -> None:
        """Give out a frame, and note it. Waits for the device, if it has not done the frame yet."""
        features_192 = frame.features_192.numpy()
        if not np.isfinite(features_192).all():
            raise FloatingPointError("the frame is not finite")
        chunk = Chunk(active.request.id, frame.pcm_T.numpy().copy())
        self._begin(active)
        active.trace += write_step(DIFFUSION, features_192)
        beat.chunks.append(chunk)

    def _begin(self, active: _Active) -> None:
        if not active.trace:
            active.trace += write_head(self._weights)

    def _end(self, active: _Active, outcome: Outcome) -> Ended | None:
        plan, stream = active.plan, active.stream
        if outcome.token == EOS:
            return end_of_speech(active.request, stream.frame)
        if stream.step < plan.limit:
            return None
        return end_at_limit(active.request, stream.frame, plan.limit, is_allowed=plan.settings.allow_truncated)

    # What goes wrong

    def _give_up(self, active: _Active, error: Exception, beat: _Beat) -> None:
        """One request fails, those beside it go on; a broken device is everybody's."""
        if is_device_fault(error):
            raise broken(error, self.place) from error
        if isinstance(error, WorkerError) and not isinstance(error, EngineError):
            raise error
        self.stop(active.request.id)
        if isinstance(error, FloatingPointError):
            failure: LongtakeError = not_finite(error, active.request, active.stream.frame, self.place)
        elif isinstance(error, LongtakeError):
            failure = error
        else:
            failure = mistake(error, active.request)
        if failure is not error:
            failure.__cause__ = error
        beat.failed.append(Failed(active.request.id, failure, bytes(active.trace)))

    @contextmanager
    def _explaining(self, plan: Plan) -> Iterator[None]:
        """
        Raises:
            CapacityError: The device has no room.
            WorkerError: The device is broken.
        """
        try:
            yield
        except Exception as error:
            if is_out_of_memory(error):
                raise no_room(error, self._row_bytes(plan), self.model.device) from error
            if is_device_fault(error):
                raise broken(error, self.place) from error
            raise

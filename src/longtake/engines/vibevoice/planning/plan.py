"""How many places a request takes, and whether it can be spoken at all. Knows the tokenizer, no model and no device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from longtake.core.errors import CapacityError, InputError
from longtake.engines.base import SpeakRequest
from longtake.engines.vibevoice.planning.budget import Rows, rows_of, step_limit, steps_needed
from longtake.engines.vibevoice.planning.ending import OTHER_SEED
from longtake.engines.vibevoice.prompting.prompt import measure_prompt
from longtake.engines.vibevoice.prompting.tokenizer import TextTokenizer
from longtake.engines.vibevoice.prompting.voice_bank import VoiceBank
from longtake.engines.vibevoice.settings import VibeVoiceSettings, read_settings
from longtake.engines.vibevoice.trace import Trace, Weights, join_traces, read_trace


@dataclass(frozen=True, slots=True)
class Plan:
    """A request with its places counted.

    Attributes:
        lines: Of the passages in view, the request's own last: (speaker, text) each.
        voices: Speaker → frames of the voice.
        past: Steps of the passages before it, without their ends, and its own that are spoken already.
        own: Its own alone.
        limit: Steps that the passage may have, those spoken already included: at least one more than those.
    """

    settings: VibeVoiceSettings
    lines: tuple[tuple[tuple[int, str], ...], ...]
    voices: Mapping[int, int]
    prompt_tokens: int
    past: Trace
    own: Trace
    limit: int

    @property
    def rows(self) -> Rows:
        return rows_of(self.prompt_tokens, len(self.past.tokens) - len(self.own.tokens), self.limit)


def plan_request(
    request: SpeakRequest, tokenizer: TextTokenizer, bank: VoiceBank, *, window: int, weights: Weights
) -> Plan:
    """Count the places of a request.

    Args:
        window: Positions of the model.
        weights: Of the model.

    Raises:
        InputError: A setting or a voice is missing or wrong; ``other_weights``: what is spoken already is another
            model's.
        CapacityError: ``window_exceeded``: the window is too small for it; ``truncated``: it has been spoken up to its
            limit.
    """
    if request.speed != 1.0:
        raise InputError("VibeVoice speaks at its voices' own pace; leave out the speed.", code="invalid_speed")
    settings = read_settings(request.settings)
    own = read_trace(request.trace)
    past = [(passage, read_trace(trace).without_end()) for passage, trace in request.past]
    _check_weights([own, *(trace for _, trace in past)], weights)
    limit, needed = step_limit(request.expected_s), steps_needed(request.expected_s)
    while True:
        lines = tuple(
            tuple((line.speaker, line.text) for line in passage.lines)
            for passage in [*(passage for passage, _ in past), request.passage]
        )
        voices = _voices_of(request, {speaker for group in lines for speaker, _ in group}, bank)
        prompt_tokens = measure_prompt(tokenizer, lines, voices)
        before = join_traces([trace for _, trace in past])
        room = window - prompt_tokens - len(before.tokens)
        if room >= needed or not past:
            break
        del past[0]
    if room < needed:
        raise _too_long(request, settings, prompt_tokens, len(voices), window=window, room=room, needed=needed)
    limit = min(limit, room)
    if len(own.tokens) >= limit:
        raise CapacityError(
            f"The speech of passage {request.passage.index + 1} did not come to its end, and its limit of {limit:,} "
            f"steps is spoken already. {OTHER_SEED}.",
            code="truncated",
        )
    return Plan(settings, lines, voices, prompt_tokens, join_traces([before, own]), own, limit)


def _too_long(
    request: SpeakRequest,
    settings: VibeVoiceSettings,
    prompt_tokens: int,
    voices: int,
    *,
    window: int,
    room: int,
    needed: int,
) -> CapacityError:
    remedy = "Leave out --context full, or shorten the turns" if settings.context == "full" else "Shorten the turns"
    return CapacityError(
        f"The prompt of passage {request.passage.index + 1} has {prompt_tokens:,} tokens (the text of "
        f"{len(request.passage.lines)} turns and {voices} voices), and the model's window has {window:,}: room for "
        f"{max(0, room):,} steps is left, and about {needed:,} are expected. {remedy}; shorter voices leave more room, "
        "too.",
        code="window_exceeded",
    )


def _check_weights(traces: list[Trace], now: Weights) -> None:
    """Latents of one model mean nothing to another: it would speak on in noise, or with another voice."""
    for begun in (each for trace in traces for each in trace.weights):
        if begun.fingerprint != now.fingerprint:
            raise InputError(
                f"This job was begun with {begun}, now it is to go on with {now}. Start with --model {begun.name} to "
                "go on, or speak it anew with what there is now: `longtake resume JOB --from 0:00`.",
                code="other_weights",
                param="model",
            )


def _voices_of(request: SpeakRequest, speakers: set[int], bank: VoiceBank) -> dict[int, int]:
    """Speaker → frames of the voice; speakers of the past who say nothing more need none."""
    for line in request.passage.lines:
        if line.speaker not in request.voices:
            raise InputError(
                f"Speaker {line.speaker} has no voice. Add a recording with `longtake voices add`, and give it.",
                code="unknown_voice",
                param=f"voices.{line.speaker}",
            )
    return {s: bank.frames(request.voices[s]) for s in sorted(speakers) if s in request.voices}

"""What jobs of some length take, part by part, and whether it fits: with the arithmetic that admission uses.

Imports no torch: `longtake plan` answers on a machine that has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from longtake.core.units import format_bytes
from longtake.engines.vibevoice.network.config import VibeVoiceConfig
from longtake.engines.vibevoice.network.quantization import Quantization
from longtake.engines.vibevoice.planning.budget import (
    MAX_ACTIVE,
    PAST_PASSAGES,
    PROMPT_TOKENS,
    TYPICAL_TEXT_TOKENS_PER_S,
    VOICE_TOKENS,
    WINDOWED_PASSAGE_S,
    Rows,
    expected_frames,
    rows_of,
    step_limit,
    steps_needed,
)
from longtake.engines.vibevoice.planning.footprint import (
    ACOUSTIC_ENCODER,
    EMBEDDING,
    SIZES,
    Dtypes,
    kv_bytes,
    largest_matrix_bytes,
    state_bytes,
    weights,
)
from longtake.engines.vibevoice.planning.workspace import (
    DEVICE_SHARE,
    codec_itemsize,
    coding_bytes,
    device_workspace,
    host_room,
    host_workspace,
    reading_bytes,
    requests_room,
)
from longtake.nn.scheme import INT4, INT8

BYTES_A_SECOND = 15.0  # of text: what a model without a tokenizer reads instead of tokens
_MAX_MINUTES = 600.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be planned.

    Attributes:
        memory_bytes: Of the device, or what is free of the host's before the model is loaded.
        on_host: The device shares the host's memory: the CPU.
        dtype: A key of `SIZES`; the configuration tells what of it is quantized.
        context: ``full``, ``window``, or None: full as far as the window reaches, which takes the most.
        is_bytes: The model reads bytes (`random:NAME`).
        has_int8_kv: Keys and values are kept in int8.
    """

    config: VibeVoiceConfig
    minutes: float
    jobs: int
    memory_bytes: int
    on_host: bool = False
    dtype: str = "bf16"
    context: str | None = None
    is_bytes: bool = False
    has_int8_kv: bool = False

    @property
    def kv_itemsize(self) -> int:
        return 1 if self.has_int8_kv else self.sizes.model

    @property
    def sizes(self) -> Dtypes:
        return SIZES[self.dtype]

    @property
    def types(self) -> str:
        """As in ``--dtype``."""
        quantization = self.config.quantization
        return self.dtype if quantization is None else f"{quantization}+{self.dtype}"


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """A wish with its bytes counted.

    Attributes:
        context: How the jobs are spoken: ``full``, all in view at once, or ``window``, passage by passage.
        resident: Part → bytes of the weights that stay.
        dropped_bytes: The acoustic encoder, which is there while the model is loaded and while a voice is encoded.
        elsewhere_bytes: The embedding, which stays in the host's memory where the device has its own.
        rows: Positions of one job, at its largest passage.
        state_bytes: Of the convolutions, and what lies between the parts of a step; for all places.
        prefill_bytes, coding_bytes: What reading a piece of a prompt and making frames take for a moment.
        workspace_bytes: The largest of both and `voice_bytes`, what libraries keep, and on a device of its own what its
            graphs hold.
        room_bytes: For keys and values of all jobs: what admission has to give away.
        reasons: Why it does not fit; empty when it does.
    """

    wish: Wish
    context: str
    resident: dict[str, int]
    dropped_bytes: int
    elsewhere_bytes: int
    rows: Rows
    positive_bytes: int
    negative_bytes: int
    state_bytes: int
    prefill_bytes: int
    coding_bytes: int
    workspace_bytes: int
    room_bytes: int
    reasons: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return not self.reasons

    @property
    def weights_bytes(self) -> int:
        """That stay."""
        return sum(self.resident.values())

    @property
    def loading_bytes(self) -> int:
        """While the model is loaded, quantized on the way if it is."""
        return self.weights_bytes + self.dropped_bytes + largest_matrix_bytes(self.wish.config)

    @property
    def job_bytes(self) -> int:
        """Keys and values of one job: what admission reserves."""
        return self.positive_bytes + self.negative_bytes

    @property
    def kv_bytes(self) -> int:
        return self.wish.jobs * self.job_bytes

    @property
    def voice_bytes(self) -> int:
        """While a new voice is encoded: its encoder, and a piece of the recording."""
        return self.dropped_bytes + self.coding_bytes

    @property
    def peak_bytes(self) -> int:
        """The most that is held at once, loading included."""
        return max(self.loading_bytes, self._speaking_bytes)

    @property
    def _speaking_bytes(self) -> int:
        return self.weights_bytes + self.state_bytes + self.kv_bytes + self.workspace_bytes

    @property
    def needed_bytes(self) -> int:
        """The least memory in which it fits, with the share that admission leaves free."""
        if self.wish.on_host:
            free = max(2 * self.kv_bytes, self.kv_bytes + self.workspace_bytes)
        else:
            free = math.ceil(self.kv_bytes / DEVICE_SHARE) + 1 + self.workspace_bytes
        return max(self.weights_bytes + self.state_bytes + free, self.loading_bytes)

    def to_dict(self) -> dict[str, Any]:
        """For --json: bytes, minutes, numbers of jobs."""
        wish = self.wish
        return {
            "fits": self.fits,
            "reasons": list(self.reasons),
            "remedies": list(remedies(self)),
            "dtype": wish.types,
            "kv_dtype": "int8" if wish.has_int8_kv else wish.dtype,
            "context": self.context,
            "minutes": wish.minutes,
            "jobs": wish.jobs,
            "memory_bytes": wish.memory_bytes,
            "weights_bytes": self.weights_bytes,
            "weights": self.resident,
            "dropped_bytes": self.dropped_bytes,
            "on_host_bytes": self.elsewhere_bytes,
            "kv_bytes": self.kv_bytes,
            "kv_positive_bytes": wish.jobs * self.positive_bytes,
            "kv_negative_bytes": wish.jobs * self.negative_bytes,
            "kv_job_bytes": self.job_bytes,
            "state_bytes": self.state_bytes,
            "workspace_bytes": self.workspace_bytes,
            "prefill_bytes": self.prefill_bytes,
            "voice_encode_bytes": self.voice_bytes,
            "peak_bytes": self.peak_bytes,
            "needed_bytes": self.needed_bytes,
            "room_bytes": self.room_bytes,
            "max_minutes": max_minutes(wish),
            "max_jobs": max_jobs(wish),
            "any_length_by_passages": plan_memory(replace(wish, context="window")).fits,
        }


def plan_memory(wish: Wish) -> MemoryPlan:
    """Count what the wish takes."""
    config, sizes = wish.config, wish.sizes
    held = weights(config, sizes)
    dropped = held.pop(ACOUSTIC_ENCODER)
    elsewhere = 0 if wish.on_host else held.pop(EMBEDDING)  # see `model.allocate`
    states = state_bytes(config, MAX_ACTIVE, sizes)
    context, rows = _rows(wish)
    free = wish.memory_bytes - sum(held.values()) - states
    plan = MemoryPlan(
        wish=wish,
        context=context,
        resident=held,
        dropped_bytes=dropped,
        elsewhere_bytes=elsewhere,
        rows=rows,
        positive_bytes=kv_bytes(config.decoder, rows.positive, wish.kv_itemsize),
        negative_bytes=kv_bytes(config.decoder, rows.negative, wish.kv_itemsize),
        state_bytes=states,
        prefill_bytes=reading_bytes(config, itemsize=sizes.model),
        coding_bytes=coding_bytes(config, codec_itemsize=codec_itemsize(sizes, on_host=wish.on_host)),
        workspace_bytes=(host_workspace if wish.on_host else device_workspace)(config, sizes, MAX_ACTIVE),
        room_bytes=room_of(free, config, sizes, on_host=wish.on_host),
        reasons=(),
    )
    return replace(plan, reasons=tuple(_reasons(plan)))


def room_of(free_bytes: int, config: VibeVoiceConfig, sizes: Dtypes, *, on_host: bool) -> int:
    """What requests may hold beside a model that is loaded: on a device of its own as the engine says, on the host as
    the worker does, which also needs the rest to be there."""
    if not on_host:
        return requests_room(free_bytes, config, sizes, MAX_ACTIVE)
    return max(0, min(host_room(free_bytes), free_bytes - host_workspace(config, sizes, MAX_ACTIVE)))


def max_jobs(wish: Wish) -> int:
    """How many of these jobs are spoken side by side."""
    plan = plan_memory(replace(wish, jobs=1))
    return min(MAX_ACTIVE, plan.room_bytes // plan.job_bytes) if plan.fits else 0


def max_minutes(wish: Wish) -> float:
    """How long as many jobs may be with all of the script in view at once, down to a tenth; 0: not at all."""

    def fits(tenths: int) -> bool:
        return plan_memory(replace(wish, minutes=tenths / 10, context="full")).fits

    return _largest(fits, round(_MAX_MINUTES * 10)) / 10


def remedies(plan: MemoryPlan) -> Iterator[str]:
    """Settings each of which alone makes it fit, the gentlest first; nothing for a plan that fits."""
    if plan.fits:
        return
    wish = plan.wish
    fewer = max_jobs(wish)
    if 1 <= fewer < wish.jobs:
        yield f"--jobs {fewer}: the others wait in the queue"
    if plan.context == "full" and plan_memory(replace(wish, context="window")).fits:
        yield "--context window: spoken passage by passage, any length in the same memory"
    if plan.context == "full" and (longest := max_minutes(wish)) >= 1:
        yield f"--minutes {math.floor(longest)}: the longest that is in view at once"
    if wish.sizes.model + wish.sizes.codec > 4 and plan_memory(replace(wish, dtype="bf16")).fits:
        yield f"--dtype {replace(wish, dtype='bf16').types}: half the bytes"
    if not wish.has_int8_kv and plan_memory(replace(wish, has_int8_kv=True)).fits:
        yield "--kv-dtype int8: half of the keys and values"
    if wish.config.quantization is None:
        yield from (f"--dtype {each}: {why}" for each, why in _quantized(wish))
    if wish.jobs <= MAX_ACTIVE and plan.needed_bytes > wish.memory_bytes and not _is_beyond_window(plan):
        yield f"--memory {_up_to_mib(plan.needed_bytes)}: what this takes"


def _quantized(wish: Wish) -> Iterator[tuple[str, str]]:
    """The gentlest way to quantize it with which it fits."""
    for scheme in (INT8, INT4):
        smaller = replace(wish, config=replace(wish.config, quantization=Quantization(scheme)), dtype="bf16")
        if plan_memory(smaller).fits:
            yield smaller.types, f"the decoder's matrices in {scheme.bits} bits"
            return


def _reasons(plan: MemoryPlan) -> Iterator[str]:
    wish = plan.wish
    if wish.jobs > MAX_ACTIVE:
        yield f"at most {MAX_ACTIVE} jobs are spoken side by side, and {wish.jobs} are asked for"
    if _is_beyond_window(plan):
        needed = _prompt_tokens(wish, 60 * wish.minutes) + steps_needed(60 * wish.minutes)
        yield (
            f"a script of {wish.minutes:g} minutes takes about {needed:,} positions, and the model's window has "
            f"{wish.config.window:,}"
        )
    if plan.loading_bytes > wish.memory_bytes:
        yield (f"loading the weights takes {format_bytes(plan.loading_bytes)} of {format_bytes(wish.memory_bytes)}")
    elif plan.kv_bytes > plan.room_bytes:
        yield (
            f"keys and values take {format_bytes(plan.kv_bytes)} ({wish.jobs} × {format_bytes(plan.job_bytes)}), and "
            f"{format_bytes(plan.room_bytes)} of {format_bytes(wish.memory_bytes)} are left for them"
        )


def _is_beyond_window(plan: MemoryPlan) -> bool:
    return plan.context == "full" and not _is_in_view(plan.wish)


def _rows(wish: Wish) -> tuple[str, Rows]:
    """How a job is spoken, and what its largest passage reserves."""
    expected_s = 60 * wish.minutes
    if wish.context == "full" or (wish.context is None and _is_in_view(wish)):
        prompt = min(_prompt_tokens(wish, expected_s), wish.config.window - steps_needed(expected_s))
        return "full", rows_of(max(1, prompt), 0, min(step_limit(expected_s), wish.config.window - max(1, prompt)))
    passage_s = min(WINDOWED_PASSAGE_S, expected_s)
    past_s = min(PAST_PASSAGES * passage_s, expected_s - passage_s)
    prompt = _prompt_tokens(wish, passage_s + past_s)
    past = expected_frames(past_s)
    return "window", rows_of(prompt, past, min(step_limit(passage_s), wish.config.window - prompt - past))


def _is_in_view(wish: Wish) -> bool:
    expected_s = 60 * wish.minutes
    return _prompt_tokens(wish, expected_s) + steps_needed(expected_s) <= wish.config.window


def _prompt_tokens(wish: Wish, text_s: float) -> int:
    per_s = BYTES_A_SECOND if wish.is_bytes else TYPICAL_TEXT_TOKENS_PER_S
    return PROMPT_TOKENS + VOICE_TOKENS + math.ceil(text_s * per_s)


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest number up to `most` that fits, when all below it do, too."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _up_to_mib(count: int) -> str:
    """As `--memory` reads it; never less."""
    return f"{math.ceil(count / (1 << 20) / 102.4) / 10:.1f}GiB"

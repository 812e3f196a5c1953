"""How much of the model's window a passage takes: what is planned, and where it is cut. Knows no model and no token.

Web process and worker plan with the same numbers: the web process before it accepts a script, from characters and
expected seconds; the worker before it starts a passage, from the real tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from longtake.core.errors import CapacityError
from longtake.core.units import format_duration
from longtake.engines.vibevoice.settings import VibeVoiceSettings

FRAMES_PER_S = 7.5
MAX_ACTIVE = 8  # requests side by side
# Frames that a passage may take: its expected length with a voice that is slower than thought, and some more for a
# short one. The reference allows 2 × the prompt, which cuts slow voices in long scripts (research, section 1.5).
SLACK = 1.5
SLACK_FRAMES = 150
# Before anything is tokenized: English takes 1.33 tokens a word with its speaker labels (measured), 3.8 a second of
# speech; Chinese about 3; languages that the tokenizer knows less well up to 6.
TEXT_TOKENS_PER_S = 6.0
TYPICAL_TEXT_TOKENS_PER_S = 3.8
PROMPT_TOKENS = 40
VOICE_TOKENS = 4 * (450 + 8)  # four voices of a minute
WINDOWED_PASSAGE_S = 240.0
PAST_PASSAGES = 2
# Control tokens between frames: END and START at most turns, as far as is known, and never more than frames.
CONTROL_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Rows:
    """Positions that a request reserves.

    Attributes:
        positive: Prompt, what was spoken before, and its own steps at their most.
        negative: The steps alone. Cut back to nothing at each START (the reference's rule), but nothing says that a
            START comes before the end: a row that has to hold all of them is reserved.
    """

    positive: int
    negative: int

    @property
    def positions(self) -> int:
        return self.positive + self.negative


def rows_of(prompt_tokens: int, past_steps: int, limit: int) -> Rows:
    """The rows of a request.

    Args:
        past_steps: Of the passages in view before it.
        limit: Steps that its own passage may have.
    """
    return Rows(prompt_tokens + past_steps + limit, past_steps + limit + 1)


def expected_frames(expected_s: float) -> int:
    return round(expected_s * FRAMES_PER_S)


def frame_limit(expected_s: float) -> int:
    """The most frames that a passage may become."""
    return math.ceil(expected_s * FRAMES_PER_S * SLACK) + SLACK_FRAMES


def step_limit(expected_s: float) -> int:
    """The most steps: frames, and what stands between them."""
    return round(frame_limit(expected_s) * (1 + CONTROL_SHARE))


def steps_needed(expected_s: float) -> int:
    """The fewest steps for which a place must be free: what was spoken before is worth its places, but less than the
    end of what is to be spoken."""
    return min(step_limit(expected_s), expected_frames(expected_s) + 1)


def least_rows(expected_s: float, voice_frames: int, window: int) -> Rows:
    """What a passage reserves at the very least, before anything is tokenized: its text and its past not counted.

    Args:
        voice_frames: Of the voices that speak in it.
    """
    limit, most_prompt = step_limit(expected_s), PROMPT_TOKENS + VOICE_TOKENS
    if most_prompt + math.ceil(expected_s * TEXT_TOKENS_PER_S) + limit > window:
        limit = steps_needed(expected_s)  # the window may leave it no more
    return rows_of(min(voice_frames, max(0, window - limit)), 0, limit)


def passage_cap(
    characters: int,
    expected_s: float,
    settings: VibeVoiceSettings,
    window: int,
    *,
    is_bytes: bool = False,
    room: int | None = None,
) -> int:
    """The most characters of a passage, for a script of so many characters that lasts about so long.

    Args:
        is_bytes: The model has no tokenizer: each byte of the text is a token.
        room: Positions for which there is memory; None: not known. A script that does not fit into it at once is spoken
            passage by passage.

    Raises:
        CapacityError: The whole script is asked to be in the window at once, and is too long.
    """
    # Who asks for all of it at once is refused what can hardly fit; what does not in the end, the worker sees before it
    # speaks. By itself it is done only where it surely fits.
    is_asked = settings.context == "full"
    tokens_per_s = TYPICAL_TEXT_TOKENS_PER_S if is_asked else TEXT_TOKENS_PER_S
    text_tokens = 3 * characters if is_bytes else math.ceil(expected_s * tokens_per_s)
    prompt = text_tokens + PROMPT_TOKENS + VOICE_TOKENS
    needed = prompt + math.ceil(expected_s * FRAMES_PER_S)
    if is_asked and needed > window:
        raise CapacityError(
            f"The script takes about {needed:,} positions ({format_duration(expected_s)} of speech and its text), and "
            f"the model's window has {window:,}. Leave out --context full: it is then spoken passage by passage, each "
            "with those before it in view.",
            code="window_exceeded",
            param="settings.context",
        )
    if is_asked or (settings.context is None and needed <= window and _has_room(prompt, expected_s, window, room)):
        return max(characters, 1)
    return max(200, round(characters * WINDOWED_PASSAGE_S / max(expected_s, WINDOWED_PASSAGE_S)))


def _has_room(prompt: int, expected_s: float, window: int, room: int | None) -> bool:
    limit = min(step_limit(expected_s), window - prompt)
    return room is None or rows_of(prompt, 0, limit).positions <= room

"""How much of the model's window a passage takes: what is planned, and where it is cut. Knows no model and no token.

Web process and worker plan with the same numbers: the web process before it accepts a script, from characters and
expected seconds; the worker before it starts a passage, from the real tokens.
"""

from __future__ import annotations

import math

from longtake.core.errors import CapacityError
from longtake.core.units import format_duration
from longtake.engines.vibevoice.settings import VibeVoiceSettings

FRAMES_PER_S = 7.5
# Frames that a passage may take: its expected length with a voice that is slower than thought, and some more for a
# short one. The reference allows 2 × the prompt, which cuts slow voices in long scripts (research, section 1.5).
SLACK = 1.5
SLACK_FRAMES = 150
# Before anything is tokenized: English takes 1.33 tokens a word with its speaker labels (measured), 3.8 a second of
# speech; Chinese about 3; languages that the tokenizer knows less well up to 6.
TEXT_TOKENS_PER_S = 6.0
PROMPT_TOKENS = 40
VOICE_TOKENS = 4 * (450 + 8)  # four voices of a minute
WINDOWED_PASSAGE_S = 240.0
PAST_PASSAGES = 2


def expected_frames(expected_s: float) -> int:
    return round(expected_s * FRAMES_PER_S)


def frame_limit(expected_s: float) -> int:
    """The most frames that a passage may become."""
    return math.ceil(expected_s * FRAMES_PER_S * SLACK) + SLACK_FRAMES


def passage_cap(
    characters: int, expected_s: float, settings: VibeVoiceSettings, window: int, *, is_bytes: bool = False
) -> int:
    """The most characters of a passage, for a script of so many characters that lasts about so long.

    Args:
        is_bytes: The model has no tokenizer: each byte of the text is a token.

    Raises:
        CapacityError: The whole script is asked to be in the window at once, and is too long.
    """
    text_tokens = 3 * characters if is_bytes else expected_s * TEXT_TOKENS_PER_S
    needed = math.ceil(text_tokens + expected_s * FRAMES_PER_S) + PROMPT_TOKENS + VOICE_TOKENS
    if settings.context == "full" and needed > window:
        raise CapacityError(
            f"The script takes about {needed:,} positions ({format_duration(expected_s)} of speech and its text), and "
            f"the model's window has {window:,}. Leave out --context full: it is then spoken passage by passage, each "
            "with those before it in view.",
            code="window_exceeded",
            param="settings.context",
        )
    if settings.context != "window" and needed <= window:
        return max(characters, 1)
    return max(200, round(characters * WINDOWED_PASSAGE_S / max(expected_s, WINDOWED_PASSAGE_S)))

"""How large a script may be, and which option raises the limit. Knows not where limits are configured."""

from __future__ import annotations

from dataclasses import dataclass

from longtake.core.errors import TooLargeError


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one script.

    Attributes:
        max_characters: Of the text as sent, labels and all.
        max_minutes: Of the finished audio, as estimated.
        characters_option: What the user must change to raise the first; messages name it.
        minutes_option: What the user must change to raise the second.
    """

    max_characters: int
    max_minutes: float
    characters_option: str = "--max-characters"
    minutes_option: str = "--max-minutes"


def check_size(text: str | bytes, limits: Limits) -> None:
    """Refuse a text by its length alone, before any work.

    Bytes are refused only when they cannot be few enough characters: a character has at most four.

    Raises:
        TooLargeError: ``too_many_characters``.
    """
    if isinstance(text, bytes):
        if len(text) > 4 * limits.max_characters + 4:
            raise TooLargeError(
                f"The script has {len(text):,} bytes, more than {limits.max_characters:,} characters can have. "
                f"Cut it into several scripts, or raise {limits.characters_option}.",
                code="too_many_characters",
                param="script",
            )
    elif len(text) > limits.max_characters:
        raise TooLargeError(characters_message(len(text), limits), code="too_many_characters", param="script")


def characters_message(characters: int, limits: Limits) -> str:
    return (
        f"The script has {characters:,} characters, the limit is {limits.max_characters:,}. "
        f"Cut it into several scripts, or raise {limits.characters_option}."
    )

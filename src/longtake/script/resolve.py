"""Whom a user means by "1", "Speaker 1" or "Alice". Knows no voices: their ids pass through."""

from __future__ import annotations

from collections.abc import Mapping

from longtake.core.errors import InputError
from longtake.script.characters import escape_unshowable
from longtake.script.labels import MAX_SPEAKER_NUMBER, find_label, label_key
from longtake.script.records import Script


def resolve_voices(script: Script, wanted: Mapping[str, str]) -> dict[int, str]:
    """Speaker number → voice id, from the user's keys.

    A key is a label of the script (in any case), a number, or a numbered label (``Speaker 1``, ``[1]``, ``说话人1``).
    A number that does not speak is let through: `check_script` warns of it, so that one set of voices serves many
    scripts.

    Raises:
        InputError: ``unknown_speaker``: no such name or number; ``speaker_given_twice``: two keys name one speaker with
            different voices.
    """
    labels = {label_key(speaker.label): speaker.number for speaker in script.speakers}
    voices: dict[int, str] = {}
    keys: dict[int, str] = {}
    for key, voice in wanted.items():
        number = labels.get(label_key(key))
        if number is None:
            number = _number_in(key)
        if number is None:
            found = ", ".join(_describe(speaker.number, speaker.label) for speaker in script.speakers) or "nobody"
            raise InputError(
                escape_unshowable(
                    f"No speaker “{key}” in the script. Found: {found}. Use a number or a name from this list."
                ),
                code="unknown_speaker",
                param="voices",
            )
        if voices.get(number, voice) != voice:
            raise InputError(
                escape_unshowable(
                    f"“{keys[number]}” and “{key}” are the same speaker, but have different voices "
                    f"({voices[number]}, {voice}). Keep one."
                ),
                code="speaker_given_twice",
                param="voices",
            )
        voices[number] = voice
        keys[number] = key
    return voices


def _number_in(key: str) -> int | None:
    text = key.strip()[:80]
    label = find_label(f"{text}:", 0)
    number = int(text) if text.isdecimal() and len(text) <= 9 else label.number if label else None
    return number if number is not None and 1 <= number <= MAX_SPEAKER_NUMBER else None


def _describe(number: int, label: str) -> str:
    return label if label == f"Speaker {number}" else f"{number} ({label})"

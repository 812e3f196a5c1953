"""Which voices to offer for a speaker. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from longtake.wire.listings import VoiceView

Choice = tuple[str, str]
"""What a drop-down shows, and the voice's id."""


def offer_voices(voices: Sequence[VoiceView], chosen: str | None, languages: Sequence[str]) -> list[Choice]:
    """The voices of the chosen one's language first, then those of the script's other languages, then other recordings.

    Within a language the engine's own order stays: the best first. An unlisted id is offered as it is. A recording may
    speak any language, so all of them are offered.

    Args:
        languages: Of the script, the most spoken first.
    """
    known = {voice.id: voice for voice in voices}
    mine = _primary(known[chosen].language) if chosen in known else None
    order = list(dict.fromkeys([*([mine] if mine else []), *map(_primary, languages)]))
    # An engine may have no voice for any of them; then all are better than none.
    offered = sorted(
        (voice for voice in voices if _primary(voice.language) in order or voice.recording_seconds is not None),
        key=lambda voice: [*order, _primary(voice.language)].index(_primary(voice.language)),
    ) or list(voices)
    choices = [(f"{voice.name} · {voice.id}", voice.id) for voice in offered]
    if chosen and chosen not in {voice.id for voice in offered}:
        choices.insert(0, (f"{known[chosen].name} · {chosen}" if chosen in known else chosen, chosen))
    return choices


def _primary(language: str) -> str:
    """``zh-HK`` → ``zh``."""
    return language.lower().partition("-")[0]

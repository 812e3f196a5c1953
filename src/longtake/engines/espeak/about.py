"""What is known of espeak-ng without loading it: limits, paces, voices. Does not know the shared library."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from longtake.core.records import EngineInfo, PassageShape, Voice
from longtake.engines.base import Engine, EngineAbout
from longtake.engines.espeak.settings import read_settings
from longtake.engines.espeak.voices import ENGINE_NAME, EspeakVoice, catalogue

# Measured with this engine at speed 1.0, one sentence a passage, the samples of each passage counted from end to end.
# espeak-ng puts 7 ms of silence after a sentence, so the gaps between passages are all the script's own.
# English: 9,458 words of conversation by four speakers with their default voices gave 180.4 (174 to 194 by speaker);
# another 2,111 words gave 178, 578 words 191. The others: three to seven everyday sentences, mean of the first four
# default voices (spread below 3 %, Japanese 6 %). Words are what white space parts; characters are letters and digits
# without punctuation (`str.isalnum`, which leaves out Thai vowel and tone signs). Japanese: a third of the characters
# are kanji, see `runs`. "*" is the mean of the languages written with spaces.
_PACES: Mapping[str, float] = MappingProxyType(
    {
        "en": 180.0,
        "zh": 231.0,
        "yue": 267.0,
        "ja": 305.0,
        "ko": 330.0,
        "th": 400.0,
        "ar": 113.0,
        "de": 179.0,
        "es": 198.0,
        "fr": 236.0,
        "hi": 188.0,
        "it": 168.0,
        "pt": 171.0,
        "ru": 209.0,
        "*": 183.0,
    }
)

INFO = EngineInfo(
    name=ENGINE_NAME,
    title="espeak-ng",
    shape=PassageShape.SENTENCE,
    max_speakers=None,
    max_passage_characters=400,
    max_active=1,  # one thread: more would only be more to lose in a crash
    paces=_PACES,
    caches_passages=True,
    uses_seed=False,
)


class EspeakAbout(EngineAbout):
    """Implements `EngineAbout`. Reads the data folder's voice files once, at the first call that needs them."""

    @property
    def info(self) -> EngineInfo:
        return INFO

    def voices(self) -> tuple[Voice, ...]:
        return tuple(voice.to_voice() for voice in catalogue().listed())

    def find_voice(self, voice_id: str) -> Voice | None:
        voice = catalogue().find(voice_id)
        return voice.to_voice() if voice is not None else None

    def default_voices(self, languages: Mapping[int, str]) -> dict[int, str]:
        """As in `EngineAbout`.

        The n-th speaker takes the n-th variant, so speakers differ even across languages; past the last variant (about
        100) voices come again.
        """
        variants = catalogue().variants
        return {
            speaker: _voice_for(languages[speaker], variants[place % len(variants)]).id
            for place, speaker in enumerate(sorted(languages))
        }

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        read_settings(settings)

    def load(self, options: Mapping[str, Any]) -> Engine:
        """As in `EngineAbout`; model, device and the like mean nothing to espeak.

        Raises:
            EngineError: The shared library cannot be loaded.
        """
        from longtake.engines.espeak.engine import EspeakEngine  # here: it brings av and the library's binding
        from longtake.engines.espeak.library import Library

        return EspeakEngine(Library(), catalogue(), INFO)


def _voice_for(language: str, variant: str) -> EspeakVoice:
    voice = catalogue().find_for_language(language, variant) or catalogue().find_for_language("en", variant)
    assert voice is not None  # noqa: S101  English and every variant of the list are there
    return voice

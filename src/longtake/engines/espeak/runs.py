"""Which voice speaks which part of a line of mixed languages. Knows voices and text, no audio.

The variant stays, only the language changes, so a speaker stays the same speaker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from longtake.engines.espeak.voices import Catalogue, EspeakVoice
from longtake.script.language import language_runs

# Primary languages of espeak-ng that are not written in Latin letters; its Serbian reads both.
_NOT_LATIN = frozenset(
    """am ar as ba be bg bn bpy chr cmn cv el fa grc gu hak he hi hy hyw ja ka kk kn ko kok ky mk ml mr my ne nog or pa
    ru sd shn si ta te th ti tt ug uk ur yue zh""".split()  # noqa: SIM905  (fifty lines as a list)
)
_CHINESE = frozenset({"cmn", "zh", "yue", "hak"})
_HAN = re.compile(r"([々㐀-䶿一-鿿豈-﫿\U00020000-\U000323af]+)")


def voice_runs(text: str, language: str, voice: EspeakVoice, catalogue: Catalogue) -> list[tuple[str, EspeakVoice]]:
    """Cut `text` where the voice has to change; joined, the parts are `text`, and neighbours differ in voice.

    Args:
        language: BCP-47 tag of most of the text.
    """
    runs: list[tuple[str, EspeakVoice]] = []
    for run_language, run in language_runs(text, language):
        for part, speaker in _cut(run, _primary(run_language), voice, catalogue):
            if runs and runs[-1][1] == speaker:
                runs[-1] = (runs[-1][0] + part, speaker)
            elif part:
                runs.append((part, speaker))
    return runs


def _cut(text: str, language: str, voice: EspeakVoice, catalogue: Catalogue) -> Iterator[tuple[str, EspeakVoice]]:
    own = voice.language.primary
    if language == "ja":
        japanese = voice if own == "ja" else _same_speaker("ja", voice, catalogue)
        for part in _HAN.split(text):
            # espeak-ng reads no kanji at all: it says "Chinese letter", 0.84 s for each. Their Mandarin reading is not
            # Japanese either, but as long as the Japanese one and often akin to it.
            yield part, _same_speaker("cmn", voice, catalogue) if _HAN.fullmatch(part) else japanese
    elif language in _CHINESE:
        yield text, voice if own in _CHINESE else _same_speaker("yue" if language == "yue" else "cmn", voice, catalogue)
    elif language == own:
        yield text, voice
    elif language not in _NOT_LATIN:
        yield text, voice if own not in _NOT_LATIN else _same_speaker("en-us", voice, catalogue)
    else:
        yield text, _same_speaker(language, voice, catalogue)


def _same_speaker(language: str, voice: EspeakVoice, catalogue: Catalogue) -> EspeakVoice:
    return catalogue.find_for_language(language, voice.variant) or voice


def _primary(language: str) -> str:
    return language.lower().partition("-")[0]

from __future__ import annotations

from longtake.studio.casting import offer_voices
from longtake.wire.listings import VoiceView

VOICES = [
    VoiceView(id=name, name=name.upper(), language=language, engine="espeak")
    for name, language in (("en-us", "en-US"), ("cmn", "zh"), ("en-gb", "en-GB"), ("de", "de"), ("yue", "zh-HK"))
]


def ids(chosen: str | None, *languages: str) -> list[str]:
    return [value for _, value in offer_voices(VOICES, chosen, languages)]


def test_the_chosen_voices_language_comes_first_then_the_scripts() -> None:
    assert ids("cmn", "en", "zh") == ["cmn", "yue", "en-us", "en-gb"]
    assert ids(None, "en") == ["en-us", "en-gb"]


def test_an_id_that_is_not_listed_can_be_chosen() -> None:
    assert offer_voices(VOICES, "my-voice", ["de"]) == [("my-voice", "my-voice"), ("DE · de", "de")]


def test_without_a_voice_of_the_language_all_are_offered() -> None:
    assert ids(None, "fi") == ["en-us", "cmn", "en-gb", "de", "yue"]


def test_every_recording_is_offered_those_of_the_scripts_language_first() -> None:
    languages = {"bowen": "zh", "ann": "en", "someone": "und", "cai": "zh"}
    voices = [
        VoiceView(id=name, name=name, language=language, engine="e", recording_seconds=9.0)
        for name, language in languages.items()
    ]

    offered = [value for _, value in offer_voices(voices, None, ["en", "zh"])]

    assert offered == ["ann", "bowen", "cai", "someone"]

from __future__ import annotations

import re
from typing import Any

import pytest

from longtake.core.errors import InputError
from longtake.engines.espeak.about import EspeakAbout
from longtake.engines.espeak.voices import catalogue

ABOUT = EspeakAbout()


def test_voices_are_offered_recommended_first_with_plain_ids_and_names() -> None:
    voices = ABOUT.voices()
    assert [voice.id for voice in voices[:4]] == ["en-us", "en-us+f2", "en-us+quincy", "en-us+linda"]
    assert [voice.name for voice in voices[:4]] == [
        "English (America)",
        "English (America), woman 1",
        "English (America), man 2",
        "English (America), woman 2",
    ]
    ids = [voice.id for voice in voices]
    assert {"en-us", "en-gb", "cmn", "yue", "ja", "de", "fr", "es", "cy", "chr", "yue-latn-jyutping"} <= set(ids)
    assert len(set(ids)) == len(ids)
    assert len({voice.name for voice in voices}) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9-]+(\+[a-z0-9-]+)?", id_) for id_ in ids)
    assert {voice.engine for voice in voices} == {"espeak"}
    assert {voice.language for voice in voices if voice.id.startswith("cmn+")} == {"zh"}


def test_languages_without_a_dictionary_are_not_offered() -> None:
    assert all(ABOUT.find_voice(mute) is None for mute in ("fo", "kaa", "xex"))


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("en-us", "en-us"),
        ("EN-US+F2", "en-us+f2"),
        ("en", "en-us"),
        ("zh+m3", "cmn+m3"),
        ("zh-HK", "yue"),
        ("cy+mr-serious", "cy+mr-serious"),
    ],
)
def test_any_language_goes_with_any_variant(asked: str, given: str) -> None:
    voice = ABOUT.find_voice(asked)
    assert voice is not None
    assert voice.id == given


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "+",
        "en-us+",
        "+f2",
        "en-us+f2+f2",
        "en-us+../f2",
        "gmw/en-us",
        "../lang/gmw/en",
        "en-us+!v/f2",
        "en-us\0",
        "xx",
    ],
)
def test_what_is_no_voice_is_none(asked: str) -> None:
    assert ABOUT.find_voice(asked) is None


def test_plain_british_english_has_espeaks_own_file() -> None:
    voice = catalogue().find("en-gb+f2")
    assert voice is not None
    assert voice.identifier == "gmw/en+f2"


def test_fifty_speakers_are_distinct_and_speak_their_language() -> None:
    spoken = ("en", "zh", "ja", "yue", "de", "pt-BR", "zh-TW", "tlh")
    languages = {speaker: spoken[speaker % 8] for speaker in range(1, 51)}
    voices = ABOUT.default_voices(languages)
    assert len(set(voices.values())) == 50
    # Nobody shares a variant either: an English and a Chinese speaker with one throat would be one person.
    assert len({id_.partition("+")[2] for id_ in voices.values()}) == 50
    tags = ["en-us", "cmn", "ja", "yue", "de", "pt-br", "cmn", "en-us"]
    assert [voices[speaker].partition("+")[0] for speaker in (8, 1, 2, 3, 4, 5, 6, 7)] == tags


def test_more_speakers_than_variants_still_have_a_voice() -> None:
    voices = ABOUT.default_voices(dict.fromkeys(range(1, 301), "en"))
    assert all(ABOUT.find_voice(voice) for voice in voices.values())


def test_defaults_follow_the_order_of_speakers_not_of_the_mapping() -> None:
    assert ABOUT.default_voices({2: "en", 1: "en"}) == {1: "en-us", 2: "en-us+f2"}


@pytest.mark.parametrize("good", [{}, {"pitch": 0}, {"pitch": 99, "word_gap": 10}])
def test_settings_within_their_limits(good: dict[str, Any]) -> None:
    ABOUT.check_settings(good)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"steps": 10}, "Known settings: pitch, word_gap"),
        ({"pitch": 100}, "from 0 to 99"),
        ({"pitch": -1}, "from 0 to 99"),
        ({"pitch": "50"}, "whole number"),
        ({"pitch": True}, "whole number"),
        ({"word_gap": 1.5}, "whole number"),
    ],
)
def test_settings_beyond_them(bad: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        ABOUT.check_settings(bad)
    assert caught.value.param == f"settings.{next(iter(bad))}"


def test_options_of_other_engines_mean_nothing_to_it() -> None:
    engine = EspeakAbout().load({"device": "cuda", "model": "x"})
    assert engine.info.name == "espeak"
    engine.close()

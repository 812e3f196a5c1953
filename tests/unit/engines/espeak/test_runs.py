from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtake.engines.espeak.runs import voice_runs
from longtake.engines.espeak.voices import EspeakVoice, catalogue


def voice(voice_id: str) -> EspeakVoice:
    found = catalogue().find(voice_id)
    assert found is not None
    return found


def runs(text: str, language: str, voice_id: str) -> list[tuple[str, str]]:
    return [(part.strip(), speaker.id) for part, speaker in voice_runs(text, language, voice(voice_id), catalogue())]


def test_one_language_is_one_run() -> None:
    assert runs("Hello there, friend.", "en", "en-gb+f2") == [("Hello there, friend.", "en-gb+f2")]
    assert runs("今天天气很好。", "zh", "cmn") == [("今天天气很好。", "cmn")]


@pytest.mark.parametrize(
    ("language", "voice_id", "expected"),
    [
        ("en", "en-us+f2", "cmn+f2"),
        ("en", "yue+f2", "yue+f2"),
        ("yue", "en-us", "yue"),
        ("zh", "de+m3", "cmn+m3"),
    ],
)
def test_han_is_spoken_in_chinese_by_the_same_speaker(language: str, voice_id: str, expected: str) -> None:
    assert ("你好", expected) in [
        (part.strip('“”"。 '), speaker) for part, speaker in runs('"你好" means hello', language, voice_id)
    ]


@pytest.mark.parametrize(
    ("voice_id", "expected"), [("cmn+f2", "en-us+f2"), ("ja+m3", "en-us+m3"), ("de", "de"), ("en-gb", "en-gb")]
)
def test_latin_is_spoken_in_the_voices_own_language_or_in_english(voice_id: str, expected: str) -> None:
    found = runs("我用 Python 写程序", "zh", voice_id)
    chinese = "cmn" if "+" not in voice_id else "cmn+" + voice(voice_id).variant
    assert ("Python", expected) in found
    assert [speaker for _, speaker in found] == [chinese, expected, chinese]


def test_kana_is_spoken_in_japanese_and_kanji_in_mandarin() -> None:
    assert runs("東京はどこ", "ja", "ja+f2") == [("東京", "cmn+f2"), ("はどこ", "ja+f2")]
    assert runs("こんにちは。", "ja", "en-us+f2") == [("こんにちは。", "ja+f2")]


@given(
    text=st.text(
        st.one_of(st.characters(exclude_categories=["Cs", "Cc"]), st.sampled_from("ab 好日本のア한ไทשא،Ж1.，👍")),
        min_size=1,
    ),
    language=st.sampled_from(["en", "zh", "ja", "yue", "ko", "de", "ru", "xx"]),
    voice_id=st.sampled_from(["en-us", "cmn+f2", "yue", "ja+m3", "de", "ru", "cmn-latn-pinyin"]),
)
def test_runs_concatenate_and_neighbours_differ(text: str, language: str, voice_id: str) -> None:
    found = voice_runs(text, language, voice(voice_id), catalogue())
    assert "".join(part for part, _ in found) == text
    assert all(part for part, _ in found)
    assert all(one[1] != after[1] for one, after in pairwise(found))
    assert {speaker.variant for _, speaker in found} == {voice(voice_id).variant}

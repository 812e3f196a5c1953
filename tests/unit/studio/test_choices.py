from __future__ import annotations

import pytest

from longtake.studio.casting import offer_voices
from longtake.studio.upload import NotTextError, decode_script
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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_files_of_chinese_editors_are_read(encoding: str) -> None:
    assert decode_script("甲：你好。\n乙：再见。".encode(encoding)) == "甲：你好。\n乙：再见。"


@pytest.mark.parametrize("data", [b"\xff\xfeh\x00i\x00", b"\x89PNG\r\n\x1a\n\x00\x00\xff\xff\xff", b"a\x00b"])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(NotTextError):
        decode_script(data)

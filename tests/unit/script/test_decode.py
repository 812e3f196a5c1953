"""What editors save, read back as the same text, or refused with a reason."""

from __future__ import annotations

import pytest

from longtake.core.errors import InputError
from longtake.script import decode_script

CHINESE = "说话人1：大家好，欢迎来到我们的节目。今天我们要说的是一个很有意思的话题，你们都准备好了吗？\n" * 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk"])
def test_chinese_in_every_encoding_that_editors_save(encoding: str) -> None:
    assert decode_script(CHINESE.encode(encoding)) == CHINESE


def test_utf16_big_endian_with_mark() -> None:
    assert decode_script(b"\xfe\xff" + "Héllo".encode("utf-16-be")) == "Héllo"


def test_traditional_chinese_in_gbk() -> None:
    text = "這個問題我們已經說過很多次了，現在還是沒有人來解決。"
    assert decode_script(text.encode("gbk")) == text


def test_line_breaks_become_lf_and_empty_is_empty() -> None:
    assert decode_script(b"a\r\nb\rc\n") == "a\nb\nc\n"
    assert decode_script(b"") == ""


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Café crème, très bien. Où êtes-vous né?", "cp1252"),
        ("naïve", "cp1252"),
        ("Привет, как дела? Всё хорошо.", "cp1251"),
        ("안녕하세요. 오늘은 날씨가 정말 좋습니다. " * 8, "euc-kr"),
        ("こんにちは。今日はとても良い天気ですね。", "euc-jp"),
        ("こんにちは。今日はとても良い天気ですね。", "shift-jis"),
    ],
)
def test_other_encodings_are_refused_not_mangled(text: str, encoding: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_script(text.encode(encoding))
    assert caught.value.code == "unreadable_script"
    assert "UTF-8" in caught.value.message
    assert "GB18030" in caught.value.message


def test_the_message_names_the_byte() -> None:
    with pytest.raises(InputError, match=r"byte 5 \(0xE9\)"):
        decode_script(b"hello\xe9 x")


@pytest.mark.parametrize(
    "data",
    [
        b"abc\0def",
        b"\x89PNG\r\n\x1a\n\x01\x02\x03\x04\x05\x06",
        b"\xff\xfe\0\0a\0\0\0",
        b"hi there \x01\x02\x03\x04\x05",
    ],
)
def test_binary_is_called_binary(data: bytes) -> None:
    with pytest.raises(InputError, match="binary"):
        decode_script(data)


def test_broken_utf16_names_the_place() -> None:
    with pytest.raises(InputError, match="UTF-16 but byte 4"):
        decode_script(b"\xff\xfea\0b")


def test_a_stray_control_character_is_left_for_the_parser() -> None:
    assert decode_script(b"Hello\x07 world, this is text.") == "Hello\x07 world, this is text."

"""Writings and runs."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtake.script import language_of, language_runs


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hello", "en"),
        ("你好，世界。", "zh"),
        ("今日は良い天気です。", "ja"),
        ("안녕하세요", "ko"),
        ("สวัสดีครับ", "th"),
        ("Привет", "ru"),
        ("مرحبا", "ar"),
        ("नमस्ते", "hi"),
        ("γειά", "el"),
        ("VibeVoice 是一个模型", "zh"),
        ("He said 你好 to everybody in the room", "en"),
        ("这家店叫做優の良品，里面的东西很便宜，大家都很喜欢去那里买零食。", "zh"),
        ("123 …", "en"),
        ("", "en"),
    ],
)
def test_language_of_a_text(text: str, language: str) -> None:
    assert language_of(text) == language


def test_the_default_and_the_base() -> None:
    assert language_of("Bonjour", "fr") == "fr"
    assert language_of("Bonjour", "zh") == "en"
    assert language_of("東京", base="ja") == "ja"
    assert language_of("東京", base="en") == "zh"
    assert language_of("12", "en", base="ja") == "ja"
    assert language_of("hello", "en", base="ja") == "en"
    assert language_of("Привіт", base="uk") == "uk"


def test_runs() -> None:
    assert language_runs("小菜一碟 means easy, 对吧？", "en") == [
        ("zh", "小菜一碟 "),
        ("en", "means easy, "),
        ("zh", "对吧？"),
    ]
    assert language_runs("2025年OK", "zh") == [("zh", "2025年"), ("en", "OK")]
    assert language_runs("東京へ行くTokyo", "en") == [("ja", "東京へ行く"), ("en", "Tokyo")]
    assert language_runs("東京", "ja") == [("ja", "東京")]
    assert language_runs("漢字", "zh-TW") == [("zh-TW", "漢字")]
    assert language_runs("l'été", "fr") == [("fr", "l'été")]
    assert language_runs("!?", "fr") == [("fr", "!?")]
    assert language_runs("", "fr") == []


@given(st.text(alphabet="aé 1.,。你好のア한пสا\u0301"), st.sampled_from(["en", "zh", "ja", "fr"]))
def test_runs_joined_are_the_text_and_neighbours_differ(text: str, base: str) -> None:
    runs = language_runs(text, base)
    assert "".join(run for _, run in runs) == text
    assert all(run for _, run in runs)
    assert all(left[0] != right[0] for left, right in pairwise(runs))

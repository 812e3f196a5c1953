from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from longtake.wire.jobs import CheckBody, JobBody
from longtake.wire.speech import OPENAI_VOICES, SpeechBody

SPEECH: dict[str, Any] = {"model": "tts-1", "input": "Hi.", "voice": "alloy"}


def refusal(kind: type[SpeechBody] | type[CheckBody], body: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(body)
    [error] = caught.value.errors()
    return ".".join(str(part) for part in error["loc"]), error["type"]


def test_defaults_of_openai() -> None:
    body = SpeechBody.model_validate(SPEECH)

    assert (body.response_format, body.speed, body.stream_format) == ("mp3", 1.0, "audio")


def test_voice_as_text_and_as_object_are_the_same() -> None:
    assert SpeechBody.model_validate(SPEECH | {"voice": {"id": "voice_1"}}).voice == "voice_1"
    assert refusal(SpeechBody, SPEECH | {"voice": {"id": "a", "name": "b"}}) == ("voice", "voice_object")
    assert refusal(SpeechBody, SPEECH | {"voice": {"id": 3}}) == ("voice", "string_type")
    assert refusal(SpeechBody, SPEECH | {"voice": ["a"]}) == ("voice", "string_type")


def test_null_means_left_out() -> None:
    body = JobBody.model_validate({"script": "Hi.", "title": None, "seed": None, "voices": None})

    assert (body.title, body.seed, body.voices) == (None, 0, {})
    assert refusal(SpeechBody, SPEECH | {"voice": None}) == ("voice", "missing")


@pytest.mark.parametrize("odd", ["a\0", "a\nb", "\x1b[2J", "a\u202eb", "\u200b", "\ud800"])
def test_names_have_no_invisible_characters(odd: str) -> None:
    for field in ("model", "title", "voice"):
        place, kind = refusal(JobBody, {"script": "Hi.", field: odd})
        assert place == field
        assert kind in ("control_character", "string_unicode")
    assert refusal(JobBody, {"script": "Hi.", "voices": {odd: "en"}})[0].startswith("voices.")
    assert refusal(JobBody, {"script": "Hi.", "voices": {"1": odd}})[0] == "voices.1"


def test_names_are_in_any_language_and_not_endless() -> None:
    assert JobBody.model_validate({"script": "Hi.", "title": "Größe 大小 ✨"}).title == "Größe 大小 ✨"
    assert refusal(JobBody, {"script": "Hi.", "title": "x" * 201}) == ("title", "string_too_long")
    assert refusal(JobBody, {"script": "Hi.", "title": ""}) == ("title", "string_too_short")


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("speed", 0.2499, "greater_than_equal"),
        ("speed", 4.0001, "less_than_equal"),
        ("speed", float("nan"), "finite_number"),
        ("speed", True, "float_type"),
        ("seed", 2**63, "less_than_equal"),
        ("seed", 1.5, "int_type"),
        ("seed", "1", "int_type"),
        ("turn_silence_seconds", -0.1, "greater_than_equal"),
        ("sentence_silence_seconds", 10.1, "less_than_equal"),
        ("loudness", "loud", "literal_error"),
        ("response_format", "MP3", "literal_error"),
        ("settings", [], "dict_type"),
        ("script_file", "/etc/passwd", "extra_forbidden"),
    ],
)
def test_fields_of_a_job_are_strict(field: str, value: Any, kind: str) -> None:
    assert refusal(JobBody, {"script": "Hi.", field: value}) == (field, kind)


def test_ends_of_the_ranges_are_good() -> None:
    for speed in (0.25, 4, 4.0):
        assert SpeechBody.model_validate(SPEECH | {"speed": speed}).speed == speed


def test_thirteen_voices() -> None:
    assert len(set(OPENAI_VOICES)) == 13

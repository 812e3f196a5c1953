"""What a user is told before anything is spoken."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from longtake.core.errors import CapacityError, InputError, LongtakeError, TooLargeError
from longtake.core.records import EngineInfo, PassageShape
from longtake.script import (
    Estimate,
    Limits,
    Report,
    Severity,
    check_script,
    check_size,
    estimate_units,
    parse_script,
    raise_for,
    resolve_voices,
)

LIMITS = Limits(1000, 10.0, "limits.characters", "limits.minutes")


def check(
    text: str,
    *,
    voices: Mapping[int, str] | None = None,
    max_speakers: int | None = None,
    shape: PassageShape = PassageShape.SENTENCE,
    seconds: float | None = None,
    limits: Limits = LIMITS,
) -> Report:
    info = EngineInfo("e", "Engine", shape, max_speakers, 300, 1, {"*": 150.0})
    return check_script(
        parse_script(text),
        info=info,
        voices=voices,
        known_voice=lambda voice: voice.startswith("good"),
        estimate=None if seconds is None else Estimate(seconds, {}, 0.0),
        limits=limits,
    )


def found(report: Report) -> list[tuple[str, str, int | None]]:
    return [(finding.severity.value, finding.code, finding.line) for finding in report.findings]


def raised(report: Report) -> LongtakeError:
    with pytest.raises(LongtakeError) as caught:
        raise_for(report)
    return caught.value


def test_a_good_script() -> None:
    report = check("A: Hi.\nB: Yo.\nA: So.", voices={1: "good", 2: "good2"}, seconds=3.0, max_speakers=2)
    assert report.findings == ()
    assert report.is_ok
    assert (report.turns, report.characters, [each.label for each in report.speakers]) == (3, 9, ["A", "B"])
    assert report.estimate is not None
    raise_for(report)


def test_voices() -> None:
    report = check("A: Hi.\nB: Yo.\nB: Oh.\nC: Me.", voices={1: "good", 2: "bad", 7: "good7"})
    assert found(report) == [
        ("warning", "voice_unused", None),
        ("error", "unknown_voice", 2),
        ("warning", "voice_missing", 4),
    ]
    error = raised(report)
    assert type(error) is InputError
    assert (error.code, error.param) == ("unknown_voice", "voices")
    assert error.message.startswith("Line 2, column 1: ")
    assert check("A: Hi.\nB: Yo.", voices=None).findings == ()


def test_findings_are_by_position_and_the_first_error_is_raised() -> None:
    report = check("Speaker 1: ...\nSpeaker 0: x\nSpeaker 2: y", voices={2: "bad"})
    lines = [finding.line or 0 for finding in report.findings]
    assert lines == sorted(lines)
    assert not report.is_ok
    assert raised(report).code == "speaker_number"
    assert ("warning", "punctuation_only", 1) in found(report)


@pytest.mark.parametrize("text", ["", "\n \n", "...", "[pause 2]", "# ---"])
def test_nothing_to_speak(text: str) -> None:
    assert raised(check(text)).code == "empty_script"


def test_broken_json_is_not_called_empty() -> None:
    assert [finding.code for finding in check('[{"speaker": ]').findings] == ["broken_json"]


def test_too_many_speakers_points_at_the_first_one_too_many() -> None:
    report = check("A: a\nB: b\nA: c\nC: d\nD: e", max_speakers=2)
    assert found(report) == [("error", "too_many_speakers", 4)]
    assert "4 speakers" in report.findings[0].message


def test_sizes_name_value_limit_and_option() -> None:
    large = raised(check("word " * 300))
    assert type(large) is TooLargeError
    assert large.code == "too_many_characters"
    assert all(each in large.message for each in ("1,500", "1,000", "limits.characters"))
    long = raised(check("word", seconds=605.0))
    assert type(long) is CapacityError
    assert long.code == "too_long"
    assert all(each in long.message for each in ("10:05", "10:00", "limits.minutes"))
    assert check("word", seconds=600.0).is_ok


def test_check_size_agrees_with_the_report() -> None:
    check_size("x" * 1000, LIMITS)
    check_size(b"x" * 4000, LIMITS)
    with pytest.raises(TooLargeError, match="1,001"):
        check_size("x" * 1001, LIMITS)
    with pytest.raises(TooLargeError, match="bytes"):
        check_size(b"x" * 4005, LIMITS)
    assert check("x" * 1000).is_ok
    assert not check("x" * 1001).is_ok


def test_turns_too_long_for_a_dialogue_engine() -> None:
    limits = Limits(10**6, 90)
    text = "A: " + "word " * 250 + "\nB: " + "短句子" * 150 + "\nA: " + "word " * 200
    report = check(text, shape=PassageShape.DIALOGUE, limits=limits)
    assert found(report) == [("warning", "long_turn", 1), ("warning", "long_turn", 2)]
    assert report.findings[0].severity is Severity.WARNING
    assert check(text, limits=limits).findings == ()


@pytest.mark.parametrize(("unit", "per_minute"), [("word ", 150), ("a ", 150), ("字", 260), ("a字", 95)])
@pytest.mark.parametrize(("shape", "minutes"), [(PassageShape.DIALOGUE, 1.5), (PassageShape.SENTENCE, 10.0)])
def test_turns_warn_over_the_threshold_of_their_shape(
    unit: str, per_minute: int, shape: PassageShape, minutes: float
) -> None:
    limits = Limits(10**6, 90)
    units = round(per_minute * minutes)
    assert check("A: " + unit * round(units * 0.97) + "\nB: b", shape=shape, limits=limits).findings == ()
    report = check("A: a\nB: " + unit * round(units * 1.03), shape=shape, limits=limits)
    assert found(report) == [("warning", "long_turn", 2)]


def test_many_speakers_warn_where_the_engine_has_no_limit() -> None:
    text = "".join(f"Speaker {number}: a\n" for number in range(1, 22))
    assert check(text.removesuffix("Speaker 21: a\n")).findings == ()
    report = check(text)
    assert found(report) == [("warning", "many_speakers", 21)]
    assert "21 speakers" in report.findings[0].message
    assert found(check(text, max_speakers=4)) == [("error", "too_many_speakers", 5)]


def test_a_pause_at_the_end_counts_as_length() -> None:
    text = "Hi. " + "[pause 60s]\n" * 20
    script = parse_script(text)
    assert script.trailing_pause_s == 1200.0
    estimate = estimate_units({"en": 1}, script.trailing_pause_s, {})
    assert raised(check(text, seconds=estimate.seconds)).code == "too_long"


def test_messages_can_be_encoded_whatever_the_voices_are() -> None:
    report = check("A: Hi.", voices={1: "bad\ud800", 2: "bad\x1b[2J"})
    messages = " ".join(finding.message for finding in report.findings)
    assert messages.encode()
    assert messages.isprintable()
    assert "bad\\ud800" in messages
    for wanted in ({"\ud83d": "v"}, {"1": "v\ud83d", "Alice": "w"}):
        with pytest.raises(InputError, match="ud83d") as caught:
            resolve_voices(SCRIPT, wanted)
        assert caught.value.message.encode()


def test_thousands_of_speakers_take_no_long_time() -> None:
    text = "".join(f"Guest {number}: a\n" * 2 for number in range(8000))
    started = time.perf_counter()
    report = check(text, voices={1: "good"}, max_speakers=4, limits=Limits(10**7, 90))
    assert time.perf_counter() - started < 3.0
    assert len(report.speakers) == 8000
    assert report.speakers[-1].label == "Guest 7999"


SCRIPT = parse_script("Speaker 2: a\nAlice: b\nSpeaker 2: c\nAlice: d")


@pytest.mark.parametrize("key", ["1", " 1 ", "alice", "ALICE", "Speaker 1", "speaker1", "[1]", "说话人1"])
def test_keys_of_a_speaker(key: str) -> None:
    assert resolve_voices(SCRIPT, {key: "v"}) == {1: "v"}


def test_numbers_that_do_not_speak_pass_and_names_do_not() -> None:
    assert resolve_voices(SCRIPT, {"9": "v", "Alice": "w", "1": "w"}) == {9: "v", 1: "w"}
    for key in ("Bob", "0", "100", ""):
        with pytest.raises(InputError, match=r"1 \(Alice\), Speaker 2") as caught:
            resolve_voices(SCRIPT, {key: "v"})
        assert caught.value.code == "unknown_speaker"


def test_two_voices_for_one_speaker() -> None:
    with pytest.raises(InputError, match="same speaker") as caught:
        resolve_voices(SCRIPT, {"1": "v", "Alice": "w"})
    assert caught.value.code == "speaker_given_twice"

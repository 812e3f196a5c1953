"""What a request will become, and what is wrong with it: fields, limits, voices, plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from longtake.core.errors import CapacityError, InputError, NotFoundError, TooLargeError
from longtake.core.records import EngineInfo, PassageShape, Voice
from longtake.engines.base import Engine, EngineAbout
from longtake.engines.registry import about
from longtake.intake import Intake, JobRequest
from longtake.intake import intake as rooms
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.store import JobStore
from longtake.script import Limits
from longtake.voices import VoiceStore
from tests.support.jobs import planned, spec, spoken

TEN = "one two three four five six seven eight nine ten"


class BareAbout(EngineAbout):
    """An engine that has no voices of its own, and speaks whole dialogues of two."""

    info = EngineInfo("bare", "Bare", PassageShape.DIALOGUE, 2, 4000, 1, {"*": 120.0})

    def find_voice(self, voice_id: str) -> Voice | None:
        return Voice(voice_id, voice_id, "en", "bare") if voice_id.startswith("clone") else None

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        if "steps" not in settings and settings:
            raise InputError("bare knows only steps.", code="unknown_setting")

    def load(self, options: Mapping[str, Any]) -> Engine:
        raise AssertionError("the parent never loads an engine")


class OneVoiceAbout(BareAbout):
    def default_voices(self, languages: Mapping[int, str]) -> dict[int, str]:
        return dict.fromkeys(languages, "clone")


@pytest.fixture
def two(store: JobStore, folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> Intake:
    """Serves espeak and, after it, the bare engine."""
    known: dict[str, EngineAbout] = {"espeak": about("espeak"), "bare": BareAbout()}
    monkeypatch.setattr(rooms, "about", known.__getitem__)
    return Intake(store, folder, VoiceStore(folder.voices), ["espeak", "bare"], Limits(1000, 2.0))


# Fields


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"response_format": "mp4"}, "unknown_format", "response_format"),
        ({"loudness": "loud"}, None, "loudness"),
        ({"speed": 0.2}, "invalid_speed", "speed"),
        ({"speed": 4.1}, "invalid_speed", "speed"),
        ({"speed": float("nan")}, "invalid_speed", "speed"),
        ({"turn_silence_s": -0.1}, "invalid_silence", "turn_silence_s"),
        ({"turn_silence_s": 10.5}, "invalid_silence", "turn_silence_s"),
        ({"sentence_silence_s": float("nan")}, "invalid_silence", "sentence_silence_s"),
        ({"sentence_silence_s": float("inf")}, "invalid_silence", "sentence_silence_s"),
        ({"voice": "nobody"}, "unknown_voice", "voice"),
        ({"settings": {"volume": 3}}, "unknown_setting", "settings.volume"),
        ({"settings": {"pitch": 100}}, "setting_out_of_range", "settings.pitch"),
        ({"voices": {"Zoe": "en-us"}}, "unknown_speaker", "voices"),
    ],
)
def test_a_bad_field_is_refused_by_name(intake: Intake, fields: dict[str, Any], code: str | None, param: str) -> None:
    with pytest.raises(InputError) as refused:
        intake.judge(JobRequest("Hello.", **fields))
    assert refused.value.param == param
    assert code in (None, refused.value.code)


@pytest.mark.parametrize(
    "fields",
    [
        {"speed": 0.25},
        {"speed": 4.0},
        {"turn_silence_s": 0.0, "sentence_silence_s": 10.0},
        {"settings": {"pitch": 99, "word_gap": 0}},
        {"response_format": "OPUS"},
    ],
)
def test_the_borders_themselves_are_allowed(intake: Intake, fields: dict[str, Any]) -> None:
    assert intake.judge(JobRequest("Hello.", **fields)).report.is_ok


def test_the_first_engine_is_the_default_and_others_must_be_served(intake: Intake, two: Intake) -> None:
    assert two.engine(None).info.name == "espeak"
    assert two.engine("bare").info.name == "bare"
    assert [engine.info.name for engine in two.engines] == ["espeak", "bare"]
    with pytest.raises(NotFoundError, match=r"'bare' is not served here.*espeak") as refused:
        intake.judge(JobRequest("Hello.", model="bare"))
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    with pytest.raises(NotFoundError):
        intake.engine("")


def test_an_engine_that_does_not_exist_cannot_be_served(store: JobStore, folder: DataFolder) -> None:
    with pytest.raises(NotFoundError, match="festival"):
        Intake(store, folder, VoiceStore(folder.voices), ["espeak", "festival"], Limits(1000, 2.0))


def test_settings_are_the_chosen_engines_own(two: Intake) -> None:
    assert two.judge(JobRequest("Hello.", model="bare", voice="clone", settings={"steps": 10})).report.is_ok
    with pytest.raises(InputError, match="steps"):
        two.judge(JobRequest("Hello.", settings={"steps": 10}))


# Limits


def test_characters_are_counted_before_any_work(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert intake.judge(JobRequest("a" * 1000)).report.is_ok
    monkeypatch.setattr(rooms, "parse_script", lambda text: pytest.fail("it was read"))
    with pytest.raises(TooLargeError, match=r"1,001 characters.*1,000"):
        intake.judge(JobRequest("a" * 1001))


def test_a_caller_may_bring_its_own_limits(intake: Intake) -> None:
    small = Limits(10, 2.0, characters_option="the option of speech")
    with pytest.raises(TooLargeError, match="the option of speech"):
        intake.judge(JobRequest("Hello, world."), limits=small)
    with pytest.raises(TooLargeError):
        intake.submit(JobRequest("Hello, world."), limits=small)
    assert intake.limits.max_characters == 1000


def test_a_script_too_long_is_told_when_judged_and_refused_when_submitted(intake: Intake, store: JobStore) -> None:
    # Pauses count: they are part of the file.
    request = JobRequest("Wait. [pause 60s] Wait. [pause 60s] Wait.")
    judged = intake.judge(request)
    assert not judged.report.is_ok
    assert judged.estimate.seconds > 120
    with pytest.raises(CapacityError, match=r"2 minutes.*--max-minutes") as refused:
        intake.submit(request)
    assert refused.value.code == "too_long"
    assert store.jobs() == []


@pytest.mark.parametrize("script", ["", "  \n\t\n", "...", "[pause 3s]", "😀 😀"])
def test_nothing_to_speak_is_found_not_crashed_on(intake: Intake, script: str) -> None:
    judged = intake.judge(JobRequest(script))
    assert "empty_script" in [finding.code for finding in judged.report.findings]
    assert judged.passages == ()
    with pytest.raises(InputError) as refused:
        intake.submit(JobRequest(script))
    assert refused.value.code == "empty_script"


# Voices


def test_speakers_without_a_voice_get_distinct_ones_that_fit_their_language(intake: Intake) -> None:
    voices = intake.judge(
        JobRequest("Speaker 1: Good day.\nSpeaker 2: Hi there.\nSpeaker 3: 你好，很高兴见到你。")
    ).voices
    assert len(set(voices.values())) == 3
    assert [voices[number].partition("+")[0] for number in (1, 2, 3)] == ["en-us", "en-us", "cmn"]


def test_a_wanted_voice_is_kept_and_given_to_nobody_else(intake: Intake) -> None:
    script = "Speaker 1: Hello.\nSpeaker 2: Hello.\nSpeaker 3: Hello."
    untold = intake.judge(JobRequest(script)).voices
    told = intake.judge(JobRequest(script, voices={"3": untold[1]})).voices
    assert told[3] == untold[1]
    assert len(set(told.values())) == 3


def test_when_the_engines_choice_runs_out_a_voice_comes_again(
    store: JobStore, folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "about", lambda name: OneVoiceAbout())
    intake = Intake(store, folder, VoiceStore(folder.voices), ["bare"], Limits(1000, 2.0))
    request = JobRequest("Speaker 1: Hi.\nSpeaker 2: Hi.", voices={"1": "clone"})
    assert intake.judge(request).voices == {1: "clone", 2: "clone"}


def test_voices_by_name_number_and_for_the_rest(intake: Intake) -> None:
    request = JobRequest("Alice: Hi.\nBob: Hi.\nCarol: Hi.", voices={"alice": "en-gb", "2": "de"}, voice="fr")
    assert intake.judge(request).voices == {1: "en-gb", 2: "de", 3: "fr"}


def test_an_unknown_voice_is_a_finding_and_refused_with_its_place(intake: Intake) -> None:
    request = JobRequest("Alice: Hi.\nBob: Hi.", voices={"Alice": "en-us", "Bob": "nobody"})
    (finding,) = [found for found in intake.judge(request).report.findings if found.code == "unknown_voice"]
    assert (finding.line, finding.column) == (2, 1)
    with pytest.raises(InputError, match=r"Line 2.*nobody") as refused:
        intake.submit(request)
    assert (refused.value.code, refused.value.param) == ("unknown_voice", "voices")


def test_an_engine_without_voices_needs_one_for_every_speaker(two: Intake, store: JobStore) -> None:
    script = "Alice: Hi.\nBob: Hi."
    request = JobRequest(script, model="bare", voices={"Alice": "clone-a"})
    assert dict(two.judge(request).voices) == {1: "clone-a"}
    with pytest.raises(InputError, match=r"Speaker 2 \(Bob\).*bare.*--voice 2=ID") as refused:
        two.submit(request)
    assert (refused.value.code, refused.value.param) == ("voice_needed", "voices")
    assert store.jobs() == []
    job, _ = two.submit(JobRequest(script, model="bare", voices={"Alice": "clone-a"}, voice="clone-b"))
    assert (job.spec.engine, job.spec.voices) == ("bare", {1: "clone-a", 2: "clone-b"})


def test_more_speakers_than_the_engine_has_is_refused(two: Intake) -> None:
    script = "A: Hi.\nB: Hi.\nC: Hi."
    with pytest.raises(InputError, match="2 at most") as refused:
        two.submit(JobRequest(script, model="bare", voice="clone-x"))
    assert refused.value.code == "too_many_speakers"
    assert two.judge(JobRequest(script)).report.is_ok


# Plan


def test_passages_are_planned_in_the_engines_shape(two: Intake) -> None:
    script = "Speaker 1: One. Two.\nSpeaker 2: Three."
    sentences = two.judge(JobRequest(script)).passages
    assert [[line.text for line in p.passage.lines] for p in sentences] == [["One."], ["Two."], ["Three."]]
    (dialogue,) = two.judge(JobRequest(script, model="bare", voice="clone")).passages
    assert [line.speaker for line in dialogue.passage.lines] == [1, 2]
    assert dialogue.units == 3


def test_silences_stand_where_they_were_asked_for(intake: Intake) -> None:
    script = "Speaker 1: One. Two. [pause 2s]\nSpeaker 2: Three."
    judged = intake.judge(JobRequest(script, turn_silence_s=1.0, sentence_silence_s=0.25))
    assert [p.passage.silence_before_s for p in judged.passages] == [0.0, 0.25, 3.0]
    assert judged.estimate.silence_s == 3.25


def test_every_passage_is_expected_to_take_its_share(intake: Intake) -> None:
    judged = intake.judge(JobRequest(f"{TEN}. Five more words are here.", sentence_silence_s=0.5))
    first, second = judged.passages
    assert (first.language, first.units, second.units) == ("en", 10, 5)
    assert first.estimated_s == pytest.approx(10 * 60 / 180)
    assert second.estimated_s == pytest.approx(0.5 + 5 * 60 / 180)
    assert judged.estimate.seconds == pytest.approx(first.estimated_s + second.estimated_s)


def test_speed_shortens_speech_and_not_silence(intake: Intake) -> None:
    script = f"{TEN}. [pause 4s] {TEN}."
    slow, fast = (intake.judge(JobRequest(script, speed=speed)).estimate for speed in (1.0, 2.0))
    assert slow.silence_s == fast.silence_s == 4.15
    assert fast.seconds - 4.15 == pytest.approx((slow.seconds - 4.15) / 2)


def test_a_passage_in_two_languages_teaches_no_pace(intake: Intake) -> None:
    mixed, pure = intake.judge(JobRequest("The word 你好世界朋友 means hello. 今天天气很好。")).passages
    assert (mixed.language, mixed.units) == ("zh", 0)
    assert (pure.language, pure.units) == ("zh", 6)
    assert mixed.estimated_s == pytest.approx(4 * 60 / 180 + 6 * 60 / 231)


# Paces


def teach(
    db: Database, store: JobStore, *, engine: str = "espeak", language: str = "en", words: int, samples: int
) -> None:
    """A job of one passage comes to its end."""
    (passage,) = planned(1, units=words)
    lesson = type(passage)(passage.passage, language, words, 1.0)
    store.submit(spec(engine=engine), "x", [lesson])
    desk = WorkerDesk(db, "w1", engine, 1)
    claim = desk.claim()
    assert claim is not None
    desk.commit(claim, [spoken(0, samples=samples)])
    desk.finish(claim, "a", 1)


def seconds_of_ten(intake: Intake, text: str = TEN) -> float:
    return intake.judge(JobRequest(text)).estimate.seconds


def test_finished_jobs_draw_the_pace_towards_what_was_heard(intake: Intake, db: Database, store: JobStore) -> None:
    assert seconds_of_ten(intake) == pytest.approx(10 * 60 / 180)
    teach(db, store, words=240, samples=120 * 24_000)
    # Two minutes of speech weigh as much as what was known before.
    assert seconds_of_ten(intake) == pytest.approx(10 * 60 / ((180 + 120) / 2))
    teach(db, store, words=240, samples=120 * 24_000)
    assert seconds_of_ten(intake) == pytest.approx(10 * 60 / ((180 * 2 + 120 * 4) / 6))


def test_a_second_of_speech_changes_next_to_nothing(intake: Intake, db: Database, store: JobStore) -> None:
    before = seconds_of_ten(intake)
    teach(db, store, words=30, samples=24_000)
    assert before * 0.85 < seconds_of_ten(intake) < before


def test_a_pace_is_of_one_language_and_one_engine(intake: Intake, db: Database, store: JobStore) -> None:
    before = seconds_of_ten(intake)
    teach(db, store, language="el", words=183, samples=120 * 24_000)
    teach(db, store, engine="vibevoice", words=10_000, samples=120 * 24_000)
    assert seconds_of_ten(intake) == before
    # Greek is not among the built-in paces: it starts from that of the languages not named, 183.
    greek = "ένα δύο τρία τέσσερα πέντε έξι επτά οκτώ εννέα δέκα"
    assert seconds_of_ten(intake, greek) == pytest.approx(10 * 60 / ((183 + 91.5) / 2))


# As JSON


def test_a_judgement_is_told_as_json(intake: Intake) -> None:
    judged = intake.judge(JobRequest(f"Alice: {TEN}.\nBob: ...\nBob: 你好。", voices={"Alice": "en-gb"}))
    told = json.loads(json.dumps(judged.to_dict()))
    assert (told["ok"], told["model"], told["turns"], told["passages"]) == (True, "espeak", 3, 2)
    assert told["speakers"][0] == {
        "number": 1,
        "label": "Alice",
        "turns": 1,
        "characters": len(TEN) + 1,
        "voice": "en-gb",
    }
    assert told["characters"] == sum(speaker["characters"] for speaker in told["speakers"])
    assert {(found["severity"], found["code"], found["line"]) for found in told["findings"]} == {
        ("warning", "punctuation_only", 2),
        ("warning", "voice_missing", 2),
    }
    assert told["estimate"]["by_language"] == {"en": 3.3, "zh": 0.5}
    assert told["estimate"]["seconds"] == pytest.approx(3.3 + 0.5 + 0.45, abs=0.06)

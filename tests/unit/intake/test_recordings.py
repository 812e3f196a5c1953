"""Recordings come in, are given to speakers, and go; an engine that speaks with them is planned for as it wants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from longtake.core.errors import CapacityError, ConflictError, DiskFullError, InputError, NotFoundError
from longtake.engines import registry
from longtake.intake import Intake, JobRequest
from longtake.intake.recordings import name_and_language
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Kind
from longtake.jobs.store import JobStore
from longtake.script import Limits
from longtake.voices import VoiceStore
from tests.support import echo
from tests.support.jobs import spoken
from tests.support.recordings import voice, write_file

THREE = "Ann: Hello there.\nBen: Good day.\nCai: 你好，很高兴见到你。"


@pytest.fixture
def intake(store: JobStore, folder: DataFolder, voices: VoiceStore, monkeypatch: pytest.MonkeyPatch) -> Intake:
    """Serves espeak and, after it, an engine that speaks with recordings."""
    monkeypatch.setattr(registry, "ENGINES", echo.registered())
    registry.about.cache_clear()
    return Intake(store, folder, voices, ["espeak", "echo"], Limits(1000, 30.0))


def record(voices: VoiceStore, *who: str) -> None:
    """``"ann:en"`` is Ann's recording in English."""
    for place, each in enumerate(who):
        name, _, language = each.partition(":")
        voices.add(voice(2.0 + place / 10), name=name, language=language or "und")


def ask(script: str = THREE, **more: object) -> JobRequest:
    return JobRequest(script, model="echo", **more)  # type: ignore[arg-type]


# In


def test_a_file_becomes_a_voice(intake: Intake, voices: VoiceStore, tmp_path: Path) -> None:
    path = write_file(tmp_path / "zh-Bowen_man.wav", voice(3.0))
    added = intake.recordings.add(path, file_name=path.name)
    assert (added.id, added.name, added.language) == ("bowen-man", "Bowen man", "zh")
    assert np.array_equal(voices.recording("bowen-man"), voice(3.0))
    other = intake.recordings.add(path.read_bytes(), file_name=path.name, name="Bob", language="en")
    assert (other.id, other.language) == ("bob", "en")


@pytest.mark.parametrize(
    ("file_name", "told"),
    [
        ("en-Alice_woman.wav", ("Alice woman", "en")),
        ("zh-小雨.mp3", ("小雨", "zh")),
        ("yue-Wing.flac", ("Wing", "yue")),
        ("alice.wav", ("alice", "und")),
        ("it-was-me.wav", ("it-was-me", "und")),
        ("my-Voice.wav", ("my-Voice", "und")),
        ("../../etc/passwd", ("passwd", "und")),
        (r"C:\Users\me\en-Me.wav", ("Me", "en")),
        ("a\x1b[2J\nb.wav", ("a [2J b", "und")),
        ("", ("Voice", "und")),
        ("x" * 300 + ".wav", ("x" * 100, "und")),
    ],
)
def test_a_files_name_tells_who_it_is(file_name: str, told: tuple[str, str]) -> None:
    assert name_and_language(file_name) == told


def test_a_file_that_is_named_is_added_once_whatever_it_is_called(intake: Intake, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    first = write_file(tmp_path / "me.wav", voice(3.0))
    copy = write_file(tmp_path / "copy.flac", voice(3.0))
    namesake = write_file(tmp_path / "b" / "me.wav", voice(4.0))
    ids = [intake.recordings.add_or_find(path).id for path in (first, copy, namesake, namesake, first)]
    assert ids == ["me", "me", "me-2", "me-2", "me"]
    found = intake.recordings.find(copy)
    assert found is not None
    assert found.id == "me"
    assert intake.recordings.find(write_file(tmp_path / "new.wav", voice(5.0))) is None


def test_what_is_too_long_is_told_although_only_its_beginning_was_read(intake: Intake, tmp_path: Path) -> None:
    path = write_file(tmp_path / "long.flac", voice(90.0))
    with pytest.raises(InputError, match=r"61\.0 s long or longer; the limit is 60 s"):
        intake.recordings.add(path, file_name=path.name)


def test_a_recording_needs_room(intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DataFolder, "free_bytes", lambda self: 100)
    with pytest.raises(DiskFullError, match="The recording needs"):
        intake.recordings.add(write_file(tmp_path / "a.wav", voice(3.0)), file_name="a.wav")


# Which there are


def test_recordings_are_the_voices_of_engines_that_speak_with_them(intake: Intake, voices: VoiceStore) -> None:
    record(voices, "ann:en", "de:de")
    espeak, echoing = intake.engines
    assert [(each.id, each.engine) for each in intake.voices(echoing)] == [("ann", "echo"), ("de", "echo")]
    assert "ann" not in [each.id for each in intake.voices(espeak)]
    assert intake.find_voice(espeak, "ann") is None
    found = intake.find_voice(echoing, "ann")
    assert found is not None
    assert (found.engine, found.recording_s) == ("echo", 2.0)
    own = intake.find_voice(espeak, "de")
    assert own is not None
    assert own.recording_s is None, "espeak's own, not the recording of that name"


def test_a_recording_is_no_voice_for_other_engines(intake: Intake, voices: VoiceStore) -> None:
    record(voices, "ann")
    with pytest.raises(InputError, match="no voice 'ann' for espeak"):
        intake.judge(JobRequest("Hello.", voice="ann"))
    with pytest.raises(InputError, match="no voice 'en-us' for echo"):
        intake.judge(ask("Hello.", voice="en-us"))


# Who speaks with which


@pytest.mark.parametrize(
    ("recorded", "given"),
    [
        (["a:en", "b:en", "c:zh"], {1: "a", 2: "b", 3: "c"}),
        (["c:zh", "x:en-GB", "y:en"], {1: "y", 2: "x", 3: "c"}),
        (["a:zh", "b", "c:fr"], {1: "b", 2: "c", 3: "a"}),
        (["a:fr", "b:de", "c:it", "d:en"], {1: "d", 2: "a", 3: "b"}),
        (["c", "b", "a"], {1: "a", 2: "b", 3: "c"}),
    ],
)
def test_distinct_recordings_by_language_then_name(
    intake: Intake, voices: VoiceStore, recorded: Sequence[str], given: dict[int, str]
) -> None:
    record(voices, *recorded)
    judged = intake.judge(ask())
    assert judged.voices == given
    assert judged.report.is_ok
    assert intake.submit(ask())[0].spec.voices == given


def test_a_wanted_recording_is_given_to_nobody_else(intake: Intake, voices: VoiceStore) -> None:
    record(voices, "a:en", "b:en", "c:en")
    assert intake.judge(ask(voices={"Cai": "a"})).voices == {1: "b", 2: "c", 3: "a"}
    assert intake.judge(ask(voices={"Cai": "a"}, voice="b")).voices == {1: "b", 2: "b", 3: "a"}


@pytest.mark.parametrize(
    ("recorded", "told"),
    [
        ([], r"Line 1, column 1: Speaker 1 \(Ann\), Speaker 2 \(Ben\), Speaker 3 \(Cai\) have no voice: Echo .* there "
         r"are none yet; 3 are missing\. .*`longtake voices add FILE` or POST /v1/audio/voices.*--voice 1=FILE"),
        (["a:zh", "b:en"], r"Line 2, column 1: Speaker 2 \(Ben\) has no .* there are 2 for 3 speakers; 1 is missing"),
    ],
)  # fmt: skip
def test_too_few_recordings_are_an_error_that_counts(
    intake: Intake, voices: VoiceStore, store: JobStore, recorded: list[str], told: str
) -> None:
    record(voices, *recorded)
    assert not intake.judge(ask()).report.is_ok
    with pytest.raises(InputError, match=told) as refused:
        intake.submit(ask())
    assert (refused.value.code, refused.value.param) == ("voice_needed", "voices")
    assert store.jobs() == []


def test_nobody_is_said_to_get_a_voice_that_is_not_there(intake: Intake, voices: VoiceStore) -> None:
    record(voices, "a:en")
    codes = [finding.code for finding in intake.judge(ask(voices={"1": "a"})).report.findings]
    assert codes == ["voice_needed"]


def test_strangers_names_stand_for_recordings_in_turn(intake: Intake, voices: VoiceStore) -> None:
    _, echoing = intake.engines
    assert intake.stand_in(echoing, 0, "en") is None
    record(voices, "c:zh", "b:en", "a:en")
    assert [intake.stand_in(echoing, place, "en") for place in range(4)] == ["a", "b", "c", "a"]
    assert intake.stand_in(echoing, 0, "zh") == "c"


# What the engine says of itself


def test_a_speed_that_cannot_be_is_refused(intake: Intake, voices: VoiceStore) -> None:
    record(voices, "a")
    assert intake.judge(ask("Hello.", speed=1.0)).report.is_ok
    with pytest.raises(InputError, match=r"1\.2.*Echo.*at 1") as refused:
        intake.judge(ask("Hello.", speed=1.2))
    assert (refused.value.code, refused.value.param) == ("invalid_speed", "speed")


def test_passages_are_as_long_as_the_engine_wants_them_for_this_script(intake: Intake, voices: VoiceStore) -> None:
    record(voices, "a:en")
    script = "one two three four five six seven, " * 10
    assert len(intake.judge(ask(script)).passages) == 1
    judged = intake.judge(ask(script, settings={"cap": 50}))
    assert len(judged.passages) >= 7
    assert all(len(p.passage.lines[0].text) <= 50 for p in judged.passages)
    about = registry.about("echo")
    assert isinstance(about, echo.EchoAbout)
    assert about.told is not None
    characters, expected_s, settings = about.told
    assert characters == judged.script.characters
    assert expected_s == pytest.approx(70 * 60 / 150), "of the whole script, before it was cut"
    assert settings == {"cap": 50}


def test_a_cap_never_rises_above_the_hard_one(intake: Intake, voices: VoiceStore) -> None:
    record(voices, "a:en")
    judged = intake.judge(ask("word " * 150, settings={"cap": 900}))
    assert all(len(p.passage.lines[0].text) <= echo.HARD_CAP for p in judged.passages)


def test_settings_are_checked_before_the_cap_is_asked_for(intake: Intake, voices: VoiceStore) -> None:
    record(voices, "a:en")
    with pytest.raises(InputError, match="cap is a number"):
        intake.judge(ask("Hello.", settings={"cap": "x"}))
    with pytest.raises(CapacityError, match="does not fit"):
        intake.judge(ask("Hello.", settings={"cap": 2000}))


# Out


@pytest.mark.parametrize("kind", [Kind.JOB, Kind.SPEECH])
def test_a_voice_that_a_job_needs_stays(
    intake: Intake, voices: VoiceStore, db: Database, store: JobStore, kind: Kind
) -> None:
    record(voices, "ann", "ben")
    job, _ = intake.submit(ask("Hello.", voice="ann"), kind=kind)
    desk = WorkerDesk(db, "w1", "echo", 1)
    with pytest.raises(ConflictError, match=rf"{job.id} \(queued\).*'ann'") as refused:
        intake.recordings.remove("ann")
    assert refused.value.code == "voice_in_use"
    claim = desk.claim()
    assert claim is not None
    with pytest.raises(ConflictError, match="running"):
        intake.recordings.remove("ann")
    intake.recordings.remove("ben")
    desk.commit(claim, [spoken(0)])
    desk.finish(claim, "a", 1)
    intake.recordings.remove("ann")
    assert voices.voices() == ()


def test_probes_and_engines_own_voices_of_that_name_hold_nothing_up(intake: Intake, voices: VoiceStore) -> None:
    record(voices, "de")
    intake.submit(JobRequest("Hello.", voice="de"))
    intake.submit(ask("one"), kind=Kind.PROBE)
    intake.recordings.remove("de")
    with pytest.raises(NotFoundError):
        intake.recordings.remove("de")

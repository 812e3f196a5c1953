"""How a script becomes passages, and how long they are expected to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtake.core.errors import CapacityError
from longtake.engines.base import Loads
from longtake.engines.vibevoice.about import VibeVoiceAbout
from longtake.engines.vibevoice.planning.budget import least_rows, rows_of, step_limit, steps_needed
from longtake.engines.vibevoice.planning.footprint import SIZES, kv_bytes
from longtake.engines.vibevoice.weights.shapes import CONFIGS
from longtake.intake import Intake, JobRequest
from longtake.intake.plan import Room, plan_passages
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.store import JobStore
from longtake.script import Limits, Severity
from longtake.voices import VoiceStore
from tests.support.recordings import voice

TURN = "Speaker {}: This is a turn of a dozen words, more or less, in a row.\n"
PACES = {"en": 150.0, "*": 150.0}


def dialogue(turns: int) -> str:
    return "".join(TURN.format(1 + turn % 2) for turn in range(turns))


@pytest.fixture
def vibevoice(store: JobStore, folder: DataFolder) -> Intake:
    voices = VoiceStore(folder.voices)
    for number in (1, 2):
        voices.add(voice(3.0, pitch_hz=110.0 * number), name=f"v{number}", language="en")
    return Intake(store, folder, voices, ["vibevoice"], Limits(1_000_000, 600.0), loads=Loads("random:7b"))


def test_silence_that_ends_a_script_counts(intake: Intake) -> None:
    script = "Speaker 1: Hi.\n" + "[pause 60s]\n" * 10
    judged = intake.judge(JobRequest(script))
    assert judged.estimate.seconds == pytest.approx(600, abs=2)
    assert [finding.code for finding in judged.report.findings] == ["too_long"]


def test_text_for_one_voice_is_read_as_it_stands(intake: Intake) -> None:
    text = 'Speaker 0: boot\n{"a": 1} is JSON'
    assert not intake.judge(JobRequest(text)).report.is_ok
    judged = intake.judge(JobRequest(text, is_plain=True))
    assert judged.report.is_ok
    assert len(judged.report.speakers) == 1
    assert "Speaker 0: boot" in " ".join(line.text for plan in judged.passages for line in plan.passage.lines)


def test_a_voice_by_another_name_is_not_given_twice(intake: Intake) -> None:
    voices = intake.judge(JobRequest("Speaker 1: Hi.\nSpeaker 2: Ho.", voices={"2": "en"})).voices
    assert voices[2] == "en-us"
    assert voices[1] != "en-us"


def test_what_fits_the_window_is_one_passage(vibevoice: Intake) -> None:
    judged = vibevoice.judge(JobRequest(dialogue(20)))
    assert len(judged.passages) == 1
    assert len(judged.passages[0].passage.lines) == 20


def test_what_does_not_fit_is_cut_between_turns_and_nothing_is_lost(vibevoice: Intake) -> None:
    script = dialogue(1_000)  # more than an hour
    judged = vibevoice.judge(JobRequest(script))
    lines = [line for plan in judged.passages for line in plan.passage.lines]
    assert len(judged.passages) > 10
    assert len(lines) == 1_000
    assert all(plan.estimated_s < 300 for plan in judged.passages)
    asked = vibevoice.judge(JobRequest(dialogue(200), settings={"context": "window"}))
    assert len(asked.passages) > 1


def test_full_context_that_does_not_fit_is_refused_with_the_numbers(vibevoice: Intake) -> None:
    with pytest.raises(CapacityError, match=r"window has 32,768.*--context full"):
        vibevoice.judge(JobRequest(dialogue(1_000), settings={"context": "full"}))


@pytest.mark.parametrize(
    ("script", "context", "is_told"),
    [
        ("Speaker 1: One. [pause] Two. [pause 2s] Three.", "full", True),
        ("Speaker 1: One. [pause] Two. [pause 2s] Three.", "window", False),
        ("Speaker 1: One. [pause] Two. [pause 2s] Three.", None, False),
        ("Speaker 1: One. Two. Three.", "full", False),
    ],
)
def test_pauses_cut_what_was_asked_to_be_in_view_as_a_whole(
    vibevoice: Intake, script: str, context: str | None, is_told: bool
) -> None:
    judged = vibevoice.judge(JobRequest(script, settings={} if context is None else {"context": context}))
    notes = [finding for finding in judged.report.findings if finding.code == "context_cut"]
    assert bool(notes) == is_told
    assert len(judged.passages) == (3 if "pause" in script else 1)
    if is_told:
        assert "into 3 passages" in notes[0].message
        assert "the 2 before it in view" in notes[0].message
        assert notes[0].severity is Severity.NOTE


def test_the_window_is_the_models(store: JobStore, folder: DataFolder, tmp_path: Path) -> None:
    wide = Intake(store, folder, VoiceStore(tmp_path), ["vibevoice"], Limits(1_000_000, 600.0))
    engine = wide.engine(None)
    script = wide.judge(JobRequest(dialogue(700))).script  # 45 minutes
    whole, _ = plan_passages(script, engine, PACES, JobRequest(""), room=Room(Loads("microsoft/VibeVoice-1.5B")))
    cut, _ = plan_passages(script, engine, PACES, JobRequest(""), room=Room(Loads("someone/VibeVoice-7B")))
    assert len(whole) == 1
    assert len(cut) > 5


# Memory


HOUR = dialogue(700)


def with_memory(store: JobStore, folder: DataFolder, budget: int | None, dtype: str = "bf16") -> Intake:
    return Intake(
        store,
        folder,
        VoiceStore(folder.voices),
        ["vibevoice"],
        Limits(1_000_000, 600.0),
        loads=Loads("vibevoice-1.5b", dtype),
        memory_budget=budget,
    )


@pytest.mark.parametrize(("budget", "passages"), [(None, 1), (4 << 30, 1), (1 << 30, 16)])
def test_what_memory_does_not_hold_at_once_is_spoken_passage_by_passage(
    store: JobStore, folder: DataFolder, budget: int | None, passages: int
) -> None:
    judged = with_memory(store, folder, budget).judge(JobRequest(HOUR))
    assert judged.estimate.seconds == pytest.approx(3500, rel=0.05)
    assert len(judged.passages) == pytest.approx(passages, abs=1)
    assert "does_not_fit" not in [finding.code for finding in judged.report.findings]


def test_a_passage_that_can_never_fit_is_refused_with_its_numbers(store: JobStore, folder: DataFolder) -> None:
    intake = with_memory(store, folder, 1 << 30)
    VoiceStore(folder.voices).add(voice(3.0), name="v1", language="en")
    request = JobRequest(HOUR, voice="v1", settings={"context": "full"})
    with pytest.raises(CapacityError) as refused:
        intake.submit(request)
    error = refused.value
    assert error.code == "does_not_fit"
    for words in ("Passage 1 of 1", "GiB of memory", "may hold 1.0 GiB", "leave out --context full", "--memory-budget"):
        assert words in error.message
    assert store.jobs() == []
    assert intake.submit(JobRequest(HOUR, voice="v1"))[1], "passage by passage it fits"
    tight = with_memory(store, folder, 100 << 20)
    with pytest.raises(CapacityError, match=r"may hold 100\.0 MiB"):
        tight.submit(JobRequest(HOUR, voice="v1"))


def test_what_its_worker_has_measured_counts(store: JobStore, db: Database, folder: DataFolder) -> None:
    intake, request = with_memory(store, folder, None), JobRequest(HOUR, settings={"context": "full"})

    def codes() -> list[str]:
        return [finding.code for finding in intake.judge(request).report.findings]

    assert "does_not_fit" not in codes(), "nothing is known before there is a worker"
    desk = WorkerDesk(db, "w1", "vibevoice", 1)
    desk.heartbeat(state="loading", steps=0, active=0)
    assert "does_not_fit" not in codes(), "nor before it has loaded"
    desk.tell_budget(1 << 30)
    desk.heartbeat(state="ready", steps=1, active=0)
    assert "does_not_fit" in codes()
    desk.tell_budget(8 << 30)
    assert "does_not_fit" not in codes()
    other = WorkerDesk(db, "w2", "espeak", 1)
    other.heartbeat(state="ready", steps=1, active=0)
    other.tell_budget(1)
    assert "does_not_fit" not in codes(), "another engine's is its own"


@given(
    st.floats(0.2, 4000),
    st.integers(0, 4 * 450),
    st.integers(1, 30_000),
    st.sampled_from(["fp32", "bf16", "fp16"]),
    st.sampled_from([32_768, 65_536]),
)
def test_what_is_refused_would_never_have_been_admitted(
    expected_s: float, voices: int, text: int, dtype: str, window: int
) -> None:
    """The least is no more than what any request of that passage reserves, whatever its text and its past."""
    limit, needed = step_limit(expected_s), steps_needed(expected_s)
    room = window - voices - text
    if room < needed:
        return  # refused by the window
    real = rows_of(voices + text, 0, min(limit, room)).positions
    assert least_rows(expected_s, voices, window).positions <= real
    config = CONFIGS["1.5b" if window > 40_000 else "7b"]
    name = "vibevoice-1.5b" if window > 40_000 else "vibevoice-7b"
    least = VibeVoiceAbout().least_bytes(expected_s, voices / 7.5, Loads(name, dtype))
    assert least <= kv_bytes(config.decoder, real, SIZES[dtype].model)
    assert VibeVoiceAbout().least_bytes(expected_s, 0.0, Loads("nobody/knows")) == 0

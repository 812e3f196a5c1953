"""From a good request to a queued job, once."""

from __future__ import annotations

from typing import Any

import pytest

from longtake.core.errors import ConflictError, DiskFullError, InputError, QueueFullError
from longtake.intake import Intake, JobRequest
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Kind
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from longtake.script import Limits


def test_the_job_holds_all_that_was_asked(intake: Intake, store: JobStore) -> None:
    request = JobRequest(
        "Alice: Good evening.\nBob: Good evening to you. [pause 2s]",
        voices={"Bob": "en-gb"},
        response_format=" FLAC",
        loudness="podcast",
        speed=1.5,
        seed=42,
        settings={"pitch": 60},
    )
    job, is_new = intake.submit(request, kind=Kind.SPEECH, out_path="/somewhere/a.flac")
    assert is_new
    stored = store.job(job.id)
    assert (stored.state, stored.kind, stored.out_path) == (State.QUEUED, Kind.SPEECH, "/somewhere/a.flac")
    spec = stored.spec
    assert (spec.engine, spec.model, spec.response_format, spec.loudness) == ("espeak", "espeak", "flac", "podcast")
    assert (spec.speed, spec.seed, spec.settings) == (1.5, 42, {"pitch": 60})
    assert spec.voices == {1: "en-us", 2: "en-gb"}
    assert spec.labels == {1: "Alice", 2: "Bob"}
    assert spec.trailing_silence_s == 2.0
    assert store.script(job.id) == request.script
    assert [p.lines[0].text for p, _ in store.passages(job.id)] == ["Good evening.", "Good evening to you."]


def test_the_job_expects_what_was_judged(intake: Intake) -> None:
    request = JobRequest("One two three. Four five six.", speed=0.5)
    job, _ = intake.submit(request)
    judged = intake.judge(request)
    assert job.passages_total == len(judged.passages) == 2
    assert job.estimated_s == pytest.approx(judged.estimate.seconds)


@pytest.mark.parametrize(
    ("script", "title"),
    [
        ("[pause]\nAlice: [pause 1s]  Good   evening.\nBob: No.", "Good evening."),
        ("word " * 12, "word " * 11 + "word"),
        ("word " * 13, "word " * 11 + "word…"),
        ("x" * 61, "x" * 59 + "…"),
    ],
)
def test_a_title_is_found_in_the_script(intake: Intake, script: str, title: str) -> None:
    assert intake.submit(JobRequest(script))[0].spec.title == title
    assert intake.submit(JobRequest(script, title="My show"))[0].spec.title == "My show"


def test_the_same_key_with_the_same_request_is_the_same_job(intake: Intake, store: JobStore) -> None:
    first, is_new = intake.submit(JobRequest("Hello.", seed=1), idempotency_key="k")
    again, is_new_again = intake.submit(JobRequest("Hello.", seed=1), idempotency_key="k")
    assert (is_new, is_new_again, again.id) == (True, False, first.id)
    other, is_new = intake.submit(JobRequest("Hello.", seed=1), idempotency_key="l")
    assert is_new
    assert {job.id for job in store.jobs()} == {first.id, other.id}


def test_the_same_key_is_not_for_another_request(intake: Intake, store: JobStore) -> None:
    intake.submit(JobRequest("Hello."), idempotency_key="k")
    with pytest.raises(ConflictError, match="'k'") as refused:
        intake.submit(JobRequest("Hello!"), idempotency_key="k")
    assert refused.value.code == "idempotency_key_reused"
    assert len(store.jobs()) == 1


def test_without_a_key_twice_is_two(intake: Intake, store: JobStore) -> None:
    for key in (None, None, ""):
        assert intake.submit(JobRequest("Hello."), idempotency_key=key)[1]
    assert len(store.jobs()) == 3


def test_a_full_queue_still_knows_its_keys(intake: Intake) -> None:
    first, _ = intake.submit(JobRequest("Hello."), idempotency_key="k")
    intake.submit(JobRequest("Two."))
    intake.submit(JobRequest("Three."))
    with pytest.raises(QueueFullError):
        intake.submit(JobRequest("Four."))
    assert intake.submit(JobRequest("Hello."), idempotency_key="k") == (first, False)


def test_what_was_accepted_stays_accepted_on_a_full_disk_and_under_smaller_limits(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = intake.submit(JobRequest("Hello, world."), idempotency_key="k")
    monkeypatch.setattr(DataFolder, "free_bytes", lambda self: 0)
    again = intake.submit(JobRequest("Hello, world."), idempotency_key="k", limits=Limits(1, 0.001))
    assert again == (first, False)


def test_the_disk_must_have_room_for_passages_and_file(
    intake: Intake, folder: DataFolder, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = JobRequest("word " * 180, response_format="wav")  # a minute at the built-in pace
    needed = 2 * 60 * 24_000 * 2
    free = needed - 1
    monkeypatch.setattr(DataFolder, "free_bytes", lambda self: free)
    with pytest.raises(DiskFullError, match=r"5\.5 MiB.*--data"):
        intake.submit(request)
    assert store.jobs() == []
    assert intake.judge(request).report.is_ok, "to judge it needs no room"
    free = needed
    assert intake.submit(request)[1]


def test_a_file_that_will_be_smaller_needs_less(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    # A minute of samples, and the file a quarter larger than its bit rate says.
    free = 60 * 24_000 * 2 + round(60 * 1.25 * 64_000 / 8)
    monkeypatch.setattr(DataFolder, "free_bytes", lambda self: free)
    for audio_format, fits in (("opus", True), ("mp3", True), ("flac", False), ("pcm", False)):
        request = JobRequest("word " * 180, response_format=audio_format)
        if fits:
            intake.submit(request, kind=Kind.SPEECH)
        else:
            with pytest.raises(DiskFullError):
                intake.submit(request, kind=Kind.SPEECH)


def test_jobs_that_wait_have_their_room_already(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    request = JobRequest("word " * 180)
    free = 5 << 20  # one needs 3.4 MB, and so would the second
    monkeypatch.setattr(DataFolder, "free_bytes", lambda self: free)
    first, _ = intake.submit(request)
    with pytest.raises(DiskFullError, match="of this job and of the 1 before it"):
        intake.submit(request)
    assert intake.submit(JobRequest("One."), kind=Kind.PROBE)[1], "health may always ask"
    intake._store.cancel(first.id)
    intake._store.cancel(intake.submit(request)[0].id)


def test_the_floor_is_left_free(intake: Intake, folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DataFolder, "free_bytes", lambda self: 10 << 20)
    intake.submit(JobRequest("Hello."))
    folder.floor_bytes = 10 << 20
    with pytest.raises(DiskFullError, match=r"10\.0 MiB must stay free"):
        intake.submit(JobRequest("Hello."))


def test_the_first_error_is_raised_and_warnings_are_not(intake: Intake, store: JobStore) -> None:
    assert intake.submit(JobRequest("Speaker 1: ...\nSpeaker 1: Hello."))[1]
    with pytest.raises(InputError, match="Line 2") as refused:
        intake.submit(JobRequest("Speaker 1: Hi.\nSpeaker 0: Zero.\nSpeaker 0: Zero."))
    assert refused.value.code == "speaker_number"
    assert len(store.jobs()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"script": "Hello!"},
        {"model": "espeak"},
        {"voices": {"1": "en-gb"}},
        {"voice": "en-gb"},
        {"response_format": "wav"},
        {"loudness": "podcast"},
        {"speed": 1.1},
        {"seed": 1},
        {"settings": {"pitch": 1}},
        {"turn_silence_s": 0.5},
        {"sentence_silence_s": 0.5},
        {"title": "T"},
    ],
)
def test_whatever_is_changed_changes_the_fingerprint(change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"script": "Hello."}
    assert JobRequest(**fields).fingerprint() == JobRequest(**fields).fingerprint()
    assert JobRequest(**(fields | change)).fingerprint() != JobRequest(**fields).fingerprint()


def test_the_order_of_voices_does_not_change_the_fingerprint() -> None:
    one, two = {"1": "en-gb", "2": "de"}, {"2": "de", "1": "en-gb"}
    assert JobRequest("x", voices=one).fingerprint() == JobRequest("x", voices=two).fingerprint()


def test_a_replay_is_answered_before_anything_is_judged(intake: Intake, folder: DataFolder) -> None:
    job, _ = intake.submit(JobRequest("Hello."), idempotency_key="k")
    folder.floor_bytes = 1 << 60  # the disk has filled up since
    assert intake.submit(JobRequest("Hello."), idempotency_key="k") == (job, False)

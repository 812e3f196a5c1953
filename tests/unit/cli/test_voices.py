"""``voices add`` and ``remove``, and ``--voice 1=FILE``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from longtake.core.errors import ConflictError, InputError, NotFoundError
from longtake.engines import registry
from longtake.voices import VoiceStore
from tests.support import echo
from tests.support.recordings import voice, write_file
from tests.unit.cli.conftest import Run, StandIn

TWO = "Ann: Hello there.\nBen: Good day.\n"


@pytest.fixture(autouse=True)
def _echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ENGINES", echo.registered())
    registry.about.cache_clear()


@pytest.fixture
def voices(home: Path) -> VoiceStore:
    return VoiceStore(home.parent / "data" / "voices")


@pytest.fixture
def alice(home: Path) -> Path:
    return write_file(home / "en-Alice_woman.wav", voice(3.0))


def listed(run: Run, *options: object) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(run("voices", "--json", "--engine", "echo", *options).stdout)
    return rows


def test_a_recording_is_added_listed_and_removed(run: Run, voices: VoiceStore, alice: Path) -> None:
    assert run("voices", "add", alice.name).stdout == "alice-woman  (Alice woman, en, 3.0 s)\n"
    assert listed(run) == [
        {"id": "alice-woman", "name": "Alice woman", "language": "en", "engine": "echo", "recording_seconds": 3.0}
    ]
    table = run("voices", "--engine", "echo").stdout
    assert re.search(r"^ ?alice-woman +Alice woman +en +echo \(recording, 3\.0 s\)", table, re.MULTILINE)
    assert np.array_equal(voices.recording("alice-woman"), voice(3.0))
    assert run("voices", "remove", "alice-woman").stdout == "alice-woman is removed\n"
    assert listed(run) == []


def test_name_and_language_may_be_given(run: Run, alice: Path) -> None:
    told = json.loads(run("voices", "add", alice, "--name", "Zoë", "--language", "fr", "--json").stdout)
    assert told == {"id": "zoe", "name": "Zoë", "language": "fr", "recording_seconds": 3.0}
    assert [row["id"] for row in listed(run, "--language", "fr")] == ["zoe"]
    assert listed(run, "--language", "en") == []


def test_another_data_folder_is_named_before_or_behind_the_verb(run: Run, alice: Path, home: Path) -> None:
    other = home.parent / "other"
    run("voices", "add", alice, "--data", other)
    assert listed(run) == []
    assert len(listed(run, "--data", other)) == 1
    run("voices", "--data", other, "remove", "alice-woman")
    assert listed(run, "--data", other) == []


def test_a_list_makes_no_folder(run: Run, home: Path) -> None:
    run("voices")
    assert not (home.parent / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "kind", "told"),
    [
        (("add", "no.wav"), InputError, "no.wav cannot be read"),
        (("add", "text.wav"), InputError, "text.wav holds no sound"),
        (("add", "short.wav"), InputError, "at least 2 s"),
        (("add", "en-Alice_woman.wav", "--language", "klingon!"), InputError, "no tag"),
        (("remove", "nobody"), NotFoundError, "nobody"),
        (("remove", "../jobs"), NotFoundError, "jobs"),
        (("remove", "en-us"), NotFoundError, "en-us"),
    ],
)
def test_what_cannot_be_is_2(
    run: Run, home: Path, alice: Path, arguments: tuple[str, ...], kind: type[Exception], told: str
) -> None:
    (home / "text.wav").write_text("no sound")
    write_file(home / "short.wav", voice(1.0))
    error = run("voices", *arguments, code=2).exception
    assert isinstance(error, kind)
    assert told in str(error)


def test_a_taken_name_is_refused_and_says_so(run: Run, home: Path, alice: Path) -> None:
    run("voices", "add", alice)
    run("voices", "add", alice)
    other = write_file(home / "b.wav", voice(4.0))
    assert isinstance(run("voices", "add", other, "--name", "alice woman", code=2).exception, ConflictError)


# say


def test_a_file_is_a_voice_for_say(run: Run, home: Path, alice: Path, stand_in: StandIn) -> None:
    (home / "b").mkdir()
    namesake = write_file(home / "b" / "en-Alice_woman.mp3", voice(4.0))
    for _ in range(2):
        run(
            *("say", "-", "-o", "a.mp3", "--engine", "echo", "--voice", f"Ann={alice}", "--voice", f"2={namesake}"),
            stdin=TWO,
        )
    assert [job.spec.voices for job in stand_in.jobs] == [{1: "alice-woman", 2: "alice-woman-2"}] * 2
    assert [row["id"] for row in listed(run)] == ["alice-woman", "alice-woman-2"]


def test_a_voice_goes_before_a_file_of_the_same_name(run: Run, home: Path, stand_in: StandIn) -> None:
    write_file(home / "alice.wav", voice(3.0)).rename(home / "ann")
    run("voices", "add", write_file(home / "x.wav", voice(5.0)), "--name", "ann")
    said = ("say", "-", "-o", "a.mp3", "--engine", "echo", "--voice")
    run(*said, "1=ann", stdin="Hello.")
    run(*said, "1=./ann", stdin="Hello.")
    assert [job.spec.voices[1] for job in stand_in.jobs] == ["ann", "ann-2"]
    run("say", "-", "-o", "a.mp3", "--voice", "1=de", stdin="Hello.")
    assert stand_in.jobs[-1].spec.voices == {1: "de"}


def test_recordings_are_given_to_whom_nobody_gave_one(run: Run, home: Path, alice: Path, stand_in: StandIn) -> None:
    run("voices", "add", alice)
    error = run("say", "-", "-o", "a.mp3", "--engine", "echo", stdin=TWO, code=2).exception
    assert "1 is missing" in str(error)
    run("voices", "add", write_file(home / "ben.wav", voice(4.0)))
    run("say", "-", "-o", "a.mp3", "--engine", "echo", stdin=TWO)
    assert stand_in.jobs[-1].spec.voices == {1: "alice-woman", 2: "ben"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--engine", "espeak", "--voice", "1=en-Alice_woman.wav"), "speaks with voices of its own"),
        (("--engine", "echo", "--voice", "1=text.wav"), "text.wav holds no sound"),
        (("--engine", "echo", "--voice", "1=no.wav"), "no voice “no.wav”"),
        (("--engine", "echo", "--voice", "1=/"), "no voice “/”"),
        (("--engine", "echo", "--voice", "1=en-Alice_woman.wav", "--speed", "2"), "at 1"),
    ],
)
def test_a_file_that_is_no_voice_is_2(
    run: Run, home: Path, alice: Path, stand_in: StandIn, options: tuple[str, ...], told: str
) -> None:
    (home / "text.wav").write_text("no sound")
    assert told in str(run("say", "-", "-o", "a.mp3", *options, stdin="Hello.", code=2).exception)
    assert stand_in.jobs == []


def test_lint_keeps_no_file(run: Run, voices: VoiceStore, alice: Path) -> None:
    asked = ("lint", "-", "--engine", "echo", "--voice", f"1={alice}")
    assert "longtake voices add" in str(run(*asked, stdin="Hello.", code=2).exception)
    assert voices.voices() == ()
    run("voices", "add", alice)
    assert "alice-woman" in run(*asked, stdin="Hello.").stdout

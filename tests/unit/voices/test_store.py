"""One voice, two files; whole or not at all, whoever else writes and whatever a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from longtake.core.disk import commit_file
from longtake.core.errors import ConflictError, DiskFullError, InputError, NotFoundError
from longtake.voices import VoiceStore, is_voice_id, to_voice_id
from longtake.voices import store as room
from tests.support.clock import HandClock
from tests.support.recordings import RATE_HZ, voice


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "voices"


@pytest.fixture
def store(folder: Path) -> VoiceStore:
    return VoiceStore(folder, clock=HandClock())


ALICE, BOB = voice(3.0), voice(4.0, pitch_hz=110)


def test_what_was_added_is_there_for_everyone(store: VoiceStore, folder: Path) -> None:
    alice = store.add(ALICE, name=" Alice ", language="en")
    assert (alice.id, alice.name, alice.language, alice.seconds) == ("alice", "Alice", "en", 3.0)
    other = VoiceStore(folder)
    assert other.find("alice") == alice
    assert other.voices() == (alice,)
    assert other.samples("alice") == ALICE.size
    pcm = other.recording("alice")
    assert (pcm.dtype, np.array_equal(pcm, ALICE)) == (np.int16, True)
    shown = alice.to_voice("vibevoice")
    assert (shown.id, shown.engine, shown.recording_s) == ("alice", "vibevoice", 3.0)


def test_the_files_are_a_plain_wav_and_a_plain_json(store: VoiceStore, folder: Path) -> None:
    added = store.add(ALICE, name="Alice", language="en")
    with wave.open(str(folder / "alice.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
        assert file.getnframes() == ALICE.size
    told = json.loads((folder / "alice.json").read_text())
    assert set(told) == {"id", "name", "language", "sha256", "seconds", "added_at"}
    assert told["added_at"] == added.added_at
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "alice.json", "alice.wav"]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_an_empty_store_has_nothing_and_makes_nothing(store: VoiceStore, folder: Path) -> None:
    assert store.voices() == ()
    assert store.find("alice") is None
    assert store.find_samples(ALICE) is None
    assert not folder.exists()


def test_a_worker_reads_it_with_numpy_alone() -> None:
    code = "import sys, longtake.voices; print(*{'av', 'pydantic', 'click', 'sqlite3', 'fastapi'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# Ids


@pytest.mark.parametrize(
    ("name", "voice_id"),
    [
        ("Alice", "alice"),
        ("Zoë O'Hara (studio, 2nd take)", "zoe-ohara-studio-2nd-take"),
        ("博文", "博文"),
        ("ビル ゲイツ", "ビル-ゲイツ"),
        ("박서준", "박서준"),
        ("Ａｌｉｃｅ", "alice"),
        ("../../etc/passwd", "etc-passwd"),
        ("-rf", "rf"),
        ("İstanbul", "istanbul"),
        ("x" * 100, "x" * 48),
    ],
)
def test_an_id_is_made_of_the_name(store: VoiceStore, folder: Path, name: str, voice_id: str) -> None:
    assert to_voice_id(name) == voice_id
    assert is_voice_id(voice_id)
    assert store.add(ALICE, name=name, language="en").id == voice_id
    assert store.find(voice_id) is not None
    assert {path.parent for path in folder.rglob("*.wav")} == {folder}


def test_a_name_that_leaves_nothing_gets_an_id_of_its_samples(store: VoiceStore) -> None:
    anna = store.add(ALICE, name="Анна", language="ru")
    assert anna.id == f"voice-{anna.sha256[:8]}"
    assert store.add(BOB, name="Борис", language="ru").id != anna.id


@pytest.mark.parametrize(
    "text", ["", "../alice", "a/b", "a.b", "a\0", "Alice", "-a", "a b", "a\n", ".", "..", "x" * 65, "é", "a\\b", "~"]
)
def test_what_is_no_id_is_never_looked_for(store: VoiceStore, folder: Path, text: str) -> None:
    store.add(ALICE, name="Alice", language="en")
    for suffix in (".wav", ".json"):  # one outside, which says that it is what was asked for
        data = (folder / f"alice{suffix}").read_bytes()
        (folder.parent / f"alice{suffix}").write_bytes(data.replace(b'"alice"', b'"../alice"'))
    assert not is_voice_id(text)
    assert store.find(text) is None
    for ask in (store.remove, store.samples, store.recording):
        with pytest.raises(NotFoundError) as refused:
            ask(text)
        assert refused.value.code == "unknown_voice"


@pytest.mark.parametrize("name", ["", "  ", "a" * 101, "a\nb", "\x1b[2J", "a\u202eb"])
def test_names_that_cannot_be_shown_are_refused(store: VoiceStore, name: str) -> None:
    with pytest.raises(InputError) as refused:
        store.add(ALICE, name=name, language="en")
    assert (refused.value.code, refused.value.param) == ("invalid_name", "name")


@pytest.mark.parametrize("language", ["", "english", "e", "en_US", "en-", "../x", "12"])
def test_languages_that_are_none_are_refused(store: VoiceStore, language: str) -> None:
    with pytest.raises(InputError) as refused:
        store.add(ALICE, name="Alice", language=language)
    assert refused.value.param == "language"


# Twice


def test_the_same_samples_under_the_same_name_are_the_same_voice(store: VoiceStore, folder: Path) -> None:
    first = store.add(ALICE, name="Alice", language="en")
    assert store.add(ALICE, name="alice", language="zh") == first
    assert len(list(folder.glob("*.wav"))) == 1


def test_another_recording_under_a_taken_name_is_refused(store: VoiceStore) -> None:
    store.add(ALICE, name="Alice", language="en")
    with pytest.raises(ConflictError, match=r"'alice' already.* 3\.0 s.*another name") as refused:
        store.add(BOB, name="ALICE", language="en")
    assert (refused.value.code, refused.value.param) == ("voice_exists", "name")
    assert np.array_equal(store.recording("alice"), ALICE)


def test_who_takes_any_id_gets_a_number(store: VoiceStore) -> None:
    added = [store.add(voice(2.0 + i), name="Alice", language="en", is_renumbered=True) for i in range(3)]
    assert [each.id for each in added] == ["alice", "alice-2", "alice-3"]
    assert store.add(voice(3.0), name="Alice", language="en", is_renumbered=True) == added[1]
    assert store.find_samples(voice(4.0)) == added[2]


def test_the_same_samples_under_two_names_are_two_voices(store: VoiceStore) -> None:
    ids = [store.add(ALICE, name=name, language="en").id for name in ("Carol", "bob", "Alice")]
    assert ids == ["carol", "bob", "alice"]
    assert [each.id for each in store.voices()] == ["alice", "bob", "carol"]


# Samples


@pytest.mark.parametrize(
    ("pcm", "code", "told"),
    [
        (voice(1.9), "recording_too_short", r"1\.9 s.*at least 2 s.*Record more"),
        (np.zeros(0, np.int16), "recording_too_short", r"0\.0 s"),
        (voice(60.1), "recording_too_long", r"60\.1 s.*limit is 60 s.*Cut"),
        (np.zeros(5 * RATE_HZ, np.int16), "recording_silent", r"0\.0 s.*-50 dBFS.*microphone"),
        (voice(5.0) // 200, "recording_silent", r"silent"),
    ],
)
def test_what_is_no_good_to_speak_with_is_refused(
    store: VoiceStore, folder: Path, pcm: np.ndarray, code: str, told: str
) -> None:
    with pytest.raises(InputError, match=told) as refused:
        store.add(pcm, name="Alice", language="en")
    assert (refused.value.code, refused.value.param) == (code, "file")
    assert not folder.exists()


def test_a_click_in_silence_is_no_speech(store: VoiceStore) -> None:
    pcm = np.zeros(5 * RATE_HZ, np.int16)
    pcm[RATE_HZ : RATE_HZ + 500] = 30_000
    with pytest.raises(InputError, match="silent"):
        store.add(pcm, name="Click", language="en")


def test_the_borders_themselves_and_a_quiet_voice_with_pauses_are_good(store: VoiceStore) -> None:
    quiet = voice(20.0) // 12
    quiet[2 * RATE_HZ :] = 0
    for name, pcm in (("short", voice(2.0)), ("long", voice(60.0)), ("quiet", quiet)):
        assert store.add(pcm, name=name, language="und").id == name


# Removing, damage, crashes


def test_what_was_removed_is_gone_and_its_name_is_free(store: VoiceStore, folder: Path) -> None:
    store.add(ALICE, name="Alice", language="en")
    store.remove("alice")
    assert store.voices() == ()
    assert sorted(path.name for path in folder.iterdir()) == [".lock"]
    with pytest.raises(NotFoundError, match="alice"):
        store.remove("alice")
    store.add(BOB, name="Alice", language="en")
    assert np.array_equal(store.recording("alice"), BOB)


@pytest.mark.parametrize(
    ("commits", "left"),
    [(0, {"alice.wav.tmp"}), (1, {"alice.wav", "alice.json.tmp"})],
    ids=["before the wav is in place", "before the json is in place"],
)
def test_a_crash_in_the_middle_leaves_no_voice_and_the_next_change_sweeps(
    store: VoiceStore, folder: Path, monkeypatch: pytest.MonkeyPatch, commits: int, left: set[str]
) -> None:
    store.add(BOB, name="Bob", language="en")
    done: list[Path] = []

    def commit_or_die(tmp: Path, final: Path) -> None:
        if len(done) == commits:
            raise KeyboardInterrupt
        commit_file(tmp, final)
        done.append(final)

    monkeypatch.setattr(room, "commit_file", commit_or_die)
    with pytest.raises(KeyboardInterrupt):
        store.add(ALICE, name="Alice", language="en")
    assert {path.name for path in folder.glob("alice*")} == left
    assert [each.id for each in store.voices()] == ["bob"]
    assert store.find("alice") is None
    store.remove("bob")
    assert sorted(path.name for path in folder.iterdir()) == [".lock"]


def test_a_voice_whose_files_are_damaged(store: VoiceStore, folder: Path) -> None:
    for name, pcm in (("Alice", ALICE), ("Bob", BOB), ("Carol", voice(5.0))):
        store.add(pcm, name=name, language="en")
    (folder / "alice.json").write_text("{")
    (folder / "bob.wav").unlink()
    data = bytearray((folder / "carol.wav").read_bytes())
    data[5000] ^= 1
    (folder / "carol.wav").write_bytes(data)

    assert [each.id for each in store.voices()] == ["carol"], "the others are left out, and the list still stands"
    with pytest.raises(InputError, match=r"'carol' is damaged.*add it again") as refused:
        store.recording("carol")
    assert refused.value.code == "recording_damaged"
    assert store.add(ALICE, name="Alice", language="en").id == "alice", "it can be added again"
    assert np.array_equal(store.recording("alice"), ALICE)
    (folder / "carol.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match="damaged"):
        store.recording("carol")


def test_a_full_disk_is_told(store: VoiceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DiskFullError):
        store.add(ALICE, name="Alice", language="en")
    assert store.voices() == ()


def test_many_at_once_lose_nothing(folder: Path) -> None:
    """Threads with a store each, as processes have: ten names, two recordings each, and everyone else sweeps."""
    outcomes: list[str] = []

    def add(number: int) -> None:
        try:
            VoiceStore(folder).add(voice(2.0 + number % 2), name=f"v{number // 2}", language="en")
            outcomes.append("added")
        except ConflictError:
            outcomes.append("refused")

    threads = [threading.Thread(target=add, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["added"] * 10 + ["refused"] * 10
    store = VoiceStore(folder)
    assert len(store.voices()) == 10
    assert all(store.recording(each.id).size == store.samples(each.id) for each in store.voices())

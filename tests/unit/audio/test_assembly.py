from __future__ import annotations

import errno
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from longtake.audio.assembly import Assembly
from longtake.audio.behind import NICENESS
from longtake.audio.formats import AudioFormat, Pcm
from longtake.audio.loudness import Loudness
from longtake.audio.pcmfile import commit_file, read_samples, write_stretch
from longtake.audio.probe import decode_mono, measure
from longtake.core.errors import DiskFullError
from tests.unit.audio.signals import RATE_HZ, chunked, speech

PASSAGES: list[tuple[float, Pcm]] = [
    (0.0, speech(3.1, level_db=-30)),
    (0.35, speech(2.7, level_db=-22, pitch_hz=210, seed=1)),
    (1.2, speech(0.004)),
    (0.0, speech(1.9, level_db=-28, seed=2)),
]
SAMPLES = sum(round(s * RATE_HZ) + p.size for s, p in PASSAGES)


def until(condition: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return condition()


def rest(part: Path) -> None:
    """Wait until it grows no more."""
    sizes = [-1]
    while len(sizes) < 3 or sizes[-1] != sizes[-3]:
        sizes.append(part.stat().st_size)
        time.sleep(0.05)


def sha_after(part: Path, audio_format: AudioFormat, loudness: Loudness, sizes: list[int]) -> str:
    assembly = Assembly(part, audio_format, loudness)
    for silence_s, pcm in PASSAGES:
        assembly.add(silence_s, chunked(pcm, sizes))
    done = assembly.finish()
    data = part.read_bytes()
    assert (done.path, done.samples, done.size_bytes) == (part, SAMPLES, len(data))
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("audio_format", AudioFormat)
@pytest.mark.parametrize("loudness", Loudness)
def test_the_same_passages_make_the_same_bytes(audio_format: AudioFormat, loudness: Loudness, tmp_path: Path) -> None:
    part = tmp_path / f"a{audio_format.suffix}"
    whole = sha_after(part, audio_format, loudness, [10**6])
    assert measure(part).seconds == pytest.approx(SAMPLES / RATE_HZ, abs=0.15)
    # A crash half-way, then once more from the start over what was left behind.
    crashed = Assembly(part, audio_format, loudness)
    crashed.add(0.1, [PASSAGES[1][1]])
    crashed.abort(keep=True)
    assert part.exists()
    assert sha_after(part, audio_format, loudness, [1, 777, 31_000]) == whole
    assert sha_after(part, audio_format, loudness, [2400]) == whole


def test_the_file_holds_every_passage_at_its_place(tmp_path: Path) -> None:
    part = tmp_path / "a.wav"
    assembly = Assembly(part, AudioFormat.WAV, Loudness.OFF)
    for silence_s, pcm in PASSAGES:
        assembly.add(silence_s, [pcm])
    assembly.finish()
    heard = np.rint(np.concatenate([b for _, b in decode_mono(part)]) * 32768).astype(np.int16)
    for start, (_, pcm) in zip(assembly.passage_starts, PASSAGES, strict=True):
        fade = min(120, pcm.size // 2)
        np.testing.assert_array_equal(heard[start + fade : start + pcm.size - fade], pcm[fade : pcm.size - fade])
    assert not heard[assembly.passage_starts[1] - 8000 : assembly.passage_starts[1]].any()


@pytest.mark.parametrize("loudness", [Loudness.OFF, Loudness.PODCAST])
@pytest.mark.parametrize("audio_format", AudioFormat)
def test_readers_hear_what_is_said_to_be_written(audio_format: AudioFormat, loudness: Loudness, tmp_path: Path) -> None:
    part, copy = tmp_path / "a.part", tmp_path / f"copy{audio_format.suffix}"
    said = []
    with Assembly(part, audio_format, loudness) as assembly:
        for _ in range(4):
            assembly.add(0.2, [speech(3)])
            rest(part)  # where a packet is being written, the file ends in the middle of it
            said.append(assembly.written_seconds)
            copy.write_bytes(part.read_bytes())
            if said[-1] > 0:
                assert said[-1] <= measure(copy).seconds + 0.06
        most_s = 4 * 3.2 - (1.2 if audio_format is AudioFormat.OPUS else 0.25) - (0 if loudness == "off" else 4)
        assert until(lambda: assembly.written_seconds > most_s)  # though nothing more is added
    assert said == sorted(said)
    assert part.exists()  # left without `finish`: the part stays for its readers


def test_a_long_passage_is_heard_while_it_is_added(tmp_path: Path) -> None:
    part = tmp_path / "a.part"
    assembly = Assembly(part, AudioFormat.MP3, Loudness.OFF)
    sizes = []

    def chunks() -> object:
        for _ in range(40):
            sizes.append(part.stat().st_size)
            yield speech(1)

    assembly.add(0, chunks())  # type: ignore[arg-type]
    assembly.finish()
    assert sizes[20] >= 14 * 64_000 / 8


def test_abort_removes_the_part_and_finish_keeps_it(tmp_path: Path) -> None:
    part = tmp_path / "a.part"
    assembly = Assembly(part, AudioFormat.MP3, Loudness.PODCAST)
    assembly.add(0, [speech(5)])
    assembly.abort()
    assembly.abort()
    assert not part.exists()
    with Assembly(part, AudioFormat.MP3, Loudness.PODCAST) as assembly:
        assembly.add(0, [speech(5)])
        done = assembly.finish()
    commit_file(done.path, tmp_path / "a.mp3")
    assert measure(tmp_path / "a.mp3").integrated_lufs == pytest.approx(-16, abs=0.5)


def test_passages_from_disk(tmp_path: Path) -> None:
    written = [write_stretch(tmp_path / f"{i}.pcm", [pcm]) for i, (_, pcm) in enumerate(PASSAGES)]
    part = tmp_path / "a.part"
    assembly = Assembly(part, AudioFormat.FLAC, Loudness.AUDIOBOOK)
    for passage, (silence_s, _) in zip(written, PASSAGES, strict=True):
        assembly.add(silence_s, read_samples(passage.path, passage.samples, 5000))
    assembly.finish()
    from_disk = part.read_bytes()
    sha_after(part, AudioFormat.FLAC, Loudness.AUDIOBOOK, [10**6])
    assert part.read_bytes() == from_disk


def test_a_full_disk_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assembly = Assembly(tmp_path / "a.part", AudioFormat.MP3, Loudness.OFF)
    assembly.add(0, [speech(1)])
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match=str(tmp_path)):
        assembly.finish()


def test_a_disk_that_fills_while_it_is_encoded(tmp_path: Path) -> None:
    """The thread that encodes finds out; the one that adds is told, and is never left waiting."""
    device = Path("/dev/full")
    if not device.exists():
        pytest.skip("there is no /dev/full")
    before = threading.active_count()
    assembly = Assembly(device, AudioFormat.PCM, Loudness.OFF)

    def add_much() -> None:
        for _ in range(60):
            assembly.add(0, [speech(1)])
        assembly.finish()

    with pytest.raises(DiskFullError, match="The folder /dev has no room"):
        add_much()
    assembly.abort(keep=True)
    assert threading.active_count() == before


def test_what_was_added_is_kept_for_readers_though_it_is_aborted_at_once(tmp_path: Path) -> None:
    part = tmp_path / "a.part"
    assembly = Assembly(part, AudioFormat.PCM, Loudness.OFF)
    assembly.add(0, [speech(9)])
    assembly.abort(keep=True)
    assert part.stat().st_size > 8.9 * RATE_HZ * 2


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no niceness of their own")
def test_encoding_steps_back_behind_everything_else(tmp_path: Path) -> None:
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assembly = Assembly(tmp_path / "a.part", AudioFormat.PCM, Loudness.OFF)
    assembly.add(0, [speech(2)])
    [encoder] = [thread.native_id for thread in threading.enumerate() if thread.name == "encoder"]
    assert encoder is not None
    assert until(lambda: os.getpriority(os.PRIO_PROCESS, encoder) == min(own + NICENESS, 19))
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own
    assembly.finish()

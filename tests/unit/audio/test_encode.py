"""Encoded files: decoded back, read while they grow, cut differently, broken by the disk."""

from __future__ import annotations

import errno
import io
import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from longtake.audio.encode import Encoder
from longtake.audio.formats import AudioFormat, Pcm
from longtake.audio.probe import decode_mono, measure
from longtake.core.errors import DiskFullError, InvariantError, WorkerError
from tests.unit.audio.signals import RATE_HZ, chunked, speech

APPEND_ONLY = [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.AAC, AudioFormat.PCM]
LOSSLESS = [AudioFormat.WAV, AudioFormat.FLAC, AudioFormat.PCM]


def encoded(pcm: Pcm, audio_format: AudioFormat, sizes: list[int]) -> bytes:
    file = io.BytesIO()
    with Encoder(file, audio_format) as encoder:
        for chunk in chunked(pcm, sizes):
            encoder.write(chunk)
    return file.getvalue()


def decoded(path: Path) -> NDArray[np.float64]:
    """At 24 kHz, float."""
    blocks = list(decode_mono(path))
    whole = np.concatenate([block for _, block in blocks]).astype(np.float64)
    return whole[:: blocks[0][0] // RATE_HZ]


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_a_file_decodes_to_what_was_fed(audio_format: AudioFormat, tmp_path: Path) -> None:
    pcm = speech(12.34)
    path = tmp_path / f"a{audio_format.suffix}"
    with Encoder(path, audio_format) as encoder:
        encoder.write(pcm)
    assert encoder.samples == pcm.size
    assert encoder.visible_seconds == pcm.size / RATE_HZ

    fed = pcm / 32768
    heard = decoded(path)
    if audio_format in LOSSLESS:
        np.testing.assert_array_equal(heard, fed)
        return
    assert 0 <= measure(path).seconds - 12.34 < 0.15  # the encoder's run-in and its last, filled frame
    size = 1 << 19
    match = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(fed, size)))
    delay = int(np.argmax(match[:4000]))
    heard = heard[delay : delay + fed.size]
    assert heard.size >= 0.99 * fed.size
    fed = fed[: heard.size]
    assert 10 * np.log10(np.sum(fed**2) / np.sum((heard - fed) ** 2)) > 12  # dB
    assert abs(10 * np.log10(np.sum(heard**2) / np.sum(fed**2))) < 0.15  # dB: LAME alone would take 0.45


def test_compressed_files_have_their_stated_bit_rate(tmp_path: Path) -> None:
    pcm = speech(30)
    sizes = {f: len(encoded(pcm, f, [RATE_HZ])) * 8 / 30 / 1000 for f in APPEND_ONLY}
    assert sizes[AudioFormat.MP3] == pytest.approx(64, rel=0.01)
    assert sizes[AudioFormat.AAC] == pytest.approx(64, rel=0.35)
    assert sizes[AudioFormat.OPUS] == pytest.approx(32, rel=0.35)


@pytest.mark.parametrize("audio_format", AudioFormat)
@settings(max_examples=6, deadline=None)
@given(sizes=st.lists(st.integers(1, 60_000), min_size=1, max_size=6).filter(lambda s: sum(s) > 200 * len(s)))
def test_bytes_do_not_depend_on_chunks(audio_format: AudioFormat, sizes: list[int]) -> None:
    pcm = speech(3.21)
    assert encoded(pcm, audio_format, sizes) == encoded(pcm, audio_format, [pcm.size])


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_flushing_in_between_changes_no_byte(audio_format: AudioFormat) -> None:
    pcm = speech(3.21)
    file = io.BytesIO()
    with Encoder(file, audio_format) as encoder:
        for chunk in chunked(pcm, [777, 5001]):
            encoder.write(chunk)
            encoder.flush()
    assert file.getvalue() == encoded(pcm, audio_format, [pcm.size])


def test_a_reused_chunk_buffer_does_no_harm() -> None:
    pcm = speech(2)
    buffer = np.empty(100, np.int16)
    file = io.BytesIO()
    with Encoder(file, AudioFormat.PCM) as encoder:
        for start in range(0, pcm.size, 100):
            buffer[:] = pcm[start : start + 100]
            encoder.write(buffer)
    assert file.getvalue() == pcm.tobytes()


@pytest.mark.parametrize("audio_format", APPEND_ONLY)
def test_written_bytes_never_change(audio_format: AudioFormat, tmp_path: Path) -> None:
    path = tmp_path / "a"
    seen = []
    with Encoder(path, audio_format) as encoder:
        for chunk in chunked(speech(8), [RATE_HZ]):
            encoder.write(chunk)
            encoder.flush()
            seen.append(path.read_bytes())
    final = path.read_bytes()
    assert all(final.startswith(early) for early in seen)
    assert len(set(seen)) > 4


@pytest.mark.parametrize("seconds", [3.05, 7.3, 7.5])
@pytest.mark.parametrize("audio_format", AudioFormat)
def test_a_reader_hears_the_growing_file(audio_format: AudioFormat, seconds: float, tmp_path: Path) -> None:
    path, copy = tmp_path / f"a{audio_format.suffix}", tmp_path / f"copy{audio_format.suffix}"
    encoder = Encoder(path, audio_format)
    assert encoder.visible_seconds == 0
    for chunk in chunked(speech(seconds), [9_001]):
        encoder.write(chunk)
    encoder.flush()
    copy.write_bytes(path.read_bytes())
    encoder.abort()
    heard_s = measure(copy).seconds
    assert encoder.visible_seconds <= heard_s + 0.06  # the run-in of a lossy codec
    assert encoder.visible_seconds > seconds - (1.1 if audio_format is AudioFormat.OPUS else 0.25)
    assert heard_s <= seconds + 0.1


def test_opus_gives_audio_after_a_second(tmp_path: Path) -> None:
    file = io.BytesIO()
    encoder = Encoder(file, AudioFormat.OPUS)
    sizes = []
    for chunk in chunked(speech(5), [RATE_HZ]):
        encoder.write(chunk)
        encoder.flush()
        sizes.append(len(file.getvalue()))
    encoder.abort()
    assert all(later > earlier + 1000 for earlier, later in itertools.pairwise(sizes))


def test_a_growing_wav_says_that_its_length_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    encoder = Encoder(path, AudioFormat.WAV)
    encoder.flush()
    header = path.read_bytes()
    assert header[:8] == b"RIFF\xff\xff\xff\xff"
    assert header[-8:] == b"data\xff\xff\xff\xff"
    encoder.close()
    assert path.read_bytes()[-4:] == b"\0\0\0\0"


class HeaderOnly(io.RawIOBase):
    """Keeps the first bytes of a huge file and forgets the rest."""

    def __init__(self) -> None:
        self.header = bytearray(200)
        self.position = self.end = 0

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.position < len(self.header):
            kept = bytes(data[: len(self.header) - self.position])
            self.header[self.position : self.position + len(kept)] = kept
        self.position += len(data)
        self.end = max(self.end, self.position)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = offset + (0, self.position, self.end)[whence]
        return self.position

    def tell(self) -> int:
        return self.position


@pytest.mark.slow  # 5 s
def test_a_wav_beyond_4_gib_becomes_rf64() -> None:
    file = HeaderOnly()
    silence = np.zeros(1 << 22, np.int16)
    blocks = (1 << 32) // silence.nbytes + 1
    with Encoder(file, AudioFormat.WAV) as encoder:  # type: ignore[arg-type]
        for _ in range(blocks):
            encoder.write(silence)
    data_bytes = blocks * silence.nbytes
    header = bytes(file.header)
    assert header[:4] == b"RF64"
    assert header[12:16] == b"ds64"
    assert int.from_bytes(header[20:28], "little") == file.end - 8
    assert int.from_bytes(header[28:36], "little") == data_bytes
    assert int.from_bytes(header[36:44], "little") == blocks * silence.size


def test_nothing_names_a_version_or_a_stream() -> None:
    pcm = speech(1.5)
    for audio_format in AudioFormat:
        # (LAME fills spare bits with its own version, which belongs to its output.)
        assert not any(name in encoded(pcm, audio_format, [RATE_HZ]) for name in (b"Lavf6", b"Lavc6", b"libopus "))
    assert encoded(pcm, AudioFormat.OPUS, [RATE_HZ])[14:18] == b"\0\0\0\0"  # serial number, random by default


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_no_samples_make_a_file_all_the_same(audio_format: AudioFormat) -> None:
    assert encoded(np.empty(0, np.int16), audio_format, [1]) == encoded(np.empty(0, np.int16), audio_format, [2])


class Failing(io.BytesIO):
    """A file that breaks after some bytes."""

    def __init__(self, code: int, room_bytes: int) -> None:
        super().__init__()
        self.name = "/data/jobs/j1/audio.part"
        self._code = code
        self._room_bytes = room_bytes

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(data) > self._room_bytes:
            raise OSError(self._code, os.strerror(self._code))
        return super().write(data)


@pytest.mark.parametrize("audio_format", AudioFormat)
@pytest.mark.parametrize("room_bytes", [0, 30_000])
def test_a_full_disk_is_named_with_its_folder(audio_format: AudioFormat, room_bytes: int) -> None:
    def write_all() -> None:
        with Encoder(Failing(errno.ENOSPC, room_bytes), audio_format) as encoder:
            for chunk in chunked(speech(20), [RATE_HZ]):
                encoder.write(chunk)

    with pytest.raises(DiskFullError, match=r"/data/jobs/j1 has no room"):
        write_all()


def test_other_io_errors_end_the_worker() -> None:
    with pytest.raises(WorkerError, match="Input/output error"), Encoder(Failing(errno.EIO, 500), AudioFormat.WAV) as e:
        e.write(speech(3))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("audio_format", APPEND_ONLY)
def test_a_really_full_device(audio_format: AudioFormat) -> None:
    encoder = Encoder(Path("/dev/full"), audio_format)
    encoder.write(speech(2))
    with pytest.raises(DiskFullError):
        encoder.flush()
    encoder.abort()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="No such file"):
        Encoder(tmp_path / "no" / "a.mp3", AudioFormat.MP3)


def test_misuse_is_refused(tmp_path: Path) -> None:
    encoder = Encoder(io.BytesIO(), AudioFormat.WAV)
    with pytest.raises(InvariantError, match="float64"):
        encoder.write(np.zeros(3))  # type: ignore[arg-type]
    encoder.close()
    with pytest.raises(InvariantError, match="closed"):
        encoder.write(np.zeros(3, np.int16))
    encoder.abort()


def test_python_adds_little_to_the_codec() -> None:
    """An hour as MP3 is a matter of seconds; here without the codec, so that only our own work is timed."""
    pcm = speech(60)
    begin = time.process_time()
    for _ in range(5):
        encoded(pcm, AudioFormat.PCM, [2400])
    assert (time.process_time() - begin) / 5 < 0.3  # 60 s of audio in chunks of 100 ms; measured 0.01 s

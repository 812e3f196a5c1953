"""Sound files of every kind that users have, and files that are none."""

from __future__ import annotations

import re
import struct
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from longtake.audio import read_recording
from longtake.audio import recording as room
from longtake.core.errors import InputError
from tests.support.recordings import CODECS, RATE_HZ, voice, write_file


def test_what_is_a_24_khz_wav_already_comes_back_bit_by_bit(tmp_path: Path) -> None:
    pcm = voice(2.5)
    pcm[:3] = (-32768, 32767, -1)
    read = read_recording(write_file(tmp_path / "a.wav", pcm), name="a.wav")
    assert np.array_equal(read.pcm, pcm)
    assert (read.pcm.dtype, read.source_rate_hz, read.channels) == (np.int16, RATE_HZ, 1)


@pytest.mark.parametrize("suffix", CODECS)
def test_every_kind_of_file_from_disk_and_from_memory(tmp_path: Path, suffix: str) -> None:
    pcm = voice(3.0)
    path = write_file(tmp_path / f"a{suffix}", pcm)
    read = read_recording(path, name=path.name)
    assert read.pcm.size / RATE_HZ == pytest.approx(3.0, abs=0.1)
    assert np.array_equal(read_recording(path.read_bytes(), name="x").pcm, read.pcm)
    # It sounds the same: energy where it was, at the pitch that it had.
    assert _level(read.pcm) == pytest.approx(_level(pcm), rel=0.1)
    assert _pitch_hz(read.pcm) == pytest.approx(140, abs=2)


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100, 48_000, 96_000])
def test_every_rate_is_brought_to_ours(tmp_path: Path, rate_hz: int) -> None:
    read = read_recording(write_file(tmp_path / "a.flac", voice(2.0, rate_hz=rate_hz), rate_hz=rate_hz), name="a")
    assert read.source_rate_hz == rate_hz
    assert read.pcm.size / RATE_HZ == pytest.approx(2.0, abs=0.002)
    assert _pitch_hz(read.pcm) == pytest.approx(140, abs=2)


def test_stereo_is_mixed(tmp_path: Path) -> None:
    left, right = voice(2.0), voice(2.0, pitch_hz=210)
    read = read_recording(write_file(tmp_path / "a.wav", np.stack([left, right])), name="a")
    assert read.channels == 2
    expected = (left.astype(float) + right) / 2
    assert np.abs(read.pcm - expected).max() <= 1


@pytest.mark.parametrize(("codec", "kind"), [("pcm_s24le", np.int16), ("pcm_f32le", np.float32), ("pcm_u8", np.int16)])
def test_samples_of_other_widths(tmp_path: Path, codec: str, kind: type) -> None:
    pcm = voice(2.0)
    samples = pcm if kind is np.int16 else (pcm / 32768).astype(np.float32)
    read = read_recording(write_file(tmp_path / "a.wav", samples, codec=codec), name="a")
    assert np.abs(read.pcm.astype(int) - pcm).max() <= (0 if codec != "pcm_u8" else 256)


def test_floats_beyond_full_scale_are_turned_down_not_clipped(tmp_path: Path) -> None:
    loud = (voice(2.0) / 3000).astype(np.float32)
    assert np.abs(loud).max() > 1.2
    read = read_recording(write_file(tmp_path / "a.wav", loud, codec="pcm_f32le"), name="a")
    scaled = loud / np.abs(loud).max() * 32768
    assert np.abs(read.pcm - scaled).max() <= 1.5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused_with_its_place(tmp_path: Path, bad: float) -> None:
    samples = (voice(3.0) / 32768).astype(np.float32)
    samples[RATE_HZ * 2 + 5] = bad
    with pytest.raises(InputError, match=r"a\.wav .*NaN.* 2\.\d s") as refused:
        read_recording(write_file(tmp_path / "a.wav", samples, codec="pcm_f32le"), name="a.wav")
    assert refused.value.code == "invalid_samples"


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 15_999])
def test_a_telephones_recording_is_refused_and_told_why(tmp_path: Path, rate_hz: int) -> None:
    path = write_file(tmp_path / "a.wav", voice(3.0, rate_hz=rate_hz), rate_hz=rate_hz)
    with pytest.raises(InputError, match=rf"{rate_hz} samples.*16000.*above {rate_hz / 2000:g} kHz.*dull") as refused:
        read_recording(path, name="a.wav")
    assert refused.value.code == "sample_rate_out_of_range"


def test_a_rate_that_cannot_be_is_refused(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.wav", voice(3.0))
    data = bytearray(path.read_bytes())
    place = data.index(b"fmt ") + 12
    assert struct.unpack_from("<I", data, place)[0] == RATE_HZ
    struct.pack_into("<I", data, place, 2_000_000_000)
    with pytest.raises(InputError, match="the limit is 384000"):
        read_recording(bytes(data), name="a.wav")


NO_SOUND = {
    "nothing": b"",
    "text": b"Speaker 1: Hello.\n" * 500,
    "noise": np.random.default_rng(0).bytes(50_000),
    "a picture": b"\x89PNG\r\n\x1a\n" + b"\0" * 500,
    "a header alone": b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\xc0\x5d\0\0\x80\xbb\0\0\2\0\x10\0data\0\0\0\0",
    "a playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "a list of files": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
}


@pytest.mark.parametrize("data", NO_SOUND.values(), ids=list(NO_SOUND))
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^me\.wav holds no sound .*WAV, FLAC") as refused:
        read_recording(data, name="me.wav")
    assert (refused.value.code, refused.value.param) == ("unreadable_audio", "file")


@pytest.mark.parametrize("list_of", ["file '{}'\n", "ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXTINF:3,\n{}\n"])
@pytest.mark.parametrize("wall", ["format_whitelist", "protocol_whitelist"])
def test_no_file_leads_to_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, list_of: str, wall: str
) -> None:
    """Two walls keep it so, and either would do alone."""
    monkeypatch.setattr(room, "_OPTIONS", {wall: room._OPTIONS[wall]})
    secret = write_file(tmp_path / "secret.wav", voice(3.0))
    (tmp_path / "list.wav").write_text(list_of.format(secret))
    for source in (tmp_path / "list.wav", (tmp_path / "list.wav").read_bytes()):
        with pytest.raises(InputError):
            read_recording(source, name="list.wav")


@pytest.mark.parametrize("suffix", [".wav", ".mp3"])
@pytest.mark.parametrize("is_on_disk", [True, False])
def test_a_file_that_is_cut_short_is_told(tmp_path: Path, suffix: str, is_on_disk: bool) -> None:
    """What is left of it can be decoded, and half a voice would be kept as a whole one."""
    path = write_file(tmp_path / f"a{suffix}", voice(10.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 5])
    with pytest.raises(
        InputError, match=r"a is cut short: it says that it lasts 10\.0 s, and [34]\.\d s could"
    ) as told:
        read_recording(path if is_on_disk else path.read_bytes(), name="a")
    assert told.value.code == "cut_short"


def test_a_last_tenth_may_be_missing(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.wav", voice(10.0))
    path.write_bytes(path.read_bytes()[: 44 + round(2 * RATE_HZ * 9.1)])
    assert read_recording(path, name="a").pcm.size / RATE_HZ == pytest.approx(9.1, abs=0.1)


def test_only_what_is_read_is_missed(tmp_path: Path) -> None:
    """Of a long one no more than a minute is read, whatever it says."""
    path = write_file(tmp_path / "a.flac", voice(80.0))
    assert read_recording(path, name="a").pcm.size == round(room.MAX_READ_S * RATE_HZ)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_length_that_was_never_written_says_nothing(tmp_path: Path, size: int) -> None:
    path = write_file(tmp_path / "a.wav", voice(3.0))
    data = path.read_bytes()
    at = data.index(b"data") + 4
    whole = data[:at] + struct.pack("<I", size) + data[at + 4 :]
    assert read_recording(whole, name="a").pcm.size == 3 * RATE_HZ


def test_an_mp3_without_a_header_says_nothing_reliable(tmp_path: Path) -> None:
    data = write_file(tmp_path / "a.mp3", voice(4.0)).read_bytes()
    kind = b"Xing" if b"Xing" in data else b"Info"
    first = re.search(rb"\xff[\xf3\xfb]", data)
    assert first is not None
    tagged = b"ID3\4\0\0" + bytes((0, 0, 2, 0)) + bytes(256) + data[first.start() :]
    assert read_recording(tagged, name="a").pcm.size / RATE_HZ == pytest.approx(4.0, abs=0.2)
    with pytest.raises(InputError, match="cut short"):  # found behind a tag, too
        read_recording(tagged[: len(tagged) // 2], name="a")
    bare = data[: len(data) // 2].replace(kind, b"None", 1)
    assert read_recording(bare, name="a").pcm.size / RATE_HZ == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize(("suffix", "is_cut"), [(".mp3", False), (".m4a", False), (".m4a", True), (".flac", True)])
def test_a_damaged_file_is_refused(tmp_path: Path, suffix: str, is_cut: bool) -> None:
    data = write_file(tmp_path / f"a{suffix}", voice(4.0)).read_bytes()
    third, half = len(data) // 3, len(data) // 2
    damaged = data[:half] if is_cut else data[:third] + np.random.default_rng(1).bytes(half - third) + data[half:]
    with pytest.raises(InputError) as refused:
        read_recording(damaged, name="a")
    assert refused.value.code == "unreadable_audio"


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no.wav"):
        with pytest.raises(InputError, match="cannot be read") as refused:
            read_recording(path, name="no.wav")
        assert refused.value.code == "unreadable_file"


def test_a_name_with_a_protocol_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path / "a.wav", voice(2.0)).rename("concat:a.wav")
    assert read_recording(Path("concat:a.wav"), name="a").pcm.size == 2 * RATE_HZ


def test_reading_stops_after_a_minute_however_long_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", "NONE"))
        hour = voice(60.0, rate_hz=48_000).tobytes() * 60
        file.writeframesraw(hour)
    began_s = time.perf_counter()
    read = read_recording(path, name="long")
    assert time.perf_counter() - began_s < 3
    assert read.pcm.size == room.MAX_READ_S * RATE_HZ


def test_tags_in_an_old_encoding_do_no_harm(tmp_path: Path) -> None:
    data = write_file(tmp_path / "a.mp3", voice(2.0)).read_bytes()
    text = b"\x03" + "Zoë".encode("latin-1")  # says UTF-8, and is not
    frame = b"TIT2" + struct.pack(">I", len(text)) + b"\0\0" + text
    tagged = b"ID3\x03\0\0" + bytes([0, 0, 0, len(frame)]) + frame + data
    assert read_recording(tagged, name="a.mp3").pcm.size > RATE_HZ


def _level(pcm: np.ndarray) -> float:
    return float(np.sqrt(np.mean(pcm.astype(float) ** 2)))


def _pitch_hz(pcm: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(pcm.astype(float) * np.hanning(pcm.size)))
    return float(np.argmax(spectrum) * RATE_HZ / pcm.size)

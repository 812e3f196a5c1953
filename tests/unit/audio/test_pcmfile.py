from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from longtake.audio.formats import Pcm
from longtake.audio.pcmfile import commit_file, has_sha256, read_samples, read_trace, sha256_of, write_stretch
from longtake.core.errors import DiskFullError, EngineError, WorkerError
from tests.unit.audio.signals import chunked, speech


def test_a_passage_comes_back_as_it_was(tmp_path: Path) -> None:
    pcm = speech(2.5)
    written = write_stretch(tmp_path / "000041.pcm", chunked(pcm, [999]))
    assert written.path == tmp_path / "000041.pcm"
    assert written.samples == pcm.size
    assert written.path.read_bytes() == pcm.astype("<i2").tobytes()
    assert written.sha256 == hashlib.sha256(pcm.tobytes()).hexdigest() == sha256_of(written.path)
    blocks = list(read_samples(written.path, pcm.size, 7000))
    assert [b.size for b in blocks] == [7000] * 8 + [4000]
    assert all(b.dtype == np.int16 for b in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), pcm)
    assert list(tmp_path.iterdir()) == [written.path]


def test_a_changed_or_missing_file_is_known(tmp_path: Path) -> None:
    written = write_stretch(tmp_path / "a.pcm", [speech(0.5)])
    assert has_sha256(written.path, written.sha256)
    data = bytearray(written.path.read_bytes())
    data[100] ^= 1
    written.path.write_bytes(data)
    assert not has_sha256(written.path, written.sha256)
    written.path.unlink()
    assert not has_sha256(written.path, written.sha256)
    with pytest.raises(WorkerError, match="No such file"):
        sha256_of(written.path)
    with pytest.raises(WorkerError, match="No such file"):
        list(read_samples(written.path, 12_000))


def test_too_few_samples_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "000000.pcm"
    path.write_bytes(b"\0" * 2001)
    assert sum(block.size for block in read_samples(path, 1000, 300)) == 1000
    with pytest.raises(WorkerError, match="damaged"):
        list(read_samples(path, 1001, 500))


def test_the_trace_lies_behind_the_samples(tmp_path: Path) -> None:
    pcm = speech(0.1)
    written = write_stretch(tmp_path / "a.pcm", chunked(pcm, [7]), b"what the engine knew")
    assert written.samples == pcm.size
    assert written.sha256 == sha256_of(written.path), "of both"
    np.testing.assert_array_equal(np.concatenate(list(read_samples(written.path, written.samples))), pcm)
    assert read_trace(written.path, written.samples) == b"what the engine knew"
    assert read_trace(write_stretch(tmp_path / "b.pcm", [pcm]).path, pcm.size) == b""
    with pytest.raises(WorkerError, match="No such file"):
        read_trace(tmp_path / "c.pcm", 0)


def test_writing_again_replaces(tmp_path: Path) -> None:
    write_stretch(tmp_path / "a.pcm", [speech(1)])
    again = write_stretch(tmp_path / "a.pcm", [np.ones(5, np.int16)])
    assert again.path.stat().st_size == 10


def test_a_failed_passage_leaves_nothing_and_spares_the_old_one(tmp_path: Path) -> None:
    old = write_stretch(tmp_path / "a.pcm", [np.ones(5, np.int16)])

    def chunks() -> Iterator[Pcm]:
        yield np.zeros(100_000, np.int16)
        raise EngineError("the engine failed")

    with pytest.raises(EngineError):
        write_stretch(tmp_path / "a.pcm", chunks())
    assert list(tmp_path.iterdir()) == [old.path]
    assert has_sha256(old.path, old.sha256)


def test_a_disk_that_fills_while_writing(tmp_path: Path) -> None:
    def chunks() -> Iterator[Pcm]:
        yield speech(0.5)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as `write` would

    with pytest.raises(DiskFullError, match=str(tmp_path)):
        write_stretch(tmp_path / "a.pcm", chunks())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_no_half_file(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(DiskFullError, match=str(tmp_path)):
        write_stretch(tmp_path / "a.pcm", [speech(0.5)])
    assert list(tmp_path.iterdir()) == []


def test_a_commit_is_durable_before_and_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        calls.append("fsync folder" if os.path.isdir(f"/dev/fd/{descriptor}") else "fsync file")
        real_fsync(descriptor)

    def replace(source: Path, target: Path) -> None:
        calls.append("rename")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    tmp, final = tmp_path / "a.part", tmp_path / "a.mp3"
    tmp.write_bytes(b"new")
    final.write_bytes(b"old")
    commit_file(tmp, final)
    assert calls == ["fsync file", "rename", "fsync folder"]
    assert final.read_bytes() == b"new"
    assert not tmp.exists()


def test_committing_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="No such file"):
        commit_file(tmp_path / "no", tmp_path / "a")

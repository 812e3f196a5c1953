"""A spoken passage on disk: raw little-endian int16, mono, 24 kHz, whole or absent. Does not know jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longtake.audio.disk import commit_file, disk_error
from longtake.audio.formats import Pcm
from longtake.core.errors import WorkerError
from longtake.core.units import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ

__all__ = ["PassageFile", "commit_file", "has_sha256", "read_passage", "sha256_of", "write_passage"]

_HASH_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PassageFile:
    """A passage that is safely on disk. ``sha256`` is of its bytes, in hex."""

    path: Path
    samples: int
    sha256: str


def write_passage(final: Path, chunks: Iterable[Pcm]) -> PassageFile:
    """Write a passage so that it survives a crash whole, or not at all: write, fsync, rename, fsync the folder.

    Args:
        final: Where it will lie; its folder must exist. A file of that name is replaced.
        chunks: int16 at 24 kHz, chunks of any length. Memory: one chunk.

    Raises:
        DiskFullError: No room; the half-written file was removed.
        WorkerError: Any other I/O error, likewise.
    """
    tmp = final.with_name(final.name + ".tmp")
    digest = hashlib.sha256()
    samples = 0
    try:
        with tmp.open("wb") as file:
            for chunk in chunks:
                data = chunk.astype("<i2", casting="equiv", copy=False).tobytes()
                digest.update(data)
                file.write(data)
                samples += chunk.size
        commit_file(tmp, final)
    except OSError as error:
        tmp.unlink(missing_ok=True)
        raise disk_error(error, final) from error
    except BaseException:  # the engine failed, or the job was cancelled: nothing half-spoken stays behind
        tmp.unlink(missing_ok=True)
        raise
    return PassageFile(final, samples, digest.hexdigest())


def read_passage(path: Path, block_samples: int = SAMPLE_RATE_HZ) -> Iterator[Pcm]:
    """Yield a passage as int16 blocks of ``block_samples``, the last one shorter. Memory: one block.

    Raises:
        WorkerError: The file cannot be read, or does not hold whole samples.
    """
    try:
        with path.open("rb") as file:
            while data := file.read(block_samples * BYTES_PER_SAMPLE):
                if len(data) % BYTES_PER_SAMPLE:
                    raise WorkerError(f"{path} ends within a sample: it is damaged. Have the passage spoken again.")
                yield np.frombuffer(data, "<i2").astype(np.int16, copy=False)
    except OSError as error:
        raise WorkerError(f"Could not read {path}: {error.strerror or error}.", code="read_failed") from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex, read in blocks.

    Raises:
        WorkerError: The file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while data := file.read(_HASH_BLOCK_BYTES):
                digest.update(data)
    except OSError as error:
        raise WorkerError(f"Could not read {path}: {error.strerror or error}.", code="read_failed") from error
    return digest.hexdigest()


def has_sha256(path: Path, sha256: str) -> bool:
    """Whether the file is there and its bytes are the ones that were written."""
    return path.is_file() and sha256_of(path) == sha256

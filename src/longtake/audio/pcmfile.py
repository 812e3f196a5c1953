"""A stretch of speech on disk, whole or absent: raw little-endian int16, mono, 24 kHz; behind it, its trace.

Knows neither jobs nor what a trace means: it is what an engine wants to be given back when it goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longtake.audio.formats import Pcm
from longtake.core.disk import commit_file, disk_error
from longtake.core.errors import WorkerError
from longtake.core.failpoints import reach
from longtake.core.units import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ

__all__ = ["StretchFile", "commit_file", "has_sha256", "read_samples", "read_trace", "sha256_of", "write_stretch"]

_HASH_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StretchFile:
    """A stretch that is safely on disk. ``sha256`` is of all its bytes, in hex."""

    path: Path
    samples: int
    sha256: str


def write_stretch(final: Path, chunks: Iterable[Pcm], trace: bytes = b"") -> StretchFile:
    """Write a stretch so that it survives a crash whole, or not at all: write, fsync, rename, fsync the folder.

    Args:
        final: Where it will lie; its folder must exist. A file of that name is replaced.
        chunks: int16 at 24 kHz, chunks of any length. Memory: one chunk.
        trace: Goes behind the samples.

    Raises:
        DiskFullError: No room; the half-written file was removed.
        WorkerError: Any other I/O error, likewise.
    """
    tmp = final.with_name(final.name + ".tmp")
    digest = hashlib.sha256()
    samples = 0
    try:
        reach("stretch-begun")
        with tmp.open("wb") as file:
            for chunk in chunks:
                data = chunk.astype("<i2", casting="equiv", copy=False).tobytes()
                digest.update(data)
                file.write(data)
                samples += chunk.size
            digest.update(trace)
            file.write(trace)
        commit_file(tmp, final, "stretch")
    except OSError as error:
        tmp.unlink(missing_ok=True)
        raise disk_error(error, final) from error
    except BaseException:  # the engine failed, or the job was cancelled: nothing half-spoken stays behind
        tmp.unlink(missing_ok=True)
        raise
    return StretchFile(final, samples, digest.hexdigest())


def read_samples(path: Path, samples: int, block_samples: int = SAMPLE_RATE_HZ) -> Iterator[Pcm]:
    """Yield the samples of a stretch as int16 blocks of ``block_samples``, the last one shorter. Memory: one block.

    Args:
        samples: How many it holds.

    Raises:
        WorkerError: The file cannot be read, or holds fewer.
    """
    try:
        with path.open("rb") as file:
            while samples > 0:
                block = min(samples, block_samples)
                data = file.read(block * BYTES_PER_SAMPLE)
                if len(data) < block * BYTES_PER_SAMPLE:
                    raise WorkerError(f"{path} is too short: it is damaged. Have the passage spoken again.")
                yield np.frombuffer(data, "<i2").astype(np.int16, copy=False)
                samples -= block
    except OSError as error:
        raise WorkerError(f"Could not read {path}: {error.strerror or error}.", code="read_failed") from error


def read_trace(path: Path, samples: int) -> bytes:
    """What lies behind the samples of a stretch.

    Raises:
        WorkerError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(samples * BYTES_PER_SAMPLE)
            return file.read()
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

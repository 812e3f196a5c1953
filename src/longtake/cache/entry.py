"""A spoken passage as bytes that tell by themselves whether they are whole. Knows no file.

=================  =====================================================================================
samples            int16, little-endian, mono, 24 kHz
marks              JSON: [[start_s, end_s, text, speaker], …], with every digit: subtitles come out the same
magic, count       8 bytes; how many samples, 8 bytes, little-endian
digest             32 bytes: BLAKE2b of the key and of all before it
=================  =====================================================================================

The digest is behind the rest and counts the key in: a file that is cut short, half-written, full of zeros after a power
cut, or lies under another name, is no entry. So nothing needs to be synced to disk.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtake.core.records import Mark
from longtake.core.units import BYTES_PER_SAMPLE

_MAGIC = b"LTSPOKEN"
_COUNT = struct.Struct("<8sQ")
_DIGEST_BYTES = 32
_TAIL_BYTES = _COUNT.size + _DIGEST_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A passage as its engine spoke it, from end to end. `pcm_T`: int16, mono, 24 kHz."""

    pcm_T: NDArray[np.int16]  # noqa: N815  (shape suffix)
    marks: tuple[Mark, ...]


def entry_to_bytes(key: str, entry: Entry) -> bytes:
    samples = entry.pcm_T.astype("<i2", casting="equiv", copy=False).tobytes()
    marks = [[mark.start_s, mark.end_s, mark.text, mark.speaker] for mark in entry.marks]
    body = b"".join((samples, json.dumps(marks).encode(), _COUNT.pack(_MAGIC, entry.pcm_T.size)))
    return body + _digest(key, body)


def entry_from_bytes(key: str, data: bytes) -> Entry | None:
    """None when these are not the bytes that were made of an entry for that key."""
    body, digest = memoryview(data)[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if len(data) < _TAIL_BYTES or digest != _digest(key, body):
        return None
    magic, samples = _COUNT.unpack(body[-_COUNT.size :])
    if magic != _MAGIC:
        return None
    pcm_T = np.frombuffer(body, "<i2", count=samples).astype(np.int16, copy=False)  # noqa: N806
    marks = json.loads(bytes(body[samples * BYTES_PER_SAMPLE : -_COUNT.size]))
    return Entry(pcm_T, tuple(Mark(*mark) for mark in marks))


def _digest(key: str, body: bytes | memoryview) -> bytes:
    digest = hashlib.blake2b(key.encode(), digest_size=_DIGEST_BYTES)
    digest.update(body)
    return digest.digest()

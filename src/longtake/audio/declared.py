"""How long a sound file says that it is. To be compared with what it holds, never to be believed."""

from __future__ import annotations

from typing import IO

from av.container import InputContainer

# Their headers state a length. That of the others is FFmpeg's guess, from the size of the file or from its last page:
# what is missing at the end is missing in the guess, too, or the guess is wrong (MP3 without a header, bare AAC).
_STATED = frozenset({"flac", "mov", "matroska", "aiff", "caf"})
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # of a recorder that never came back to write it
_ID3_BYTES = 10
_XING_WITHIN = 256


def declared_seconds(container: InputContainer, file: IO[bytes]) -> float | None:
    """None where nothing reliable is said.

    Args:
        container: Open.
        file: The same file, at any place; read and left at another.
    """
    kinds = set(container.format.name.split(","))
    if "wav" in kinds:
        return _wav_seconds(file)
    stream = container.streams.audio[0]
    if not kinds & _STATED and not ("mp3" in kinds and _has_xing(file)):
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration and len(container.streams) == 1 else None


def _wav_seconds(file: IO[bytes]) -> float | None:
    """By its own header: FFmpeg corrects it by the size of the file."""
    file.seek(0)
    if file.read(4) != b"RIFF":
        return None
    file.seek(12)
    byte_rate = 0
    while len(head := file.read(8)) == 8:
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            return size / byte_rate if byte_rate and size not in _UNKNOWN_SIZES else None
        if head[:4] == b"fmt ":
            byte_rate = int.from_bytes(file.read(16)[8:12], "little")
            size -= 16
        file.seek(max(0, size + size % 2), 1)
    return None


def _has_xing(file: IO[bytes]) -> bool:
    """Its first frame counts the others."""
    file.seek(0)
    head = file.read(_ID3_BYTES)
    start = 0
    if head[:3] == b"ID3" and len(head) == _ID3_BYTES:
        start = _ID3_BYTES + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    file.seek(start)
    frame = file.read(_XING_WITHIN)
    return b"Xing" in frame or b"Info" in frame

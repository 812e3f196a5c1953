"""Units used across the house. Audio is mono, 24 kHz, signed 16 bit everywhere between engine and encoder."""

from __future__ import annotations

import re

from longtake.core.errors import InputError

SAMPLE_RATE_HZ = 24_000
BYTES_PER_SAMPLE = 2
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]i?)?b?", re.IGNORECASE)
_TIME = re.compile(r"(?:(?:([0-9]{1,4}):)?([0-9]{1,6}):)?([0-9]{1,9})(?:[.,]([0-9]{1,9}))?")


def samples_of(seconds: float) -> int:
    """Number of samples in ``seconds`` of internal audio, rounded to the nearest."""
    return round(seconds * SAMPLE_RATE_HZ)


def seconds_of(samples: int) -> float:
    """Duration of ``samples`` of internal audio, in seconds."""
    return samples / SAMPLE_RATE_HZ


def format_duration(seconds: float) -> str:
    """``3725.4`` → ``1:02:05``; ``65`` → ``1:05``."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"


def format_time(seconds: float) -> str:
    """A point in audio, to the millisecond: ``744.31`` → ``12:24.310``; ``3723.5`` → ``1:02:03.500``."""
    whole, ms = divmod(max(0, round(seconds * 1000)), 1000)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{f'{hours}:{minutes:02d}' if hours else minutes}:{secs:02d}.{ms:03d}"


def parse_time(text: str, param: str) -> float:
    """A point in audio as people write it, in seconds: ``12:30``, ``1:02:03``, ``750``, ``750.5``, ``00:12:24,310``.

    Args:
        param: The option or field that it comes from, for the error.

    Raises:
        InputError: It is no time.
    """
    found = _TIME.fullmatch(text.strip())
    if found:
        hours, minutes, seconds, fraction = found.groups()
        is_small = (minutes is None or int(seconds) < 60) and (hours is None or int(minutes) < 60)
        if is_small:
            whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds)
            return whole + float(f"0.{fraction or 0}")
    raise InputError(
        f"{text[:40]!r} is no point in time. Write minutes and seconds (12:30), with hours (1:02:03), or seconds alone "
        "(750 or 750.5).",
        code="invalid_time",
        param=param,
    )


def format_bytes(count: int) -> str:
    """``1536`` → ``1.5 KiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def parse_size(text: str, param: str) -> int:
    """``20GiB`` → 21474836480; ``500MB`` → 500000000.

    Args:
        param: The option or setting that it comes from, for the error.

    Raises:
        InputError: It is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"The size {text!r} is not understood. Write it like 20GiB or 500MB.", code="invalid_size", param=param
        )
    return int(float(match[1]) * _BYTES[(match[2] or "").lower()])

"""Units used across the house. Audio is mono, 24 kHz, signed 16 bit everywhere between engine and encoder."""

from __future__ import annotations

SAMPLE_RATE_HZ = 24_000
BYTES_PER_SAMPLE = 2


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


def format_bytes(count: int) -> str:
    """``1536`` → ``1.5 KiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"

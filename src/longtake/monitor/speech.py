"""The speech figures of a sight as series of the monitor: names with their unit, and the engine after a colon."""

from __future__ import annotations

from collections.abc import Iterator

from longtake.monitor.totals import EngineFigures
from longtake.monitor.watch import Sight

# Of the service as a whole; of what is told for each engine, the largest.
_WHOLE = {
    "queue_jobs": "longtake_queue_jobs",
    "queue_audio_seconds": "longtake_queue_audio_seconds",
    "queue_oldest_seconds": "longtake_queue_oldest_seconds",
    "cache_bytes": "longtake_cache_bytes",
}
_HELD = ("pool_held_bytes", "pool_limit_bytes", "kv_bytes", "device_allocated_bytes", "device_reserved_bytes")
_NAMES = {"pool_held_bytes": "held_bytes", "pool_limit_bytes": "limit_bytes"}


def speech_series(sight: Sight) -> dict[str, float]:
    """``rtf_ratio:espeak``, ``tokens_per_second:vibevoice``, ``step_lm_seconds:vibevoice``, ``queue_jobs`` …"""
    found = {name: max(values.values()) for name, metric in _WHOLE.items() if (values := sight.samples.get(metric, {}))}
    for engine, figures in sight.engines.items():
        found |= {f"{name}:{engine}": float(value) for name, value in _of(figures) if value is not None}
    return found


def _of(figures: EngineFigures) -> Iterator[tuple[str, float | None]]:
    """Rates are of the last ten seconds; what an engine does not have is None."""
    recent, now, seconds = figures.recent, figures.now, figures.recent_s
    yield "rtf_ratio", figures.rtf
    yield "speed_ratio", 1 / figures.rtf if figures.rtf else None
    yield "batch_fill_ratio", figures.batch_fill
    if now is None:
        return
    yield "requests", now.active
    yield "jobs", now.jobs
    for name in _HELD:
        yield name, getattr(now, _NAMES.get(name, name))
    if not seconds:
        return
    yield "audio_seconds_per_second", recent.audio_s / seconds
    yield "busy_ratio", recent.busy_s / seconds
    yield "steps_per_second", recent.steps / seconds
    yield "frames_per_second", None if recent.frames is None else recent.frames / seconds
    yield "tokens_per_second", None if recent.tokens is None else recent.tokens / seconds
    for part, part_s in recent.parts_s.items():
        yield f"step_{part}_seconds", part_s / recent.steps if recent.steps else None

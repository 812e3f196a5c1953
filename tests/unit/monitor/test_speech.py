"""Series of the speech figures, from what a worker tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from longtake.core.stats import Counts
from longtake.monitor import Watch
from longtake.monitor.speech import speech_series
from tests.support.clock import HandClock
from tests.unit.monitor.sources import COUNTS, sources, tell


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_rates_of_the_last_seconds(tmp_path: Path, clock: HandClock) -> None:
    watch = Watch(sources(tmp_path, clock))
    tell(tmp_path, clock, counts=Counts())
    watch.look()
    clock.sleep(5.0)
    tell(tmp_path, clock)
    series = speech_series(watch.latest())
    assert series == pytest.approx(
        {
            "queue_jobs": 2,
            "queue_audio_seconds": 61.5,
            "queue_oldest_seconds": 33.0,
            "cache_bytes": 4096,
            "rtf_ratio:espeak": 0.1,
            "speed_ratio:espeak": 10.0,
            "batch_fill_ratio:espeak": 60 / 40 / 8,
            "requests:espeak": 1,
            "jobs:espeak": 2,
            "pool_held_bytes:espeak": 10,
            "pool_limit_bytes:espeak": 20,
            "kv_bytes:espeak": 5,
            "device_allocated_bytes:espeak": 7,
            "device_reserved_bytes:espeak": 9,
            "audio_seconds_per_second:espeak": 4.0,
            "busy_ratio:espeak": 0.4,
            "steps_per_second:espeak": 8.0,
            "frames_per_second:espeak": 30.0,
            "tokens_per_second:espeak": 32.0,
            "step_lm_seconds:espeak": 1.0 / 40,
            "step_diffusion_seconds:espeak": 0.5 / 40,
            "step_codec_seconds:espeak": 0.25 / 40,
            "step_prefill_seconds:espeak": 0.125 / 40,
        }
    )


def test_what_an_engine_does_not_have_or_do_is_left_out(tmp_path: Path, clock: HandClock) -> None:
    watch = Watch(sources(tmp_path, clock))
    idle = replace(COUNTS, frames=None, tokens=None, parts_s={})
    tell(tmp_path, clock, counts=idle, kv_bytes=None)
    watch.look()
    clock.sleep(5.0)
    tell(tmp_path, clock, counts=idle, kv_bytes=None)
    series = speech_series(watch.latest())
    for name in ("rtf_ratio", "tokens_per_second", "frames_per_second", "kv_bytes", "batch_fill_ratio"):
        assert f"{name}:espeak" not in series
    assert series["busy_ratio:espeak"] == 0.0


def test_a_worker_that_is_gone_leaves_the_queue(tmp_path: Path, clock: HandClock) -> None:
    watch = Watch(sources(tmp_path, clock))
    assert set(speech_series(watch.latest())) == {
        "queue_jobs",
        "queue_audio_seconds",
        "queue_oldest_seconds",
        "cache_bytes",
    }

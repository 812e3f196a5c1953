"""The records of figures, and the file they travel in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from longtake.core.stats import WAIT_BOUNDS_S, Counts, Spread, StepStats, read_stats, stats_path, write_stats

COUNTS = Counts(
    steps=7,
    audio_s=2.5,
    tokens=9,
    parts_s={"lm": 0.5, "codec": 0.25},
    first_audio_s={"job": Spread().with_wait(0.3)},
    queue_wait_s={"job": Spread().with_wait(0.1).with_wait(1e9), "speech": Spread()},
)
STATS = StepStats("espeak-1", "espeak", 4711, "boot", 12.5, "ready", COUNTS, jobs=2, held_bytes=1 << 40)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_stats(tmp_path, STATS)
    assert read_stats(stats_path(tmp_path, "espeak-1")) == STATS
    assert [path.name for path in tmp_path.iterdir()] == ["espeak-1.json"]


def test_fields_of_another_version_are_left(tmp_path: Path) -> None:
    write_stats(tmp_path, STATS)
    path = stats_path(tmp_path, "espeak-1")
    told = json.loads(path.read_text())
    told["colour"] = told["counts"]["colour"] = "red"
    del told["jobs"], told["counts"]["tokens"]
    path.write_text(json.dumps(told))

    assert read_stats(path) == replace(STATS, jobs=0, counts=replace(COUNTS, tokens=None))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", "{}", '{"worker_id": "w"}', '{"counts": 5}', '{"counts": {"first_audio_s": []}}']
)
def test_what_cannot_be_read_is_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "w.json"
    path.write_text(text)
    assert read_stats(path) is None
    assert read_stats(tmp_path / "other.json") is None


def test_buckets_of_another_version_are_nothing(tmp_path: Path) -> None:
    short = replace(COUNTS, first_audio_s={"job": Spread((1, 2), 3.0)})
    write_stats(tmp_path, replace(STATS, counts=short))
    assert read_stats(stats_path(tmp_path, "espeak-1")) is None


def test_counts_add_up() -> None:
    other = Counts(steps=1, frames=3, parts_s={"lm": 1.0, "prefill": 2.0}, first_audio_s={"speech": Spread()})
    both = COUNTS + other

    assert (both.steps, both.audio_s, both.tokens, both.frames) == (8, 2.5, 9, 3)
    assert both.parts_s == {"lm": 1.5, "codec": 0.25, "prefill": 2.0}
    assert set(both.first_audio_s) == {"job", "speech"}
    assert (COUNTS + COUNTS).queue_wait_s["job"].counts[0] == 2
    assert COUNTS + Counts() == COUNTS
    assert Counts().frames is None, "an engine without frames has none, not zero"


def test_a_wait_lies_in_the_bucket_whose_bound_it_does_not_pass() -> None:
    for place, bound_s in enumerate(WAIT_BOUNDS_S):
        assert Spread().with_wait(bound_s).counts[place] == 1
        assert Spread().with_wait(bound_s * 1.001).counts[place + 1] == 1
    assert Spread().with_wait(-3.0) == Spread().with_wait(0.0), "the clock was set back"
    assert Spread().with_wait(2.0).with_wait(3.0).sum_s == 5.0

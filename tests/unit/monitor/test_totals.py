"""Counts of workers that follow one another never fall; what is told as now is of now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from longtake.core.stats import Counts, stats_path
from longtake.monitor.totals import STALE_S, WINDOW_S, Totals
from tests.support.clock import HandClock
from tests.unit.monitor.sources import COUNTS, tell

ONE, TWO = {"espeak": "espeak-1"}, {"espeak": "espeak-2"}


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_counts_go_on_over_restarts(tmp_path: Path, clock: HandClock) -> None:
    totals = Totals(tmp_path, clock)
    tell(tmp_path, clock)
    assert totals.look(ONE)["espeak"].counts == COUNTS
    tell(tmp_path, clock, counts=replace(COUNTS, steps=50))  # its last words, before it died
    assert totals.look({})["espeak"].counts.steps == 50, "no worker lives now"
    assert totals.look(TWO)["espeak"].counts.steps == 50, "the new one has said nothing"
    tell(tmp_path, clock, worker_id="espeak-2", counts=Counts(steps=1, audio_s=1.0))
    figures = totals.look(TWO)["espeak"]
    assert (figures.counts.steps, figures.counts.audio_s, figures.counts.frames) == (51, 21.0, 150)
    assert totals.look(TWO)["espeak"].counts.steps == 51, "and nobody is counted twice"


def test_files_of_others_are_not_counted(tmp_path: Path, clock: HandClock) -> None:
    tell(tmp_path, clock, worker_id="espeak-of-yesterday")
    tell(tmp_path, clock)
    path = stats_path(tmp_path, "espeak-1")
    path.write_text(path.read_text().replace(clock.boot_id, "another boot"))
    assert Totals(tmp_path, clock).look(ONE) == {}


def test_rates_are_of_the_last_seconds(tmp_path: Path, clock: HandClock) -> None:
    totals = Totals(tmp_path, clock)
    tell(tmp_path, clock, counts=Counts(busy_s=100.0, audio_s=10.0))  # slow, long ago
    assert totals.look(ONE)["espeak"].rtf is None, "of one look nothing can be said"
    for second in range(30):
        clock.sleep(1)
        tell(tmp_path, clock, counts=Counts(busy_s=100.0 + second * 0.5, audio_s=10.0 + second * 5.0))
        figures = totals.look(ONE)["espeak"]
    assert figures.rtf == pytest.approx(0.1)
    assert figures.recent_s == WINDOW_S
    assert figures.recent.audio_s == pytest.approx(5.0 * WINDOW_S)


def test_batch_fill(tmp_path: Path, clock: HandClock) -> None:
    totals = Totals(tmp_path, clock)
    tell(tmp_path, clock, counts=Counts(steps=10, step_requests=80))
    totals.look(ONE)
    clock.sleep(1)
    tell(tmp_path, clock, counts=Counts(steps=20, step_requests=100))
    assert totals.look(ONE)["espeak"].batch_fill == pytest.approx(2 / 8)


def test_a_worker_that_is_not_heard_of_has_no_now(tmp_path: Path, clock: HandClock) -> None:
    totals = Totals(tmp_path, clock)
    tell(tmp_path, clock)
    totals.look(ONE)
    clock.sleep(STALE_S + 1)
    figures = totals.look(ONE)["espeak"]
    assert (figures.now, figures.rtf, figures.batch_fill) == (None, None, None)
    assert figures.counts == COUNTS, "what was counted stays"

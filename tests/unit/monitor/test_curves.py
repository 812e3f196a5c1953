from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from longtake.monitor.curves import Curves, Window
from longtake.monitor.rollups import Rollups
from longtake.monitor.watch import Sight
from tests.support.clock import HandClock

TEMPERATURE, POWER = "longtake_gpu_temperature_celsius", "longtake_gpu_power_watts"
AUDIO = "longtake_engine_audio_seconds_total"


class Told:
    """Curves that are told of a look a second, by hand."""

    def __init__(self, root: Path) -> None:
        self.clock = HandClock()
        self.clock.wall_shift_s = -self.clock.wall_s() % 60  # a minute begins
        self.rollups = Rollups(root / "monitor.db")
        self.curves = Curves(self.rollups, self.clock)

    def look(self, samples: Mapping[str, Mapping[tuple[str, ...], float]]) -> None:
        self.curves.add(Sight(self.clock.now_s, samples, {}, {}))
        self.clock.sleep(1)

    def window(self, name: str, **asked: int) -> Window:
        return self.curves.window([name], **asked)


def known(window: Window, name: str, part: str = "mean") -> list[float | None]:
    values = getattr(window.bands[name], part)
    return [None if math.isnan(value) else round(float(value), 3) for value in values]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_series_are_metrics_with_their_labels(told: Told) -> None:
    told.look(
        {
            "longtake_jobs": {("espeak", "queued"): 3},
            "longtake_host_cpu_ratio": {(): 0.5},
            "longtake_build_info": {("0.1",): 1},
        }
    )
    assert told.curves.names() == ["longtake_host_cpu_ratio", "longtake_jobs:espeak/queued"]
    told.curves.close()


def test_all_cards_together(told: Told) -> None:
    told.look({TEMPERATURE: {("0",): 50, ("1",): 70}, POWER: {("0",): 100, ("1",): 200}})
    told.look({"longtake_gpu_utilisation_ratio": {("0",): 0.5, ("1",): 1.0}})
    window = told.curves.window(
        [f"{TEMPERATURE}:all", f"{POWER}:all", "longtake_gpu_utilisation_ratio:all"], seconds=2, steps=2
    )
    assert known(window, f"{TEMPERATURE}:all") == [70, None]
    assert known(window, f"{POWER}:all") == [300, None]
    assert known(window, "longtake_gpu_utilisation_ratio:all") == [None, 0.75]
    told.curves.close()


def test_of_a_counter_it_is_the_rate(told: Told) -> None:
    for audio_s in (100, 105, 107, 107, 2, 6):  # it began anew
        told.look({AUDIO: {("espeak",): audio_s}})
    told.clock.sleep(10)
    told.look({AUDIO: {("espeak",): 1000}})
    window = told.window(f"{AUDIO}:espeak", seconds=17, steps=17)
    assert known(window, f"{AUDIO}:espeak")[:6] == [None, 5, 2, 0, 2, 4]
    assert known(window, f"{AUDIO}:espeak")[-1] is None, "over a gap there is no rate of this second"
    told.curves.close()


def test_a_window_ends_with_the_second_that_was_looked_at_last(told: Told) -> None:
    for celsius in range(10):
        told.look({TEMPERATURE: {("0",): celsius}})
    window = told.window(f"{TEMPERATURE}:0", seconds=4, steps=2)
    assert (window.step_s, window.steps) == (2, 2)
    assert known(window, f"{TEMPERATURE}:0", "low") == [6, 8]
    assert known(window, f"{TEMPERATURE}:0", "high") == [7, 9]
    assert window.from_s == pytest.approx(told.clock.wall_s() - 4)
    told.curves.close()


def test_when_nobody_looks_any_more_the_curve_ends(told: Told) -> None:
    told.look({TEMPERATURE: {("0",): 50}})
    told.clock.sleep(60)
    assert known(told.window(f"{TEMPERATURE}:0", seconds=10, steps=10), f"{TEMPERATURE}:0") == [None] * 10
    told.curves.close()


def test_minutes_are_rolled_up_also_the_one_that_has_begun(told: Told, tmp_path: Path) -> None:
    minute = int(told.clock.wall_s() // 60)
    for tick in range(150):
        told.look({TEMPERATURE: {("0",): tick}})
    told.curves.close()
    rollups = Rollups(tmp_path / "monitor.db")
    band = rollups.bands([f"{TEMPERATURE}:0"], until=minute + 2, steps=3, step_minutes=1)[f"{TEMPERATURE}:0"]
    assert list(band.low) == [0, 60, 120]
    assert list(band.mean) == [29.5, 89.5, 134.5]
    assert list(band.high) == [59, 119, 149]
    rollups.close()


def test_a_day_comes_from_minutes_and_from_before_a_restart(told: Told, tmp_path: Path) -> None:
    for tick in range(120):
        told.look({TEMPERATURE: {("0",): tick}})
    told.curves.close()
    again = Curves(Rollups(tmp_path / "monitor.db"), told.clock)
    window = again.window([f"{TEMPERATURE}:0"], seconds=24 * 3600, steps=300)
    assert (window.step_s, window.steps) == (300, 288)
    assert window.from_s == told.clock.wall_s() - 24 * 3600
    assert known(window, f"{TEMPERATURE}:0")[-1] == 59.5
    assert f"{TEMPERATURE}:0" in again.names()
    again.close()

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from longtake.monitor.curves import Curves, Window
from longtake.monitor.rollups import Rollups
from longtake.monitor.watch import Samples, Sight
from tests.support.clock import HandClock

TEMPERATURE = "gpu_temperature_celsius:0"


class Told:
    """Curves that are told of a look a second, by hand."""

    def __init__(self, root: Path) -> None:
        self.clock = HandClock()
        self.clock.wall_shift_s = -self.clock.wall_s() % 60  # a minute begins
        self.rollups = Rollups(root / "monitor.db")
        self.machine: Mapping[str, float] = {}
        self.curves = Curves(self.rollups, self.clock, lambda: self.machine)

    def look(self, machine: Mapping[str, float], samples: Samples | None = None) -> None:
        self.machine = machine
        self.curves.add(Sight(self.clock.now_s, samples or {}, {}, {}))
        self.clock.sleep(1)

    def window(self, name: str, **asked: int) -> Window:
        return self.curves.window([name], **asked)


def known(window: Window, name: str, part: str = "mean") -> list[float | None]:
    values = getattr(window.bands[name], part)
    return [None if math.isnan(value) else round(float(value), 3) for value in values]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_a_look_has_the_machine_and_what_is_spoken(told: Told) -> None:
    told.look({"cpu_ratio": 0.5}, {"longtake_queue_jobs": {(): 3.0}})
    assert {"cpu_ratio", "queue_jobs"} <= set(told.curves.names())
    assert known(told.window("queue_jobs", seconds=1, steps=1), "queue_jobs") == [3]
    told.curves.close()


def test_a_window_ends_with_the_second_that_was_looked_at_last(told: Told) -> None:
    for celsius in range(10):
        told.look({TEMPERATURE: celsius})
    window = told.window(TEMPERATURE, seconds=4, steps=2)
    assert (window.step_s, window.steps) == (2, 2)
    assert known(window, TEMPERATURE, "low") == [6, 8]
    assert known(window, TEMPERATURE, "high") == [7, 9]
    assert window.from_s == pytest.approx(told.clock.wall_s() - 4)
    told.curves.close()


def test_when_nobody_looks_any_more_the_curve_ends(told: Told) -> None:
    told.look({TEMPERATURE: 50})
    told.clock.sleep(60)
    assert known(told.window(TEMPERATURE, seconds=10, steps=10), TEMPERATURE) == [None] * 10
    told.curves.close()


def test_minutes_are_rolled_up_also_the_one_that_has_begun(told: Told, tmp_path: Path) -> None:
    minute = int(told.clock.wall_s() // 60)
    for tick in range(150):
        told.look({TEMPERATURE: tick})
    told.curves.close()
    rollups = Rollups(tmp_path / "monitor.db")
    band = rollups.bands([TEMPERATURE], until=minute + 2, steps=3, step_minutes=1)[TEMPERATURE]
    assert list(band.low) == [0, 60, 120]
    assert list(band.mean) == [29.5, 89.5, 134.5]
    assert list(band.high) == [59, 119, 149]
    rollups.close()


def test_a_day_comes_from_minutes_and_from_before_a_restart(told: Told, tmp_path: Path) -> None:
    for tick in range(120):
        told.look({TEMPERATURE: tick})
    told.curves.close()
    again = Curves(Rollups(tmp_path / "monitor.db"), told.clock, dict)
    window = again.window([TEMPERATURE], seconds=24 * 3600, steps=300)
    assert (window.step_s, window.steps) == (300, 288)
    assert window.from_s == told.clock.wall_s() - 24 * 3600
    assert known(window, TEMPERATURE)[-1] == 59.5
    assert TEMPERATURE in again.names()
    again.close()

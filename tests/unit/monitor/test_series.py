from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtake.monitor.series import HOUR_S, MAX_SERIES, Series, band_of


def known(values: np.ndarray) -> list[float | None]:
    return [None if math.isnan(value) else round(float(value), 3) for value in values]


def test_seconds_come_back_in_order_and_gaps_are_unknown() -> None:
    series = Series()
    series.add(100, {"a": 1})
    series.add(101, {"a": 2, "b": 5})
    series.add(104, {"a": 4})
    found = series.bands(["a", "b", "c"], until=105, steps=6, step_s=1)
    assert known(found["a"].mean) == [1, 2, None, None, 4, None]
    assert known(found["b"].mean) == [None, 5, None, None, None, None]
    assert "c" not in found


def test_each_step_has_its_lowest_mean_and_highest() -> None:
    series = Series()
    for second, value in enumerate([1, 2, 6, 10, 20, 30]):
        series.add(second, {"a": value})
    band = series.bands(["a"], until=5, steps=2, step_s=3)["a"]
    assert (known(band.low), known(band.mean), known(band.high)) == ([1, 10], [3, 20], [6, 30])


def test_after_an_hour_a_second_is_forgotten_and_so_is_a_series_without_any() -> None:
    series = Series()
    series.add(0, {"a": 1, "b": 1})
    for second in range(1, HOUR_S):
        series.add(second, {"b": 2})
    assert known(series.bands(["a"], until=HOUR_S - 1, steps=1, step_s=HOUR_S)["a"].mean) == [1]
    for second in range(HOUR_S, HOUR_S + 61):
        series.add(second, {"b": 3})
    assert series.names() == ["b"]
    assert known(series.bands(["b"], until=HOUR_S, steps=HOUR_S, step_s=1)["b"].low)[-1] == 3


def test_a_sleep_of_more_than_an_hour_leaves_nothing_old() -> None:
    series = Series()
    for second in range(10):
        series.add(second, {"a": 1})
    series.add(2 * HOUR_S + 5, {"a": 7})
    found = series.bands(["a"], until=2 * HOUR_S + 5, steps=HOUR_S, step_s=1)["a"].mean
    assert known(found)[-1] == 7
    assert np.isnan(found[:-1]).all()


def test_the_number_of_series_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    series = Series()
    series.add(0, {f"a{number}": 1.0 for number in range(MAX_SERIES + 5)})
    assert len(series.names()) == MAX_SERIES
    assert caplog.text.count("series are kept, and no more") == 1


@given(
    st.lists(st.tuples(st.integers(1, 4000), st.integers(-1000, 1000)), min_size=1, max_size=40), st.integers(1, 120)
)
def test_the_ring_is_what_a_plain_dictionary_would_be(moves: list[tuple[int, int]], step_s: int) -> None:
    series, truth, second = Series(), {}, 0
    for passed, value in moves:
        second += passed
        series.add(second, {"a": value})
        truth[second] = value
    steps = HOUR_S // step_s
    band = series.bands(["a"], until=second, steps=steps, step_s=step_s)["a"]
    for step in range(steps):
        first = second - (steps - step) * step_s + 1
        values = [truth[at] for at in range(first, first + step_s) if at in truth]
        assert known(band.low[step : step + 1]) == [min(values, default=None)]
        assert known(band.high[step : step + 1]) == [max(values, default=None)]
        mean = sum(values) / len(values) if values else None
        assert known(band.mean[step : step + 1]) == [mean if mean is None else pytest.approx(mean, abs=2e-3)]


def test_a_row_without_values_is_unknown_and_warns_nobody() -> None:
    band = band_of(np.array([[np.nan, np.nan], [1, np.nan]], np.float32))
    assert (known(band.low), known(band.mean), known(band.high)) == ([None, 1],) * 3

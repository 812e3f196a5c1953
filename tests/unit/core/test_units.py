from __future__ import annotations

import pytest

from longtake.core.units import format_bytes, format_duration, samples_of, seconds_of


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (-3, "0:00"), (59.6, "1:00"), (65, "1:05"), (3600, "1:00:00"), (3725.4, "1:02:05")],
)
def test_durations_are_written_as_people_do(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (3 << 40, "3.0 TiB")]
)
def test_bytes_carry_their_unit(count: int, text: str) -> None:
    assert format_bytes(count) == text


def test_samples_and_seconds_are_inverse() -> None:
    assert samples_of(1.5) == 36_000
    assert seconds_of(36_000) == 1.5

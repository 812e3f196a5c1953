from __future__ import annotations

import pytest

from longtake.core.errors import InputError
from longtake.core.units import format_bytes, format_duration, format_time, parse_time, samples_of, seconds_of


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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12:30", 750),
        ("1:02:03", 3723),
        ("750", 750),
        ("750.5", 750.5),
        ("00:12:24,310", 744.31),  # as SubRip writes it
        ("00:12:24.310", 744.31),
        ("90:00", 5400),
        (" 0 ", 0),
        ("0:00.5", 0.5),
    ],
)
def test_a_point_in_time_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert parse_time(text, "from") == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "-5", "12:75", "1:75:00", "1:2:3:4", "nan", "inf", "1e3", "12m", "12:", ":30", "½", "१२:३०", "9" * 50]
)
def test_what_is_no_time_is_told_with_examples(text: str) -> None:
    with pytest.raises(InputError, match=r"no point in time.*12:30.*1:02:03.*750\.5") as caught:
        parse_time(text, "from")
    assert (caught.value.code, caught.value.param) == ("invalid_time", "from")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.000"), (744.31, "12:24.310"), (59.9996, "1:00.000"), (3723.5, "1:02:03.500"), (-1, "0:00.000")],
)
def test_a_point_in_time_is_told_to_the_millisecond(seconds: float, text: str) -> None:
    assert format_time(seconds) == text
    assert parse_time(text, "from") == pytest.approx(max(0, seconds), abs=0.0005)

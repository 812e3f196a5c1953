from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from longtake.core.errors import InputError
from longtake.report import parse_since

NOW_S = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "ago_s"),
    [("24h", 86_400), (" 7d ", 7 * 86_400), ("90m", 5400), ("1H", 3600), ("30d", 30 * 86_400)],
)
def test_a_span_is_so_long_ago(text: str, ago_s: float) -> None:
    assert parse_since(text, NOW_S) == NOW_S - ago_s


def test_a_date_begins_in_its_zone() -> None:
    shanghai = timezone(timedelta(hours=8))
    assert parse_since("2026-11-20", NOW_S, UTC) == datetime(2026, 11, 20, tzinfo=UTC).timestamp()
    assert parse_since("2026-11-20", NOW_S, shanghai) == datetime(2026, 11, 19, 16, tzinfo=UTC).timestamp()
    assert parse_since("2026-11-20T08:30", NOW_S, UTC) == datetime(2026, 11, 20, 8, 30, tzinfo=UTC).timestamp()
    assert parse_since("2026-11-21T12:00+08:00", NOW_S, UTC) == NOW_S - 8 * 3600


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("yesterday", "'yesterday' is not understood"),
        ("", "'' is not understood"),
        ("24", "'24' is not understood"),
        ("-3h", "'-3h' is not understood"),
        ("2026-13-01", "not understood"),
        ("0h", "leaves no time"),
        ("2026-11-22", "leaves no time"),
        ("31d", "more than 30 days ago"),
        ("0001-01-01", "more than 30 days|not understood"),
        ("999999d", "more than 30 days ago"),
        ("9999999999999999d", "not understood"),
        ("x" * 5000, "^.{0,300}$"),
    ],
)
def test_what_makes_no_sense_is_told_with_the_remedy(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        parse_since(text, NOW_S, UTC)
    assert "24h, 7d" in caught.value.message
    assert caught.value.param == "since"

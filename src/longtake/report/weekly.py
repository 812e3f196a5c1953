"""When a weekly report is due. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

WEEK_S = 7 * 86_400.0
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def last_due(schedule: str, now_s: float, zone: tzinfo | None = None) -> datetime:
    """The latest moment at or before now that the schedule names.

    Args:
        schedule: ``mon 08:00``.
        zone: None: the machine's.
    """
    day, _, time = schedule.partition(" ")
    hour, minute = map(int, time.split(":"))
    now = datetime.fromtimestamp(now_s, zone)
    due = (now - timedelta(days=(now.weekday() - _DAYS.index(day)) % 7)).replace(
        hour=hour, minute=minute, second=0, microsecond=0
    )
    return due if due <= now else due - timedelta(days=7)

"""From when on a report tells, as people write it: ``24h``, ``7d``, ``2026-11-20``."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from longtake.core.errors import InputError

LONGEST_DAYS = 30  # so far back the machine's curves are kept
_UNITS_S = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
_SPAN = re.compile(r"([0-9]{1,6})\s*([mhd])", re.IGNORECASE)


def parse_since(text: str, now_s: float, zone: tzinfo | None = None) -> float:
    """The wall time that ``text`` means, in seconds since the epoch.

    Args:
        zone: In which a date begins; None: the machine's.

    Raises:
        InputError: It is not understood, in the future, or too long ago.
    """
    text = text.strip()
    if found := _SPAN.fullmatch(text):
        since_s = now_s - int(found[1]) * _UNITS_S[found[2].lower()]
    else:
        try:
            at = datetime.fromisoformat(text)
            since_s = (at if at.tzinfo is not None else at.replace(tzinfo=zone)).timestamp()
        except (ValueError, OverflowError, OSError):
            raise _wrong(f"{text[:40]!r} is not understood") from None
    if since_s >= now_s:
        raise _wrong(f"{text[:40]!r} leaves no time to tell of")
    if now_s - since_s > LONGEST_DAYS * _UNITS_S["d"]:
        raise _wrong(f"{text[:40]!r} is more than {LONGEST_DAYS} days ago, and no longer are the curves kept")
    return since_s


def _wrong(what: str) -> InputError:
    return InputError(
        f"{what}. Write how long ago (24h, 7d, 90m) or a date in the past (2026-11-20, 2026-11-20T08:00), at most "
        f"{LONGEST_DAYS} days ago.",
        code="invalid_since",
        param="since",
    )

"""What the log routes answer."""

from __future__ import annotations

from typing import Any

from longtake.wire.fields import View


class LogPage(View):
    """Lines of the log, the newest first, as they lie in the files.

    Attributes:
        cursor: Gives older lines; None when there are none.
        position: Behind the newest line that was there: where a stream goes on.
    """

    lines: list[dict[str, Any]]
    cursor: str | None
    position: str

"""When an engine became slow. Pure."""

from __future__ import annotations

from collections.abc import Sequence

SLOW = 0.7  # of the usual speed: what is below is told


def slow_since(points: Sequence[tuple[float, float]], usual_rtf: float | None) -> float | None:
    """The time of the first of the last points that are all slow; None when the last one is not, or nothing is usual.

    Args:
        points: (wall time, RTF), in order.
    """
    if usual_rtf is None:
        return None
    since_s = None
    for at_s, rtf in reversed(points):
        if rtf * SLOW <= usual_rtf:
            break
        since_s = at_s
    return since_s

"""When a worker has grown so large that a fresh one would do better. Pure: time and bytes are handed in."""

from __future__ import annotations

LEARNS_FOR_S = 600.0
WORTH = 10  # it must have grown by a tenth of the mark


class Recycling:
    """A watermark on what a worker holds, and the sense not to chase it.

    In its first minutes a worker shows what it needs beside its requests: model, workspace, buffers. Above the mark it
    is recycled only once it has grown by a tenth of the mark beyond that, so a mark below what the model alone needs
    costs nothing, and a leak costs a fresh start each time it has leaked that much.
    """

    def __init__(self, mark_bytes: int, began_s: float) -> None:
        """
        Args:
            mark_bytes: Resident bytes above which it may be recycled.
            began_s: When the engine was loaded.
        """
        self._mark_bytes = mark_bytes
        self._learns_until_s = began_s + LEARNS_FOR_S
        self._needed_bytes = 0

    def is_due(self, rss_bytes: int, held_bytes: int, now_s: float) -> bool:
        """
        Args:
            held_bytes: By active requests: a fresh worker would hold that, too.
        """
        own_bytes = rss_bytes - held_bytes
        if now_s < self._learns_until_s:
            self._needed_bytes = max(self._needed_bytes, own_bytes)
            return False
        return rss_bytes > self._mark_bytes and own_bytes - self._needed_bytes > self._mark_bytes // WORTH

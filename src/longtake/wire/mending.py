"""What the admin routes answer: what was done to a worker, and what came back in bytes."""

from __future__ import annotations

from typing import Final

from longtake.wire.fields import View

# How those who ask introduce themselves (User-Agent), so that the audit log can tell who it was.
CLI_AGENT: Final = "longtake-service"
STUDIO_AGENT: Final = "longtake-studio"


class MemoryView(View):
    """A process, in bytes. What it holds of devices is null where there is none."""

    rss_bytes: int
    allocated_bytes: int | None
    reserved_bytes: int | None


class MendedView(View):
    """`done` is false while the worker is still at it; what is null is not known, or not known yet."""

    engine: str
    action: str
    state: str
    done: bool
    before: MemoryView | None
    after: MemoryView | None
    given_back: MemoryView | None


class CleanedView(View):
    """The data folder. `free_bytes` are of its disk, where others write, too."""

    action: str = "clean"
    files: int
    given_back_bytes: int
    temporary_bytes: int
    log_bytes: int
    cache_bytes: int
    free_bytes_before: int
    free_bytes_after: int

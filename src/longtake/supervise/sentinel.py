"""A file that lies there while a process lives: found by the next one, it tells that the last did not end well."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sentinel:
    """What a process leaves word of.

    Attributes:
        process: As in the log.
        at: When it began, seconds since the epoch.
        oom_kills: How many processes the system had killed for want of memory by then; None when it does not say.
    """

    process: str
    pid: int
    boot_id: str
    at: float
    version: str
    oom_kills: int | None = None

    def leave(self, path: Path) -> None:
        """Failing is harmless: a crash would go unnoticed, no more."""
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = path.with_suffix(".new")
            new.write_text(json.dumps(asdict(self)), encoding="utf-8")
            os.replace(new, path)


def find_sentinel(path: Path) -> Sentinel | None:
    """None when there is none, or none that makes sense."""
    try:
        return Sentinel(**json.loads(path.read_bytes()[:4096]))
    except (OSError, ValueError, TypeError):
        return None


def take_back(path: Path) -> None:
    """Ended in good order."""
    with suppress(OSError):
        path.unlink()

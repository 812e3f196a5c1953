"""What is known of processes that did not end in good order, kept for whoever asks why: the newest twenty."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

log = logging.getLogger(__name__)

KEPT = 20
MOST_BYTES = 1 << 20  # a file that is larger is not ours


@dataclass(frozen=True, slots=True)
class Crash:
    """The record of one death.

    Attributes:
        id: Sorts by time.
        at: When it was noticed, seconds since the epoch.
        process: As in the log: web, say, worker-espeak.
        how: The signal or exit code, and what it said last; or what else is known.
        lived_s: Since it was started; None when that is not known.
        memory: What the system says of memory that ran out; None when it says nothing, or may not be asked.
        words: The end of its standard error: stacks, complaints of C libraries.
        lines: The last lines of its log.
        figures: What the worker counted last.
    """

    id: str
    at: float
    process: str
    pid: int
    how: str
    version: str
    lived_s: float | None = None
    memory: str | None = None
    words: str = ""
    lines: tuple[Mapping[str, Any], ...] = ()
    figures: Mapping[str, Any] | None = None


_CRASH = TypeAdapter(Crash)


def crash_id(at: float, process: str, pid: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%S.%f}-{process}-{pid}"


class CrashFolder:
    """Crashes, a file each. Keeping one never raises: there is trouble enough already."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def keep(self, crash: Crash) -> None:
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self.root / f"{crash.id}.json"
            new = path.with_suffix(".new")
            new.write_text(json.dumps(asdict(crash), ensure_ascii=False), encoding="utf-8", errors="replace")
            os.replace(new, path)
            for old in sorted(self.root.glob("*.json"))[:-KEPT]:
                old.unlink(missing_ok=True)
        except OSError as error:
            log.warning("the crash of %s is not recorded: %s", crash.process, error)

    def newest(self) -> list[Crash]:
        """The newest first; what cannot be read is left out."""
        found = []
        with suppress(OSError):
            for path in sorted(self.root.glob("*.json"), reverse=True)[:KEPT]:
                with suppress(OSError, ValueError):
                    if path.stat().st_size <= MOST_BYTES:
                        found.append(_CRASH.validate_json(path.read_bytes()))
        return found

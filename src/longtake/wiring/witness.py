"""Sees processes die that should not have, and keeps what is known of it. For the host alone."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from longtake import __version__
from longtake.core.clock import Clock
from longtake.core.stats import stats_path
from longtake.core.units import format_duration
from longtake.jobs.folder import DataFolder
from longtake.logs import Filter, process_sources, read_back
from longtake.supervise.crashes import Crash, CrashFolder, crash_id
from longtake.supervise.oom import memory_words, oom_kills
from longtake.supervise.sentinel import Sentinel, find_sentinel, take_back
from longtake.supervise.status import Death

log = logging.getLogger(__name__)

LINES = 30
WORDS_BYTES = 16 << 10  # the stacks of some fifty threads


class Witness:
    """Knows of the last host by what it left in the folder, and of workers by what the supervisor tells."""

    def __init__(self, folder: DataFolder, clock: Clock) -> None:
        self.crashes = CrashFolder(folder.crashes)
        self._folder = folder
        self._clock = clock
        self._sentinel = folder.run / "host.alive"
        self._kills = oom_kills()
        self._has_begun = False

    def begin(self, process: str) -> None:
        """This process is the host now; if the one before it died, that is told and kept."""
        before = find_sentinel(self._sentinel)
        if before is not None:
            self._tell_host(before)
        now = Sentinel(process, os.getpid(), self._clock.boot_id, self._clock.wall_s(), __version__, self._kills)
        now.leave(self._sentinel)
        self._has_begun = True

    def end(self) -> None:
        """This process ends in good order; nothing when it is not the host."""
        if self._has_begun:
            take_back(self._sentinel)
            self._has_begun = False

    def _tell_host(self, before: Sentinel) -> None:
        is_same_boot = before.boot_id == self._clock.boot_id
        how = (
            "it was killed, or crashed: it had no time to end in good order"
            if is_same_boot
            else "the machine was started anew while it ran, as after a power cut"
        )
        memory = memory_words(before.pid, before.oom_kills) if is_same_boot else None
        words = _end_of(self._folder.logs / f"{before.process}.err") if is_same_boot else ""
        self._keep(before.process, before.pid, how, before.version, memory=memory, words=words)

    def see(self, death: Death) -> None:
        """A worker has died. Called by the supervisor's thread."""
        before, self._kills = self._kills, oom_kills()
        self._keep(
            f"worker-{death.engine}",
            death.pid,
            death.how,
            __version__,
            lived_s=death.lived_s,
            memory=memory_words(death.pid, before),
            words=death.words,
            figures=_figures(stats_path(self._folder.run, death.worker_id)),
        )

    def _keep(self, process: str, pid: int, how: str, version: str, **known: Any) -> None:
        at = self._clock.wall_s()
        sources = [source for source in process_sources(self._folder.logs) if source.name == process]
        with suppress(OSError, ValueError):
            known["lines"] = tuple(json.loads(raw) for raw in read_back(sources, Filter(), limit=LINES).lines[::-1])
        crash = Crash(crash_id(at, process, pid), at, process, pid, how, version, **known)
        self.crashes.keep(crash)
        memory = f"; {crash.memory}" if crash.memory else ""
        lived = f" after {format_duration(crash.lived_s)}" if crash.lived_s is not None else ""
        log.error("%s did not end in good order%s: %s%s", process, lived, how, memory, extra={"crash": crash.id})


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - WORDS_BYTES))
            return file.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _figures(path: Path) -> Mapping[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None

"""Entries on disk, within a bound. Nothing depends on them: whatever goes wrong here is a passage spoken once more.

``<folder>/<first two digits of the key>/<key>.pcm``, readable by their owner only. What was used longest ago goes
first; a file's time of change says when that was. Several processes may share the folder: each entry is renamed into
its place whole, and one that has just gone was simply not there.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from longtake.cache.entry import Entry, entry_from_bytes, entry_to_bytes

log = logging.getLogger(__name__)

# A full cache is emptied to this part of its bound, so that not every entry has to look through the whole folder.
_LEFT_OF_BOUND = 15 / 16
# After this part of the bound was written, the folder is looked through: others may have written, too.
_LOOK_AFTER = 1 / 16


@dataclass(frozen=True, slots=True)
class Usage:
    """What lies in a cache."""

    entries: int
    used_bytes: int


class _File(NamedTuple):
    used_ns: int
    size_bytes: int
    path: str


class PassageCache:
    """Safe from any thread. No method raises for the disk's sake.

    State, under the lock: `_used_bytes`, what lay in the folder at the last look and was written since (None before the
    first look), and `_fresh_bytes`, what was written since.
    """

    def __init__(
        self, folder: Path, *, bound_bytes: int = 0, has_room: Callable[[int], bool] = lambda size_bytes: True
    ) -> None:
        """
        Args:
            folder: Made with the first entry.
            bound_bytes: How much may lie in it; 0 keeps nothing and finds nothing.
            has_room: Whether the disk has so many bytes for something that nobody needs.
        """
        self.folder = folder
        self.bound_bytes = bound_bytes
        self._has_room = has_room
        self._lock = threading.Lock()
        self._used_bytes: int | None = None
        self._fresh_bytes = 0
        self._has_told = False

    def get(self, key: str) -> Entry | None:
        """The entry, which counts as used now; a damaged one is removed."""
        if not self.bound_bytes:
            return None
        path = self._path(key)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._tell("read", error)
            return None
        entry = entry_from_bytes(key, data)
        with suppress(OSError):
            if entry is None:
                log.warning("a damaged entry is removed from the cache: %s", path.name)
                path.unlink()
            else:
                os.utime(path)  # by the disk's own clock, which also stamps what is written
        return entry

    def put(self, key: str, entry: Entry) -> None:
        """Keep the entry, if there is room for it."""
        data = entry_to_bytes(key, entry)
        size = len(data)
        if size > self.bound_bytes or not self._has_room(size):
            return
        try:
            with self._lock:
                if (
                    self._used_bytes is None
                    or self._used_bytes + size > self.bound_bytes
                    or self._fresh_bytes > self.bound_bytes * _LOOK_AFTER
                ):
                    self._look(size)
                self._write(self._path(key), data)
        except OSError as error:
            self._tell("written", error)

    def give_back(self, needed_bytes: int) -> None:
        """Free that much of the disk, or all there is: something needs it."""
        with self._lock:
            files = sorted(self._files())
            self._used_bytes, self._fresh_bytes = sum(file.size_bytes for file in files), 0
            self._remove(files, self._used_bytes - needed_bytes)

    def usage(self) -> Usage:
        """Counted by looking through the folder: some milliseconds a thousand entries."""
        sizes = [file.size_bytes for file in self._files()]
        return Usage(len(sizes), sum(sizes))

    def clear(self) -> Usage:
        """Remove every entry; gives what there was."""
        with self._lock:
            files = list(self._files())
            self._used_bytes, self._fresh_bytes = sum(file.size_bytes for file in files), 0
            before = Usage(len(files), self._used_bytes)
            self._remove(files, 0)
        return before

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.pcm"

    def _write(self, path: Path, data: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        handle, tmp = tempfile.mkstemp(dir=path.parent, suffix=".tmp")  # 0600, and no other writer's name
        try:
            with open(handle, "wb") as file:
                file.write(data)
            os.replace(tmp, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(tmp)
            raise
        self._used_bytes = (self._used_bytes or 0) + len(data)
        self._fresh_bytes += len(data)

    def _look(self, wanted_bytes: int) -> None:
        """Count what is there; if the wanted bytes do not fit with it, remove what was used longest ago."""
        files = sorted(self._files())
        self._used_bytes, self._fresh_bytes = sum(file.size_bytes for file in files), 0
        if self._used_bytes + wanted_bytes > self.bound_bytes:
            self._remove(files, int(self.bound_bytes * _LEFT_OF_BOUND) - wanted_bytes)

    def _remove(self, files: list[_File], left_bytes: int) -> None:
        """Remove files in their order until no more than that is used."""
        used_bytes = self._used_bytes or 0
        for file in files:
            if used_bytes <= max(0, left_bytes):
                break
            with suppress(OSError):
                os.unlink(file.path)
                used_bytes -= file.size_bytes
        self._used_bytes = used_bytes

    def _files(self) -> Iterator[_File]:
        """All files below the folder, in no order. What a killed writer left half-written is among them, and goes in
        its turn."""
        with suppress(OSError):
            for shelf in os.scandir(self.folder):
                with suppress(OSError):
                    for file in os.scandir(shelf.path):
                        with suppress(OSError):  # another process has just removed it
                            stat = file.stat(follow_symlinks=False)
                            yield _File(stat.st_mtime_ns, stat.st_size, file.path)

    def _tell(self, what: str, error: OSError) -> None:
        """Once: a disk that is full, or cannot be read, would say so for each passage."""
        if not self._has_told:
            self._has_told = True
            log.warning("the cache %s cannot be %s, speaking goes on without it: %s", self.folder, what, error)

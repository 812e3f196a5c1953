"""A file of whole lines that rotates. Writing to it never raises; knows nothing of what the lines say.

Several processes may write to the same file, as two do while one takes over from the other: a line is one `write` at
the end of the file, and a file that another process has moved away is opened anew.
"""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

_MODE = 0o600  # log lines have names of files and voices in them


class LineFile:
    """``web.log``, and the older ``web.log.1`` to ``web.log.4``. One thread at a time."""

    def __init__(self, path: Path, *, limit_bytes: int, kept: int) -> None:
        """
        Args:
            limit_bytes: A file that would grow beyond this is moved away.
            kept: How many older files stay.
        """
        self.path = path
        self.fault = ""  # why the last line could not be written
        self._limit_bytes = limit_bytes
        self._kept = kept
        self._handle: int | None = None
        self._inode = 0
        self._is_torn = False

    def write(self, line: bytes) -> bool:
        """Append a line, which ends with its newline; gives whether all of it was written."""
        try:
            handle = self._opened()
            if self._is_torn:  # whoever wrote last did not come to the end of a line
                line = b"\n" + line
            written = os.write(handle, line)
        except OSError as error:
            self.fault = error.strerror or str(error)
            self.close()
            return False
        self._is_torn = written < len(line)
        self.fault = "no space left" if self._is_torn else ""
        return not self._is_torn

    def close(self) -> None:
        if self._handle is not None:
            with suppress(OSError):  # the disk has no more to say to it
                os.close(self._handle)
            self._handle = None

    def _opened(self) -> int:
        """A handle on the file that bears the name now, with room in it."""
        size = self._size()
        if size is not None and size >= self._limit_bytes:
            self.close()
            self._rotate()
            size = None
        if self._handle is None or size is None:
            self.close()
            self._open()
        assert self._handle is not None  # noqa: S101
        return self._handle

    def _size(self) -> int | None:
        """Of the file of this name; None when it is missing, or not the one that is open."""
        try:
            found = self.path.stat()
        except FileNotFoundError:  # someone tidied up, or is just rotating
            return None
        if self._handle is not None and found.st_ino != self._inode:
            return None
        return found.st_size

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        found = os.fstat(self._handle)
        self._inode = found.st_ino
        self._is_torn = found.st_size > 0 and os.pread(self._handle, 1, found.st_size - 1) != b"\n"

    def _rotate(self) -> None:
        names = [self.path, *(self.path.with_name(f"{self.path.name}.{age}") for age in range(1, self._kept + 1))]
        for younger, older in reversed(list(pairwise(names))):
            with suppress(FileNotFoundError):
                younger.replace(older)
        if not self._kept:
            self.path.unlink(missing_ok=True)

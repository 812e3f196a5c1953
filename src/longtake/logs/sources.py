"""Which files are a log: of all processes, or of one job. Opens nothing that a request names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

# How every line begins (`setup._ordered`): {"time":"2026-11-21T11:51:27.123456Z","level":"info", …
HEAD = b'{"time":"'
TIME = slice(len(HEAD), len(HEAD) + 27)
_TIME_DIGITS = 20
_FILE = re.compile(r"([a-z][a-z0-9-]*)\.log(?:\.\d)?")
_MOST_FILES = 16  # of a source; there are five


@dataclass(frozen=True, slots=True)
class Source:
    """The files of one writer: ``web.log``, and the older ``web.log.1``, ``web.log.2`` …"""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file as it was when it was opened: what others do to its name does not matter any more.

    Attributes:
        id: What it is known by, whatever its name: the time of its first line. An inode would be given to the next
            file as soon as this one is deleted.
    """

    handle: int
    id: int
    size: int

    def read(self, begin: int, end: int) -> bytes:
        return os.pread(self.handle, end - begin, begin)


def process_sources(folder: Path) -> list[Source]:
    """Of every process that wrote a log into the folder."""
    try:
        with os.scandir(folder) as entries:
            names = {found[1] for entry in entries if (found := _FILE.fullmatch(entry.name)) and entry.is_file()}
    except OSError:  # nobody has written yet
        return []
    return [Source(name, folder / f"{name}.log") for name in sorted(names)]


def job_sources(path: Path) -> list[Source]:
    """Of one job, whose log is ``path``."""
    return [Source("job", path)]


@contextmanager
def opened(source: Source) -> Iterator[Sequence[OpenFile]]:
    """All files of a source, the newest first. While they are open, rotation takes nothing away."""
    with ExitStack() as handles:
        files: list[OpenFile] = []
        for age in range(_MOST_FILES):
            path = source.path if not age else source.path.with_name(f"{source.path.name}.{age}")
            try:
                handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                if age:
                    break
                continue  # just being moved away
            handles.callback(_close, handle)
            file = identified(handle)
            if file is not None and all(file.id != other.id for other in files):  # moved on between two looks
                files.append(file)
        yield files


def identified(handle: int) -> OpenFile | None:
    """None when nothing is written yet."""
    found = os.fstat(handle)
    if not found.st_size:
        return None
    begin = os.pread(handle, TIME.stop, 0)
    digits = re.sub(rb"\D", b"", begin[TIME])
    is_ours = begin.startswith(HEAD) and len(digits) == _TIME_DIGITS
    return OpenFile(handle, int(digits) if is_ours else found.st_ino, found.st_size)


def _close(handle: int) -> None:
    with suppress(OSError):
        os.close(handle)

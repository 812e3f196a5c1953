"""Files that survive a crash, and I/O errors in our own words. Knows nothing of what they hold."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from longtake.core.errors import DiskFullError, LongtakeError, WorkerError
from longtake.core.failpoints import reach

WRITE_FAILED = "write_failed"  # code of a WorkerError
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was removed from a data folder.

    Attributes:
        files: Half-written ones of killed processes, of `temporary_bytes`.
        log_bytes: Of the store's log.
        cache_bytes: Of passages spoken before.
        free_bytes_before, free_bytes_after: On its disk, where others write, too.
    """

    files: int
    temporary_bytes: int
    log_bytes: int
    cache_bytes: int
    free_bytes_before: int
    free_bytes_after: int

    @property
    def given_back_bytes(self) -> int:
        return self.temporary_bytes + self.log_bytes + self.cache_bytes


def disk_error(error: OSError, path: Path | None) -> LongtakeError:
    """Translate an I/O error: no room becomes DiskFullError that names the folder, all else WorkerError.

    Args:
        error: What the system said.
        path: The file concerned; None for a file without a name.
    """
    reason = error.strerror or str(error)
    if error.errno in _NO_ROOM:
        where = f"The folder {path.parent}" if path else "The disk"
        return DiskFullError(f"{where} has no room for more audio ({reason}). Free some space, then try again.")
    return WorkerError(f"Could not write {path or 'the audio'}: {reason}.", code=WRITE_FAILED)


def commit_file(tmp: Path, final: Path, what: str = "file") -> None:
    """Make ``tmp`` durable under the name ``final``: fsync, rename, fsync the folder. Replaces what stood there.

    Args:
        what: Names its fail-points.

    Raises:
        DiskFullError: The folder has no room.
        WorkerError: Any other I/O error.
    """
    try:
        reach(f"{what}-written")
        _fsync(tmp, os.O_RDWR)
        reach(f"{what}-durable")
        os.replace(tmp, final)
        reach(f"{what}-named")
        _fsync(final.parent, os.O_RDONLY)
        reach(f"{what}-kept")
    except OSError as error:
        raise disk_error(error, final) from error


def link_file(source: Path, target: Path) -> bool:
    """Give a file that is written no more a second name; where the file system has no links, a copy. False when the
    source is not there. The name is durable once its folder was given to `sync_folder`.

    Raises:
        DiskFullError: The folder has no room.
        WorkerError: Any other I/O error.
    """
    try:
        try:
            os.link(source, target)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise
            shutil.copyfile(source, target)
            _fsync(target, os.O_RDWR)
    except OSError as error:
        raise disk_error(error, target) from error
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        DiskFullError: It has no room.
        WorkerError: Any other I/O error.
    """
    try:
        _fsync(folder, os.O_RDONLY)
    except OSError as error:
        raise disk_error(error, folder) from error


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

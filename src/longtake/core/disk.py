"""Files that survive a crash, and I/O errors in our own words. Knows nothing of what they hold."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from longtake.core.errors import DiskFullError, LongtakeError, WorkerError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


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
    return WorkerError(f"Could not write {path or 'the audio'}: {reason}.", code="write_failed")


def commit_file(tmp: Path, final: Path) -> None:
    """Make ``tmp`` durable under the name ``final``: fsync, rename, fsync the folder. Replaces what stood there.

    Raises:
        DiskFullError: The folder has no room.
        WorkerError: Any other I/O error.
    """
    try:
        _fsync(tmp, os.O_RDWR)
        os.replace(tmp, final)
        sync_folder(final.parent)
    except OSError as error:
        raise disk_error(error, final) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        OSError: As the system says it.
    """
    _fsync(folder, os.O_RDONLY)


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

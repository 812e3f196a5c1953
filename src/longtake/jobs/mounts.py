"""Which file system a folder lies on, by the mount table of Linux. Knows nothing of what lies there.

SQLite's write-ahead log is shared memory between processes, and its locks are the file system's: over a network both
fail in silence, and the store is damaged weeks later. So it is asked before anything is written.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

MOUNT_TABLE = Path("/proc/self/mountinfo")
NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "afs", "coda", "davfs", "ceph", "glusterfs", "lustre"),
        *("beegfs", "gpfs", "orangefs", "pvfs2", "fuse.sshfs", "fuse.ceph", "fuse.glusterfs", "fuse.davfs2"),
        *("fuse.s3fs", "fuse.goofys", "fuse.gcsfuse", "fuse.rclone", "fuse.juicefs", "fuse.curlftpfs", "fuse.smbnetfs"),
    }
)
"""Types whose files other machines may write, as the kernel names them."""

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of the mount table: what is mounted, where, and of what type."""

    point: str
    type: str
    source: str


def network_mount(folder: Path) -> Mount | None:
    """The network file system that the folder lies on, or would when it is made; None on a local one.

    Links are followed. Where there is no mount table, as on macOS, nobody knows, and the answer is None.
    """
    try:
        table = MOUNT_TABLE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    mount = find_mount(os.path.realpath(folder), table)
    return mount if mount is not None and mount.type in NETWORK else None


def find_mount(path: str, table: str) -> Mount | None:
    """The mount that a path belongs to: the longest mount point above it, of equals the last, which hides the others.

    Args:
        path: Absolute, without links.
        table: As /proc/self/mountinfo has it (proc(5)): fields, ` - `, type, source, options. What cannot be read of
            it is passed over.
    """
    found: Mount | None = None
    for line in table.splitlines():
        mount = _mount(line)
        if mount is None or not _is_below(path, mount.point):
            continue
        if found is None or len(mount.point) >= len(found.point):
            found = mount
    return found


def _mount(line: str) -> Mount | None:
    fields, _, tail = line.partition(" - ")
    before, after = fields.split(" "), tail.split(" ")
    if len(before) < 5 or len(after) < 2:
        return None
    return Mount(_plain(before[4]), after[0], _plain(after[1]))


def _plain(text: str) -> str:
    r"""``\040`` is a space: the kernel escapes what would end the field, byte by byte."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)


def _is_below(path: str, point: str) -> bool:
    return point == "/" or path == point or path.startswith(f"{point}/")

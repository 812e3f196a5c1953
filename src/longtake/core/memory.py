"""How much host memory is free, as far as this process may have it: a container's limit counts; what a process holds,
and how the C library gives back what it keeps. Measures no device."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

SHARE_OF_FREE = 0.5  # of host memory that one engine's requests take by themselves: others live there, too
_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
# Limit, use, and the line of memory.stat with file pages that the kernel takes back when it needs them; version 2, 1.
_FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a process holds.

    Attributes:
        rss_bytes: Resident in host memory.
        allocated_bytes: Of its devices' memory, in tensors; None without a device that torch knows.
        reserved_bytes: The same, with what torch keeps to give to tensors later.
    """

    rss_bytes: int
    allocated_bytes: int | None = None
    reserved_bytes: int | None = None

    def less(self, after: MemoryUse) -> MemoryUse:
        """What was given back since; what has grown meanwhile is 0, and what was not measured twice is None."""
        return MemoryUse(
            max(0, self.rss_bytes - after.rss_bytes),
            _less(self.allocated_bytes, after.allocated_bytes),
            _less(self.reserved_bytes, after.reserved_bytes),
        )


def _less(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else max(0, before - after)


def rss_bytes(pid: int | None = None) -> int:
    """Resident bytes of a process, of this one by itself; 0 of one that has gone."""
    import psutil  # only here, as below

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def trim() -> None:
    """Have the C library return what it keeps in its arenas."""
    with contextlib.suppress(OSError, AttributeError):  # another one than glibc: it keeps less by itself
        ctypes.CDLL(None).malloc_trim(0)


def free_host_bytes(*, groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """What is free on the machine, or left of the limit of a control group that this process is in, if that is less.

    Args:
        groups: Where the control groups are mounted.
        own: The list of this process's groups.
    """
    import psutil  # only here: what is without it can still load a model with its types given

    left = (group.left_bytes for group in limited_groups(groups=groups, own=own))
    return min([int(psutil.virtual_memory().available), *left])


@dataclass(frozen=True, slots=True)
class GroupMemory:
    """A control group that limits the memory of this process."""

    limit_bytes: int
    used_bytes: int
    reclaimable_bytes: int

    @property
    def left_bytes(self) -> int:
        return max(0, self.limit_bytes - self.used_bytes + self.reclaimable_bytes)


def limited_groups(*, groups: Path = _GROUPS, own: Path = _OWN) -> list[GroupMemory]:
    """The control groups with a limit that this process is in, the inner ones first; see `free_host_bytes`."""
    found = [_memory(group, *_FILES[name]) for name, group in own_groups(_FILES, groups=groups, own=own)]
    return [group for group in found if group is not None]


def own_groups(controllers: Collection[str], *, groups: Path = _GROUPS, own: Path = _OWN) -> list[tuple[str, Path]]:
    """(controllers, folder) of the control groups that this process is in, the inner ones first.

    Args:
        controllers: Wanted, as the list of this process's groups names them; "" is version 2.
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return []
    found: list[tuple[str, Path]] = []
    for line in lines:
        _, name, path = line.split(":", 2)
        if name in controllers:
            root = groups / name
            inner = root / path.lstrip("/")
            # A container may see its own group as the root, whatever path the list gives.
            found += [(name, group) for group in (inner, *inner.parents) if group.is_relative_to(root)]
    return found


def _memory(group: Path, limit: str, use: str, reclaimable: str) -> GroupMemory | None:
    """None where there is no limit."""
    try:
        most = (group / limit).read_text(encoding="ascii").strip()
        used = int((group / use).read_text(encoding="ascii"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        return None if most == "max" else GroupMemory(int(most), used, int(stat.get(reclaimable, 0)))
    except (OSError, ValueError):
        return None

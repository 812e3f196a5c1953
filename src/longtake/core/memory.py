"""How much host memory is free, as far as this process may have it: a container's limit counts. Knows no device."""

from __future__ import annotations

from pathlib import Path

SHARE_OF_FREE = 0.5  # of host memory that one engine's requests take by themselves: others live there, too
_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
# Limit, use, and the line of memory.stat with file pages that the kernel takes back when it needs them; version 2, 1.
_FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_host_bytes(*, groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """What is free on the machine, or left of the limit of a control group that this process is in, if that is less.

    Args:
        groups: Where the control groups are mounted.
        own: The list of this process's groups.
    """
    import psutil  # only here: what is without it can still load a model with its types given

    return min([int(psutil.virtual_memory().available), *_left_in_groups(groups, own)])


def _left_in_groups(groups: Path, own: Path) -> list[int]:
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return []
    found: list[int | None] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in _FILES:
            root = groups / controllers
            inner = root / path.lstrip("/")
            # A container may see its own group as the root, whatever path the list gives.
            outer = [group for group in (inner, *inner.parents) if group.is_relative_to(root)]
            found += [_left(group, *_FILES[controllers]) for group in outer]
    return [left for left in found if left is not None]


def _left(group: Path, limit: str, use: str, reclaimable: str) -> int | None:
    """None where there is no limit."""
    try:
        most = (group / limit).read_text(encoding="ascii").strip()
        used = int((group / use).read_text(encoding="ascii"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        return None if most == "max" else max(0, int(most) - used + int(stat.get(reclaimable, 0)))
    except (OSError, ValueError):
        return None

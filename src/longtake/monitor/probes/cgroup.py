"""What a container lets us have. Knows no machine."""

from __future__ import annotations

from pathlib import Path

from longtake.core.memory import limited_groups, own_groups
from longtake.monitor.probes.records import CgroupReading

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_CPU = ("", "cpu", "cpu,cpuacct")  # version 2, and the names that version 1 mounts it under
# Above what a machine can have, version 1 means that there is no limit.
_NO_LIMIT_BYTES = 1 << 60


def read_cgroup(*, groups: Path = _GROUPS, own: Path = _OWN) -> CgroupReading | None:
    """The tightest limit of each kind, over the group of this process and those around it; None where there is none.

    Args:
        groups: Where the control groups are mounted.
        own: The list of this process's groups.
    """
    memory = [group for group in limited_groups(groups=groups, own=own) if group.limit_bytes < _NO_LIMIT_BYTES]
    tightest = min(memory, key=lambda group: group.left_bytes, default=None)
    shares = [_cores(group) for _, group in own_groups(_CPU, groups=groups, own=own)]
    cores = min((share for share in shares if share is not None), default=None)
    if tightest is None and cores is None:
        return None
    return CgroupReading(
        memory_limit_bytes=None if tightest is None else tightest.limit_bytes,
        memory_used_bytes=None if tightest is None else tightest.used_bytes,
        cpu_limit_cores=cores,
    )


def _cores(group: Path) -> float | None:
    """None where there is no limit."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text(encoding="ascii")
            period = (group / "cpu.cfs_period_us").read_text(encoding="ascii")
        return None if quota == "max" or int(quota) < 0 else int(quota) / int(period)
    except (OSError, ValueError):
        return None

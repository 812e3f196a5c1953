"""What the system tells of processes that it killed for want of memory, as far as this one may read it. Linux alone."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_SYSTEM = Path("/proc/vmstat")
_KERNEL_LOG = Path("/dev/kmsg")
_COUNT = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_KILLED = re.compile(r"Killed process (\d+)")
_MOST_LINES = 20_000  # the kernel's log is a ring of some MiB


def oom_kills() -> int | None:
    """How many processes were killed so: in our control group, or else on the machine; None when nobody says."""
    try:
        own = _OWN.read_text()
    except OSError:
        own = ""
    places = [_GROUPS / line.split(":", 2)[2].lstrip("/") for line in own.splitlines() if line.count(":") >= 2]
    for path in (*(place / "memory.events" for place in places), _GROUPS / "memory.events", _SYSTEM):
        try:
            found = _COUNT.search(path.read_text())
        except OSError:
            continue
        if found is not None:
            return int(found[1])
    return None


def kernel_words(pid: int) -> str | None:
    """The kernel's own line about that process; None when there is none, or its log may not be read."""
    try:
        handle = os.open(_KERNEL_LOG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    last = None
    try:
        for _ in range(_MOST_LINES):
            try:
                line = os.read(handle, 8192).decode("utf-8", "replace")  # one record a read
            except OSError as error:
                if error.errno == errno.EPIPE:  # overwritten while we read: the next one is there
                    continue
                break
            if not line:
                break
            found = _KILLED.search(line)
            if found and int(found[1]) == pid:
                last = line.partition(";")[2].splitlines()[0].strip()
    finally:
        os.close(handle)
    return last


def memory_words(pid: int, kills_before: int | None) -> str | None:
    """What the system says about memory and a process that has just died; None when it says nothing."""
    if (words := kernel_words(pid)) is not None:
        return words
    now = oom_kills()
    if now is not None and kills_before is not None and now > kills_before:
        # In a container the kernel's log is not ours to read, and its pids are others.
        return f"the system killed {now - kills_before} processes for want of memory in that time"
    return None

"""Named places at the borders of every commit, for tests to cut the program short. Knows not what they border.

Armed by the environment, by tests alone; an unarmed one costs a comparison:

    LONGTAKE_FAILPOINT=stretch-named:kill        the first time a process comes there
    LONGTAKE_FAILPOINT=stretch-named:kill:3      the third time
    LONGTAKE_FAILPOINT_FIRED=FILE                made when it fires; while it is there, none fires any more
"""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from longtake.core.errors import InputError

# In the order of a job's way. A number is a place in this list; -written: not durable yet, -committed: nobody told yet.
POINTS = (
    "submit-written",
    "submit-committed",
    "claim-written",
    "claim-committed",
    "beat-written",
    "beat-committed",
    "stretch-begun",
    "stretch-written",
    "stretch-durable",
    "stretch-named",
    "stretch-kept",
    "row-written",
    "row-committed",
    "audio-grown",
    "audio-written",
    "audio-durable",
    "audio-named",
    "audio-kept",
    "finish-written",
    "finish-committed",
    "take-written",
    "take-committed",
    "links-kept",
    "cut-written",
    "cut-committed",
    "copy-written",
    "copy-durable",
    "copy-named",
    "copy-kept",
    "delivered-written",
    "delivered-committed",
    "forget-written",
    "forget-committed",
)


class Action(StrEnum):
    KILL = "kill"
    RAISE = "raise"
    ENOSPC = "enospc"
    EIO = "eio"
    STALL = "stall"


_ARMING = re.compile(rf"(?P<point>[a-z-]+):(?P<action>{'|'.join(Action)})(:(?P<nth>[1-9]\d*))?")


class FailPointError(Exception):
    """What nobody expected: not one of the program's own errors."""


@dataclass(slots=True)
class _Armed:
    point: str
    action: Action
    nth: int
    fired: Path | None
    reached: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_due(self) -> bool:
        with self.lock:
            self.reached += 1
            if self.reached != self.nth:
                return False
        if self.fired is None:
            return True
        try:
            self.fired.touch(exist_ok=False)  # one process alone makes it
        except FileExistsError:
            return False
        return True


def reach(point: str) -> None:
    """The program stands at ``point``.

    Raises:
        OSError: ENOSPC or EIO, if it is armed so.
        FailPointError: If it is armed so.
    """
    if _armed is not None and _armed.point == point and _armed.is_due():
        _act(_armed.action, point)


def _act(action: Action, point: str) -> None:
    match action:
        case Action.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        case Action.STALL:
            while True:
                time.sleep(3600)
        case Action.RAISE:
            raise FailPointError(f"fail-point {point}")
        case Action.ENOSPC:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        case Action.EIO:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def read_arming(environment: dict[str, str]) -> _Armed | None:
    """
    Raises:
        InputError: It names no point or no action.
    """
    text = environment.get("LONGTAKE_FAILPOINT")
    if not text:
        return None
    match = _ARMING.fullmatch(text)
    if match is None or match["point"] not in POINTS:
        raise InputError(
            f"LONGTAKE_FAILPOINT is {text!r}; it must be POINT:ACTION or POINT:ACTION:NTH, the action one of "
            f"{', '.join(Action)}, the point one of {', '.join(POINTS)}. It is for tests: unset it.",
            code="invalid_setting",
        )
    fired = environment.get("LONGTAKE_FAILPOINT_FIRED")
    return _Armed(match["point"], Action(match["action"]), int(match["nth"] or 1), Path(fired) if fired else None)


_armed = read_arming(dict(os.environ))

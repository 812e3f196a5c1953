"""How long the device takes for each part of a step. Never waits for it: on CUDA a time is read when it is there."""

from __future__ import annotations

import time
from collections import deque

import torch

LM, DIFFUSION, CODEC, PREFILL = "lm", "diffusion", "codec", "prefill"


class Parts:
    """Counts what lies between two marks, of one thread.

    Attributes:
        seconds: Part → seconds so far.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = {}
        self._clock: _HostClock | _DeviceClock = (
            _DeviceClock(self.seconds) if device.type == "cuda" else _HostClock(self.seconds)
        )

    def begin(self) -> None:
        """A part begins here."""
        self._clock.begin()

    def end(self, part: str) -> None:
        """What came since the latest mark was of this part; the next part begins here."""
        self._clock.end(part)


class _HostClock:
    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._mark_s = 0.0

    def begin(self) -> None:
        self._mark_s = time.perf_counter()

    def end(self, part: str) -> None:
        mark_s, self._mark_s = self._mark_s, time.perf_counter()
        self._seconds[part] = self._seconds.get(part, 0.0) + self._mark_s - mark_s


class _DeviceClock:
    """Events in the stream, which cost some microseconds each. A step later the device has passed them."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._mark: torch.cuda.Event | None = None
        self._open: deque[tuple[str, torch.cuda.Event, torch.cuda.Event]] = deque()

    def begin(self) -> None:
        while self._open and self._open[0][2].query():  # type: ignore[no-untyped-call]
            part, mark, end = self._open.popleft()
            self._seconds[part] = self._seconds.get(part, 0.0) + mark.elapsed_time(end) / 1000
        self._mark = self._event()

    def end(self, part: str) -> None:
        mark, self._mark = self._mark, self._event()
        if mark is not None:
            self._open.append((part, mark, self._mark))

    def _event(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

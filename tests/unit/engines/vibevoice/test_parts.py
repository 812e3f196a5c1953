"""Seconds by part, on the host; on CUDA with events that a test lets pass."""

from __future__ import annotations

import time

import pytest
import torch

from longtake.engines.vibevoice.decoding.parts import Parts


def test_on_the_host_a_part_is_what_lies_between_two_marks() -> None:
    parts = Parts(torch.device("cpu"))
    for _ in range(2):
        parts.begin()
        time.sleep(0.02)
        parts.end("lm")
        time.sleep(0.01)
        parts.end("codec")
        time.sleep(0.05)  # belongs to nobody
    assert parts.seconds["lm"] == pytest.approx(0.04, abs=0.02)
    assert parts.seconds["codec"] == pytest.approx(0.02, abs=0.02)
    assert set(parts.seconds) == {"lm", "codec"}


class Event:
    """The n-th event is passed at n hundredths of a second, once the device has come so far."""

    made = 0
    passed = 0

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        Event.made += 1
        self.number = Event.made

    def query(self) -> bool:
        return self.number <= Event.passed

    def elapsed_time(self, other: Event) -> float:
        assert self.query()
        assert other.query(), "asked before it is there: that would wait"
        return 10.0 * (other.number - self.number)


def test_on_cuda_a_time_is_read_when_the_device_has_passed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Event", Event)
    parts = Parts(torch.device("cuda"))
    parts.begin()
    parts.end("lm")
    parts.end("codec")
    parts.begin()
    assert parts.seconds == {}, "the device is not so far"
    Event.passed = 2
    parts.begin()
    assert parts.seconds == pytest.approx({"lm": 0.01})
    parts.end("lm")
    Event.passed = Event.made
    parts.begin()
    assert parts.seconds == pytest.approx({"lm": 0.02, "codec": 0.01})

"""Who is told, when, how often and in which words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longtake.monitor import Samples, Sight
from longtake.monitor.alerts import AlertDesk
from longtake.monitor.alerts.desk import FILE, FORGET_S, told_alerts
from longtake.monitor.alerts.send import Message
from tests.support.clock import HandClock

DISK = "longtake_disk_free_bytes"
LOST = "longtake_gpu_lost"


class Night:
    """A server that is watched."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.clock = HandClock()
        self.samples: Samples = {}
        self.sent: list[Message] = []
        self.folder = folder
        self.options = options
        self.start()

    def start(self) -> None:
        self.desk = AlertDesk(
            lambda: Sight(self.clock.monotonic_s(), self.samples, {}, {}),
            self.sent.append,
            self.folder,
            self.clock,
            **self.options,  # type: ignore[arg-type]
        )

    def passes(self, minutes: float) -> list[Message]:
        """Gives what was sent meanwhile."""
        before = len(self.sent)
        for _ in range(round(minutes * 6)):
            self.clock.sleep(10.0)
            self.desk.look()
        return self.sent[before:]


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path / "run")


def test_one_message_when_it_comes_on_and_one_when_it_is_over(night: Night) -> None:
    night.samples = {DISK: {(): 1e9}}
    assert night.passes(4) == []
    (on,) = night.passes(60)
    assert (on.title, on.kind) == ("longtake: 1 on: DiskLow", "warning")
    assert "now 1e+09, limit 5.36871e+09" in on.body
    assert "Delete jobs" in on.body
    assert [alert.key for alert in night.desk.active] == ["LongtakeDiskLow"]
    night.samples = {DISK: {(): 1e12}}
    assert night.passes(4) == []
    (over,) = night.passes(30)
    assert (over.title, over.kind) == ("longtake: over: DiskLow", "success")
    assert night.desk.active == ()


def test_what_flutters_is_told_once(night: Night) -> None:
    for _ in range(10):
        night.samples = {DISK: {(): 1e9}}
        night.passes(6)
        night.samples = {DISK: {(): 1e12}}
        night.passes(2)
    assert len(night.sent) == 1


def test_what_stays_is_told_again_after_hours(night: Night) -> None:
    night.samples = {DISK: {(): 1e9}}
    night.passes(10 * 60)
    assert [message.title for message in night.sent] == ["longtake: 1 on: DiskLow"] * 3


def test_a_clock_that_is_set_back_silences_nothing(night: Night) -> None:
    night.samples = {DISK: {(): 1e9}}
    night.passes(10)
    (night.folder / FILE).write_text(json.dumps({"LongtakeDiskLow": night.clock.wall_s() + 1e7}))
    night.start()
    assert [message.title for message in night.passes(10)] == ["longtake: 1 on: DiskLow"]


def test_what_happens_at_once_is_one_message_and_as_grave_as_its_worst(night: Night) -> None:
    night.samples = {LOST: {("0",): 1, ("1",): 1, ("2",): 0}}
    (message,) = night.passes(10)
    assert (message.kind, message.body.count("A GPU is gone")) == ("failure", 2)
    assert "[gpu 0]" in message.body
    assert "[gpu 1]" in message.body


def test_a_server_that_starts_again_does_not_tell_everything_anew(night: Night) -> None:
    night.samples = {DISK: {(): 1e9}}
    night.passes(10)
    assert set(told_alerts(night.folder)) == {"LongtakeDiskLow"}
    night.start()
    assert night.passes(10) == []
    night.samples = {DISK: {(): 1e12}}
    assert len(night.passes(10)) == 1, "that it is over is told by the next one"
    assert told_alerts(night.folder) == {}


def test_what_was_over_while_the_server_was_down_is_forgotten(night: Night) -> None:
    night.samples = {DISK: {(): 1e9}}
    night.passes(10)
    night.samples = {}
    night.start()
    night.passes(30)
    assert told_alerts(night.folder)
    night.passes(FORGET_S / 60)
    assert told_alerts(night.folder) == {}
    assert len(night.sent) == 1


def test_a_threshold_of_the_settings_counts(tmp_path: Path) -> None:
    night = Night(tmp_path, thresholds={"LongtakeDiskLow": 5e8})
    night.samples = {DISK: {(): 1e9}}
    assert night.passes(20) == []
    night.samples = {DISK: {(): 4e8}}
    assert "limit 5e+08" in night.passes(20)[0].body


def test_in_chinese(tmp_path: Path) -> None:
    night = Night(tmp_path, language="zh")
    night.samples = {DISK: {(): 1e9}}
    (message,) = night.passes(10)
    assert message.title == "longtake: 1 项告警: DiskLow"
    assert "数据目录剩余空间不足" in message.body
    night.samples = {DISK: {(): 1e12}}
    assert "已恢复" in night.passes(10)[0].title


def test_figures_that_nobody_takes_any_more(night: Night) -> None:
    """The sight stays what it was, and only grows old."""
    seen_s = night.clock.monotonic_s()
    night.desk._latest = lambda: Sight(seen_s, {}, {}, {})
    assert "FiguresOld" in night.passes(3)[0].title


def test_a_file_that_cannot_be_written_or_read_does_no_harm(tmp_path: Path) -> None:
    blocked = tmp_path / "run"
    blocked.write_text("a file stands here")
    night = Night(blocked)
    night.samples = {DISK: {(): 1e9}}
    assert len(night.passes(10)) == 1
    (tmp_path / "alerts.json").write_text("[1, 2")
    assert told_alerts(tmp_path) == {}

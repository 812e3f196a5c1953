"""Records of deaths, sentinels, and what the system says of memory."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from longtake.supervise import oom
from longtake.supervise.crashes import KEPT, Crash, CrashFolder, crash_id
from longtake.supervise.sentinel import Sentinel, find_sentinel, take_back

CRASH = Crash("x", 1.0, "web", 7, "killed by SIGKILL", "0.1.0", lines=({"event": "last"},), figures={"steps": 3})


def test_the_newest_are_kept_and_read_back_as_they_were(tmp_path: Path) -> None:
    folder = CrashFolder(tmp_path / "crashes")
    assert folder.newest() == []
    for number in range(KEPT + 5):
        folder.keep(replace(CRASH, id=crash_id(1e9 + number, "web", 7), at=1e9 + number, words="\ud800 odd"))
    assert len(list(folder.root.iterdir())) == KEPT, "older ones are deleted"
    (folder.root / "zzz.json").write_text('{"id": 1}')
    found = folder.newest()
    assert [crash.at for crash in found] == [1e9 + KEPT + 4 - number for number in range(KEPT - 1)]
    assert (found[0].figures, found[0].lines[0]["event"]) == ({"steps": 3}, "last")


def test_what_makes_no_sense_is_left_out_and_what_a_newer_version_adds_is_no_matter(tmp_path: Path) -> None:
    folder = CrashFolder(tmp_path)
    folder.keep(CRASH)
    changes: tuple[dict[str, object], ...] = ({"weather": "fine"}, {"at": "soon"}, {"lines": [1]}, {"how": None})
    for number, change in enumerate(changes):
        (tmp_path / f"{number}.json").write_text(json.dumps(asdict(CRASH) | change))
    (tmp_path / "9.json").write_text("[]")
    assert folder.newest() == [CRASH, CRASH]


def test_keeping_one_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "crashes").write_text("a file")
    CrashFolder(tmp_path / "crashes").keep(CRASH)
    assert "not recorded" in caplog.text
    assert CrashFolder(tmp_path / "crashes").newest() == []


def test_a_sentinel_lies_there_until_it_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "run" / "host.alive"
    sentinel = Sentinel("web", 7, "boot", 1.0, "0.1.0", 3)
    assert find_sentinel(path) is None
    sentinel.leave(path)
    assert find_sentinel(path) == sentinel
    take_back(path)
    take_back(path)
    assert find_sentinel(path) is None
    path.write_text("{}")
    assert find_sentinel(path) is None, "one that makes no sense is none"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files in which Linux tells of memory."""
    (tmp_path / "groups" / "own").mkdir(parents=True)
    (tmp_path / "own").write_text("0::/own\n")
    (tmp_path / "vmstat").write_text("nr_free_pages 5\noom_kill 40\n")
    (tmp_path / "kmsg").write_bytes(b"")
    for name, path in (("_GROUPS", "groups"), ("_OWN", "own"), ("_SYSTEM", "vmstat"), ("_KERNEL_LOG", "kmsg")):
        monkeypatch.setattr(oom, name, tmp_path / path)
    return tmp_path


def test_the_counter_of_our_own_group_goes_first(system: Path) -> None:
    assert oom.oom_kills() == 40
    (system / "groups" / "memory.events").write_text("oom 2\noom_kill 5\noom_group_kill 0\n")
    assert oom.oom_kills() == 5
    (system / "groups" / "own" / "memory.events").write_text("oom 1\noom_kill 2\noom_group_kill 9\n")
    assert oom.oom_kills() == 2
    assert oom.memory_words(7, 2) is None
    assert oom.memory_words(7, 1) == "the system killed 1 processes for want of memory in that time"


def test_where_nobody_tells_nothing_is_said(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_GROUPS", "_OWN", "_SYSTEM", "_KERNEL_LOG"):
        monkeypatch.setattr(oom, name, system / "nowhere")
    assert oom.oom_kills() is None
    assert oom.memory_words(7, 1) is None


def test_the_kernels_line_about_a_process(system: Path) -> None:
    (system / "kmsg").write_text("4,1,2,-;Out of memory: Killed process 7 (python3) total-vm:9kB\n SUBSYSTEM=x\n")
    assert oom.kernel_words(8) is None
    assert oom.memory_words(7, None) == "Out of memory: Killed process 7 (python3) total-vm:9kB"

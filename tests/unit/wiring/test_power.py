from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from longtake.monitor.probes.records import GpuState
from longtake.wiring.power import PowerLimit
from tests.support.nvml.script import card
from tests.support.nvml.watch import until, watching


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def limits(watch: Any) -> list[float]:
    found: list[float] = watch.do(lambda session: [session.power_limits(index)[0] for index in session.uuids()]).result(
        5
    )
    return found


def test_a_limit_is_set_and_taken_back_at_the_end(tmp_path: Path) -> None:
    note = tmp_path / "power-limits.json"
    with watching({"cards": [card(0), card(1, limit_mw=600_000)]}) as watch:
        power = PowerLimit(watch, note, 450.0)
        assert power.apply() is not None
        assert limits(watch) == [450.0, 450.0]
        assert power.limits == {0: 450.0, 1: 450.0}
        assert json.loads(note.read_text()) == {"GPU-0": 700.0, "GPU-1": 600.0}
        power.restore()
        assert limits(watch) == [700.0, 600.0]
        assert not note.exists()
        assert power.limits == {}


def test_what_a_dead_host_left_is_taken_back_also_when_no_limit_is_wanted_any_more(tmp_path: Path) -> None:
    note = tmp_path / "power-limits.json"
    with watching({"cards": [card(0)]}) as watch:
        PowerLimit(watch, note, 300.0).apply()  # and it is killed
        PowerLimit(watch, note, 400.0).apply()
        assert limits(watch) == [400.0]
        assert json.loads(note.read_text()) == {"GPU-0": 700.0}, "not what the dead one had set"
        assert PowerLimit(watch, note, None).apply() is not None
        assert limits(watch) == [700.0]
        assert not note.exists()
        assert PowerLimit(watch, note, None).apply() is None


def test_without_the_permission_it_is_told_and_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    note = tmp_path / "power-limits.json"
    with watching({"cards": [card(0, permits=False), card(1)]}) as watch:
        power = PowerLimit(watch, note, 450.0)
        power.apply()
        assert limits(watch) == [700.0, 450.0]
        assert power.limits == {1: 450.0}
        power.restore()
        assert limits(watch) == [700.0, 700.0]
    assert (
        "the power limit of card 0 cannot be set to 450 W: Insufficient Permissions; it stays at 700 W" in caplog.text
    )
    assert not note.exists(), "there is nothing to take back"


@pytest.mark.parametrize("watts", [100.0, 900.0])
def test_what_the_card_does_not_take_is_told_with_what_it_takes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, watts: float
) -> None:
    with watching({"cards": [card(0)]}) as watch:
        PowerLimit(watch, tmp_path / "note", watts).apply()
        assert limits(watch) == [700.0]
    assert f"heat.power_limit_watts is {watts:g}, but card 0 takes 200 to 700 W; it stays at 700 W" in caplog.text


def test_a_card_without_a_limit_and_a_machine_without_cards(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = card(0)
    del whole["limits_mw"]
    with watching({"cards": [whole]}) as watch:
        PowerLimit(watch, tmp_path / "note", 450.0).apply()
        watch.do(lambda _: None).result(5)
    assert "card 0 has no power limit that can be set: Not Supported" in caplog.text
    with watching({"driver": "LibraryNotFound"}) as watch:
        done = PowerLimit(watch, tmp_path / "note", 450.0).apply()
        assert done is not None
        assert isinstance(done.exception(5), ConnectionError)
    assert "power limits are left as they are: no NVIDIA driver" in caplog.text


def test_a_card_that_is_lost_at_the_end_is_given_its_limit_by_the_next_host(tmp_path: Path) -> None:
    note, cards = tmp_path / "note.json", [card(0), card(1)]
    with watching({"cards": cards}) as watch:
        power = PowerLimit(watch, note, 450.0)
        power.apply()
        assert limits(watch) == [450.0, 450.0]
        cards[1]["lost"] = True
        power.restore()
        assert json.loads(note.read_text()) == {"GPU-1": 700.0}
        cards[1]["lost"] = False
        PowerLimit(watch, note, None).apply()
        assert limits(watch) == [700.0, 700.0]
    assert not note.exists()


def test_a_disk_that_refuses_the_note_leaves_the_limit_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with watching({"cards": [card(0)]}) as watch:
        done = PowerLimit(watch, tmp_path / "no folder" / "note", 450.0).apply()
        assert done is not None
        assert isinstance(done.exception(5), OSError)
        assert limits(watch) == [700.0]
    assert "power limits are left as they are" in caplog.text


def test_a_driver_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("longtake.wiring.power.RESTORE_S", 0.2)
    script: dict[str, Any] = {"cards": [card(0)]}
    with watching(script) as watch:
        power = PowerLimit(watch, tmp_path / "note", 450.0)
        power.apply()
        limits(watch)
        script["hangs"] = True
        until(watch, lambda each: each.state is GpuState.SILENT)
        began_s = time.perf_counter()
        power.restore()
        assert time.perf_counter() - began_s < 1
        assert "the next start takes them back" in caplog.text
        assert (tmp_path / "note").exists()


@pytest.mark.parametrize("text", ["no json", "[1]", '{"GPU-0": "much"}'])
def test_a_note_that_cannot_be_read_is_told(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    note = tmp_path / "note"
    note.write_text(text)
    with watching({"cards": [card(0)]}) as watch:
        PowerLimit(watch, note, None).apply()
        watch.do(lambda _: None).result(5)
    assert "cannot be read" in caplog.text
    assert not note.exists()

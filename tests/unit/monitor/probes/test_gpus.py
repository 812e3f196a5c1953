from __future__ import annotations

import logging
import threading
import time
from typing import Any

import pytest

from longtake.core.clock import SystemClock
from longtake.monitor.probes.gpus import GpuWatch
from longtake.monitor.probes.records import GpuState
from tests.support.nvml.script import card
from tests.support.nvml.watch import until, watching


def test_eight_cards() -> None:
    with watching({"driver": "535.1", "cards": [card(i, temperature=50 + i) for i in range(8)]}) as watch:
        reading = until(watch, lambda each: each.state is GpuState.OK)
    assert [each.temperature_celsius for each in reading.cards] == [50, 51, 52, 53, 54, 55, 56, 57]
    assert (reading.driver_version, reading.reason) == ("535.1", None)


@pytest.mark.parametrize(
    ("driver", "state", "reason"),
    [
        ("LibraryNotFound", GpuState.ABSENT, "no NVIDIA driver: NVML Shared Library Not Found"),
        ("DriverNotLoaded", GpuState.ABSENT, "no NVIDIA driver: Driver Not Loaded"),
        ("LibRmVersionMismatch", GpuState.FAILED, "the driver does not answer: RM has detected"),
        ("Unknown", GpuState.FAILED, "the driver does not answer: Unknown Error"),
    ],
)
def test_no_driver_is_told_and_one_that_comes_is_found(driver: str, state: GpuState, reason: str) -> None:
    script: dict[str, Any] = {"driver": driver, "cards": [card()]}
    with watching(script) as watch:
        reading = until(watch, lambda each: each.state is not GpuState.STARTING)
        assert (reading.state, reading.cards) == (state, ())
        assert (reading.reason or "").startswith(reason)
        script["driver"] = "595.10"
        assert until(watch, lambda each: each.state is GpuState.OK).cards[0].uuid == "GPU-0"


def test_without_the_package_the_cards_are_absent() -> None:
    def load() -> Any:
        raise ModuleNotFoundError("No module named 'pynvml'")

    watch = GpuWatch(SystemClock(), load)
    watch.start()
    reading = until(watch, lambda each: each.state is not GpuState.STARTING)
    assert watch.close()
    assert (reading.state, reading.reason) == (GpuState.ABSENT, "no nvidia-ml-py: No module named 'pynvml'")


def test_a_lost_card_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    cards = [card(0), card(1)]
    with watching({"cards": cards}) as watch, caplog.at_level(logging.WARNING):
        until(watch, lambda each: len(each.cards) == 2)
        cards[1]["lost"] = True
        reading = until(watch, lambda each: any(one.is_lost for one in each.cards))
        assert [(one.uuid, one.is_lost) for one in reading.cards] == [("GPU-0", False), ("GPU-1", True)]
        assert reading.cards[0].temperature_celsius == 60
        cards[1]["lost"] = False
        until(watch, lambda each: not any(one.is_lost for one in each.cards))
    told = [record.getMessage().split(";")[0] for record in caplog.records if record.name.startswith("longtake")]
    assert told == [
        "card 1 (NVIDIA H100 80GB HBM3) is lost",
        "card 1 (NVIDIA H100 80GB HBM3) is back",
    ], "each once"


def test_a_card_that_a_new_session_does_not_even_count_is_lost_and_the_next_takes_its_number() -> None:
    cards = [card(0, xids=[79]), card(1)]
    script: dict[str, Any] = {"cards": cards}
    with watching(script) as watch:
        until(watch, lambda each: len(each.cards) == 2 and each.cards[0].xids == 1)
        cards[0]["lost"] = True
        until(watch, lambda each: each.cards[0].is_lost)
        cards[0]["unlisted"] = True
        reading = until(watch, lambda each: each.cards[0].uuid == "GPU-1")
    living, lost = reading.cards
    assert (living.index, living.is_lost) == (0, False)
    assert (lost.index, lost.uuid, lost.is_lost, lost.xid) == (1, "GPU-0", True, 79)


def test_a_driver_that_hangs_is_told_and_blocks_nobody_and_recovers() -> None:
    script: dict[str, Any] = {"cards": [card(temperature=50)]}
    with watching(script) as watch:
        before = until(watch, lambda each: each.state is GpuState.OK)
        script["hangs"] = True
        silent = until(watch, lambda each: each.state is GpuState.SILENT)
        assert silent.cards == before.cards, "the last that is known"
        assert "has not answered for" in (silent.reason or "")
        asked_s = time.perf_counter()
        for _ in range(100):
            watch.reading()
        assert time.perf_counter() - asked_s < 0.1
        later = until(watch, lambda each: each.state is GpuState.SILENT)
        assert later.at_s == silent.at_s
        script["cards"][0]["temperature"] = 71
        script["hangs"] = False
        after = until(watch, lambda each: each.state is GpuState.OK and each.at_s > silent.at_s)
        until(watch, lambda each: each.cards[0].temperature_celsius == 71)
        assert after.reason is None


def test_a_hanging_driver_does_not_hold_up_the_end() -> None:
    script: dict[str, Any] = {"cards": [card()]}
    with watching(script) as watch:
        until(watch, lambda each: each.state is GpuState.OK)
        script["hangs"] = True
        until(watch, lambda each: each.state is GpuState.SILENT)
        began_s = time.perf_counter()
        assert not watch.close(timeout_s=0.1)
        assert time.perf_counter() - began_s < 1
        assert next(thread for thread in threading.enumerate() if thread.name == "gpus").daemon


def test_a_session_that_becomes_void_is_opened_anew() -> None:
    cards = [card()]
    with watching({"cards": cards}) as watch:
        until(watch, lambda each: each.state is GpuState.OK)
        cards[0]["error"] = "Uninitialized"
        failed = until(watch, lambda each: each.state is GpuState.FAILED)
        assert failed.reason == "the driver failed: Uninitialized"
        assert failed.cards[0].is_lost, "it was there before"
        del cards[0]["error"]
        until(watch, lambda each: each.state is GpuState.OK and not each.cards[0].is_lost)


def test_whatever_a_driver_comes_up_with_the_watch_lives(caplog: pytest.LogCaptureFixture) -> None:
    cards = [card(memory=[1])]  # a structure that is not what it should be
    with watching({"cards": cards}) as watch:
        until(watch, lambda each: each.state is GpuState.FAILED)
        cards[0]["memory"] = [1, 2]
        until(watch, lambda each: each.state is GpuState.OK)
    assert "looking at the cards failed" in caplog.text


def test_actions_run_in_the_thread_of_the_driver_also_the_last_one() -> None:
    with watching({"cards": [card()]}) as watch:
        until(watch, lambda each: each.state is GpuState.OK)
        assert watch.do(lambda _: threading.current_thread().name).result(5) == "gpus"
        failing = watch.do(lambda session: session.set_power_limit(0, 9_999))
        assert type(failing.exception(5)).__name__ == "NVMLError_InvalidArgument"
        last = watch.do(lambda session: session.power_limits(0))
    assert last.result(0) == (700.0, 200.0, 700.0)


def test_an_action_without_a_driver_fails_with_the_reason() -> None:
    with watching({"driver": "LibraryNotFound"}) as watch:
        until(watch, lambda each: each.state is GpuState.ABSENT)
        assert isinstance(error := watch.do(lambda _: None).exception(5), ConnectionError)
        assert "no NVIDIA driver" in str(error)

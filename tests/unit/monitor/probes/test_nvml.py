from __future__ import annotations

import inspect
import logging
from typing import Any

import pytest

from longtake.monitor.probes.nvml import NvmlSession, load_nvml
from longtake.monitor.probes.records import Card, CardProcess, Throttle
from tests.support.nvml.script import ScriptedNvml, card
from tests.support.nvml.watch import scripted


def read(*cards: dict[str, Any], is_thorough: bool = True, **script: Any) -> tuple[Card, ...]:
    return NvmlSession(scripted({"cards": list(cards)} | script), {}).read(is_thorough=is_thorough)


def test_the_scripted_driver_has_the_functions_of_the_real_module_and_no_other() -> None:
    real = load_nvml()
    for name, function in vars(ScriptedNvml).items():
        if name.startswith("nvml"):
            theirs = inspect.signature(getattr(real, name)).parameters
            assert list(theirs) == list(inspect.signature(function).parameters)[1:], name


def test_every_value_in_base_units() -> None:
    [found] = read(card(fan=40, throttles=0x4 | 0x40))
    assert found == Card(
        index=0,
        uuid="GPU-0",
        name="NVIDIA H100 80GB HBM3",
        utilisation_ratio=0.5,
        memory_used_bytes=20 << 30,
        memory_total_bytes=80 << 30,
        temperature_celsius=60,
        power_watts=350.0,
        power_limit_watts=700.0,
        energy_joules=1000.0,
        sm_clock_hz=1.98e9,
        memory_clock_hz=2.619e9,
        throttles=frozenset({Throttle.POWER_CAP, Throttle.HARDWARE_THERMAL}),
        fan_ratio=0.4,
        pcie_generation=5,
        pcie_lanes=16,
        pcie_received_bytes_per_s=1e6,
        pcie_sent_bytes_per_s=2e6,
        is_mig=False,
        processes=(CardProcess(4242, 18 << 30),),
    )
    assert found.is_slowed


@pytest.mark.parametrize(
    ("mask", "throttles", "is_slowed"),
    [
        (0x0, set(), False),
        (0x1, {Throttle.IDLE}, False),
        (0x2, {Throttle.APPLICATION_CLOCKS}, False),
        (0x4, {Throttle.POWER_CAP}, False),
        (0x8, {Throttle.HARDWARE_SLOWDOWN}, True),
        (0x10, {Throttle.SYNC_BOOST}, False),
        (0x20, {Throttle.THERMAL}, False),
        (0x40, {Throttle.HARDWARE_THERMAL}, True),
        (0x80, {Throttle.POWER_BRAKE}, True),
        (0x100, {Throttle.DISPLAY_CLOCKS}, False),
        (0x28, {Throttle.HARDWARE_SLOWDOWN, Throttle.THERMAL}, True),
    ],
)
def test_each_reason_of_low_clocks_has_its_bit(mask: int, throttles: set[Throttle], is_slowed: bool) -> None:
    real = load_nvml()
    assert real.nvmlClocksEventReasonHwThermalSlowdown == 0x40
    [found] = read(card(throttles=mask))
    assert found.throttles == throttles
    assert found.is_slowed == is_slowed


def test_a_driver_that_knows_only_the_older_name_of_the_reasons() -> None:
    assert read(card(throttles=0x20), is_old=True)[0].throttles == {Throttle.THERMAL}


def test_what_is_not_available_is_absent_and_not_zero() -> None:
    [found] = read({"uuid": "GPU-0"})
    assert found == Card(index=0, uuid="GPU-0")
    assert (found.temperature_celsius, found.fan_ratio, found.throttles, found.processes) == (None,) * 4


def test_a_card_without_programs_has_an_empty_list_of_them_and_memory_may_be_unknown() -> None:
    found = read(card(0, processes=[]), card(1, processes=[[7, None]]))
    assert found[0].processes == ()
    assert found[1].processes == (CardProcess(7, None),)


@pytest.mark.parametrize("error", ["NoPermission", "NotSupported", "Unknown", "Timeout", "NotFound"])
def test_a_card_that_tells_nothing_does_not_hide_the_others(error: str) -> None:
    found = read(card(0), card(1, error=error), card(2))
    assert [each.temperature_celsius for each in found] == [60, None, 60]


@pytest.mark.parametrize("error", ["GpuIsLost", "ResetRequired"])
def test_a_lost_card_is_told_and_the_others_are_read(error: str) -> None:
    found = read(*[card(i) for i in range(7)], card(7, error=error))
    assert [each.is_lost for each in found] == [False] * 7 + [True]
    assert found[7].temperature_celsius is None


def test_a_card_is_lost_in_the_middle_and_keeps_its_name() -> None:
    cards = [card(0), card(1)]
    session = NvmlSession(scripted({"cards": cards}), {})
    assert not session.read(is_thorough=True)[1].is_lost
    cards[1]["lost"] = True
    assert session.read(is_thorough=False)[1] == Card(1, "GPU-1", cards[1]["name"], is_lost=True)


def test_mig_gives_no_utilisation_of_the_whole() -> None:
    whole = card(mig=1)
    del whole["utilisation"]
    [found] = read(whole)
    assert found.is_mig
    assert found.utilisation_ratio is None
    assert found.memory_used_bytes == 20 << 30


def test_critical_errors_are_counted_by_card_and_outlive_the_session(caplog: pytest.LogCaptureFixture) -> None:
    cards = [card(0, xids=[]), card(1, xids=[31, 79])]
    xids: dict[str, tuple[int, int]] = {}
    driver = scripted({"cards": cards})
    with caplog.at_level(logging.ERROR):
        first = NvmlSession(driver, xids).read(is_thorough=True)
    assert [(each.xid, each.xids) for each in first] == [(None, 0), (79, 2)]
    assert "card 1 reports the critical error XID 79: the card has fallen off the bus" in caplog.text
    cards[0]["xids"] = [13]
    session = NvmlSession(driver, xids)
    cards[1]["lost"] = True
    again = session.read(is_thorough=True)
    assert [(each.xid, each.xids, each.is_lost) for each in again] == [(13, 1, False), (79, 2, True)]


def test_a_card_that_tells_no_errors_is_read_all_the_same() -> None:
    assert read(card(0, xids=None))[0].temperature_celsius == 60


def test_a_card_in_trouble_cannot_hold_up_the_look() -> None:
    [found] = read(card(0, xids=[31] * 10_000))
    assert 0 < found.xids < 100


def test_what_is_slow_is_asked_only_at_a_thorough_look() -> None:
    driver = scripted({"cards": [card(0)]})
    session = NvmlSession(driver, {})
    session.read(is_thorough=True)
    driver.calls.clear()
    [found] = session.read(is_thorough=False)
    assert not {"pcie", "processes"} & set(driver.calls)
    assert found.processes, "what is known of it is told again"
    session.read(is_thorough=True)
    assert {"pcie", "processes"} <= set(driver.calls)


def test_a_void_session_is_an_error_of_all() -> None:
    cards = [card(0)]
    driver = scripted({"cards": cards})
    session = NvmlSession(driver, {})
    cards[0]["error"] = "Uninitialized"
    with pytest.raises(driver.NVMLError_Uninitialized):
        session.read(is_thorough=True)


def test_the_power_limit_is_set_in_watts() -> None:
    driver = scripted({"cards": [card(0)]})
    session = NvmlSession(driver, {})
    assert session.power_limits(0) == (700.0, 200.0, 700.0)
    session.set_power_limit(0, 450.0)
    assert session.power_limits(0)[0] == 450.0
    assert session.read(is_thorough=True)[0].power_limit_watts == 450.0

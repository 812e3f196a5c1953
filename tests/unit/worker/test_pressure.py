"""How much may be held while others take memory and give it back; and what is said of those that wait."""

from __future__ import annotations

from dataclasses import replace

import pytest

from longtake.scheduling import Wait
from longtake.worker.pressure import CALM_S, Pressure
from longtake.worker.waits import put_back, ran_out, told
from tests.support.clock import HandClock

MIB = 1 << 20
BUDGET, FLOOR = 1000 * MIB, 100 * MIB


class Machine:
    def __init__(self) -> None:
        self.free_bytes = 5000 * MIB
        self.clock = HandClock()
        self.pressure = Pressure(BUDGET, lambda: self.free_bytes, FLOOR, self.clock)

    def look(self, free: int, used: int = 0, *, after_s: float = 0.0) -> Pressure:
        self.free_bytes = free * MIB
        self.clock.sleep(after_s)
        self.pressure.look(used * MIB)
        return self.pressure


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_as_long_as_there_is_enough_all_of_the_budget_may_be_held(machine: Machine) -> None:
    for free in (5000, 150, 100):
        pressure = machine.look(free, used=900)
        assert (pressure.limit_bytes, pressure.is_low, pressure.is_short) == (BUDGET, False, False)


def test_below_the_floor_nothing_more_starts(machine: Machine) -> None:
    pressure = machine.look(99, used=900)
    assert (pressure.limit_bytes, pressure.is_low, pressure.is_short) == (0, True, True)


def test_more_is_held_again_only_after_a_while_with_room_and_only_what_is_there(machine: Machine) -> None:
    machine.look(50, used=900)
    assert machine.look(5000).is_short, "not at once"
    assert machine.look(199, after_s=CALM_S).limit_bytes == 0, "not at the floor's edge"
    assert machine.look(300, used=200).limit_bytes == 400 * MIB
    assert machine.look(300, used=400).limit_bytes == 600 * MIB
    assert not machine.look(2000, used=600).is_short
    machine.look(0)
    assert machine.look(300, used=0, after_s=CALM_S - 1).limit_bytes == 0, "each shortage counts anew"


def test_what_ran_out_lowers_the_ceiling_for_good(machine: Machine) -> None:
    machine.look(5000)
    machine.pressure.run_out(800 * MIB, 300 * MIB)
    assert machine.pressure.limit_bytes == 500 * MIB
    assert machine.look(5000, after_s=10 * CALM_S).limit_bytes == 500 * MIB
    machine.pressure.run_out(300 * MIB, 300 * MIB)
    assert machine.pressure.limit_bytes == 500 * MIB, "one alone says nothing of how many fit"


WAIT = Wait("j", True, round(1.2 * 1024) * MIB, round(0.4 * 1024) * MIB, 6 * 1024 * MIB, 3)


def test_the_reason_has_the_numbers_and_the_place(machine: Machine) -> None:
    said = told(WAIT, machine.look(5000))
    assert said == "waits for memory: needs 1.2 GiB, 409.6 MiB of 6.0 GiB are free; 3 jobs before it" or said == (
        "waits for memory: needs 1.2 GiB, 410.0 MiB of 6.0 GiB are free; 3 jobs before it"
    )
    assert told(replace(WAIT, before=1), machine.pressure).endswith("; 1 job before it")
    assert told(replace(WAIT, before=0), machine.pressure).endswith("; it is next")
    assert told(replace(WAIT, for_memory=False), machine.pressure).startswith("waits for a place")


def test_the_neighbour_is_named_when_it_is_at_fault(machine: Machine) -> None:
    pressure = machine.look(50)
    for said in (told(WAIT, pressure), put_back(pressure)):
        assert said.startswith("waits for memory: ")
        assert "other programs have taken it, and 50.0 MiB are free where 100.0 MiB must be" in said
    assert ran_out("There is no room.").endswith(": There is no room.")

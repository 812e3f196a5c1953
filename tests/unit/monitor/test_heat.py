from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtake.monitor.heat import BLIND_S, HEAT_REASON, Heat, HeatLevel, HeatPolicy, Thresholds
from longtake.monitor.probes.records import Card, Throttle

NORMAL, HOLD, PAUSE = HeatLevel
LIMITS = Thresholds()


def play(curve: Sequence[float | None], **card: object) -> list[HeatLevel]:
    """The levels of one card that has these temperatures, a second each."""
    policy = HeatPolicy(LIMITS)
    return [
        policy.look([Card(0, "a", temperature_celsius=celsius, **card)], float(second)).level  # type: ignore[arg-type]
        for second, celsius in enumerate(curve)
    ]


@pytest.mark.parametrize(
    ("curve", "levels"),
    [
        ([60, 74.9, 75, 74, 70, 69.9, 74], [NORMAL, NORMAL, HOLD, HOLD, HOLD, NORMAL, NORMAL]),
        ([86.9, 87, 86, 76, 71, 70, 69], [HOLD, PAUSE, PAUSE, PAUSE, PAUSE, PAUSE, NORMAL]),
        ([70, 71, 72, 73], [NORMAL] * 4),
        ([95, 60, 95], [PAUSE, NORMAL, PAUSE]),
        ([None, None], [NORMAL, NORMAL]),
        ([80, None, None, 60], [HOLD, HOLD, HOLD, NORMAL]),
    ],
)
def test_a_heat_curve_with_hysteresis(curve: list[float | None], levels: list[HeatLevel]) -> None:
    assert play(curve) == levels


@given(st.lists(st.floats(40, 100), max_size=60))
def test_the_levels_are_what_the_words_of_the_policy_say(curve: list[float]) -> None:
    level = NORMAL
    for celsius, found in zip(curve, play(curve), strict=True):
        if celsius >= 87:
            level = PAUSE
        elif celsius >= 75 and level is NORMAL:
            level = HOLD
        elif celsius < 70:
            level = NORMAL
        assert found is level


@pytest.mark.parametrize("throttle", [Throttle.HARDWARE_SLOWDOWN, Throttle.HARDWARE_THERMAL, Throttle.POWER_BRAKE])
def test_a_slowdown_of_the_hardware_pauses_at_any_temperature_and_for_a_while(throttle: Throttle) -> None:
    policy = HeatPolicy(LIMITS)
    slowed = Card(0, "a", temperature_celsius=60, throttles=frozenset({throttle, Throttle.POWER_CAP}))
    fine = Card(0, "a", temperature_celsius=60, throttles=frozenset())
    heat = policy.look([slowed], 0)
    assert heat.level is PAUSE
    assert f"card 0 has 60 °C and slows itself down ({throttle})" in (heat.reason or "")
    assert policy.look([fine], 29.9).level is PAUSE
    assert policy.look([slowed], 30).level is PAUSE
    assert policy.look([fine], 59.9).level is PAUSE
    assert policy.look([fine], 60).level is NORMAL


@pytest.mark.parametrize("throttle", [Throttle.IDLE, Throttle.POWER_CAP, Throttle.THERMAL, Throttle.SYNC_BOOST])
def test_other_reasons_of_low_clocks_pause_nothing(throttle: Throttle) -> None:
    assert play([60, 60], throttles=frozenset({throttle})) == [NORMAL, NORMAL]


def test_a_card_that_tells_no_temperature_goes_on_when_it_is_slowed_no_more() -> None:
    policy = HeatPolicy(LIMITS)
    assert policy.look([Card(0, throttles=frozenset({Throttle.HARDWARE_THERMAL}))], 0).level is PAUSE
    assert policy.look([Card(0, throttles=frozenset())], 10).level is PAUSE
    assert policy.look([Card(0, throttles=frozenset())], 30).level is NORMAL


def test_the_worst_card_decides_and_each_has_its_own_hysteresis() -> None:
    policy = HeatPolicy(LIMITS)

    def look(*celsius: float) -> Heat:
        return policy.look([Card(i, f"c{i}", temperature_celsius=c) for i, c in enumerate(celsius)], 0)

    assert look(60, 60) == Heat()
    assert (look(72, 80).level, look(72, 80).card) == (HOLD, 1)
    assert (look(90, 80).level, look(90, 80).card) == (PAUSE, 0)
    assert (look(60, 72).level, look(60, 72).card) == (HOLD, 1), "the other is still above where it may go on"
    assert look(72, 60) == Heat(), "72 °C is not hot for one that has cooled"


def test_a_lost_card_is_forgotten_and_one_that_changes_its_number_is_not() -> None:
    policy = HeatPolicy(LIMITS)
    policy.look([Card(0, "a", temperature_celsius=60), Card(1, "b", temperature_celsius=90)], 0)
    assert policy.look([Card(0, "b", temperature_celsius=72), Card(1, "a", is_lost=True)], 1).level is PAUSE
    assert policy.look([Card(1, "a", is_lost=True), Card(2, "b", is_lost=True)], 2) == Heat()


def test_a_level_is_kept_while_nobody_knows_but_not_for_ever() -> None:
    policy = HeatPolicy(LIMITS)
    assert policy.look(None, 0) == Heat()
    policy.look([Card(0, temperature_celsius=90)], 1)
    assert policy.look(None, BLIND_S).level is PAUSE
    assert policy.look(None, BLIND_S + 1) == Heat()


def test_the_reason_is_in_words_for_the_users_of_jobs() -> None:
    policy = HeatPolicy(LIMITS)
    held = policy.look([Card(3, temperature_celsius=76.4)], 0).reason
    assert held == f"{HEAT_REASON}: card 3 has 76 °C; jobs start again below 70 °C"
    paused = policy.look([Card(3, temperature_celsius=88)], 1).reason
    assert paused == f"{HEAT_REASON}: card 3 has 88 °C; jobs go on below 70 °C"
    assert policy.look([], 2).reason is None

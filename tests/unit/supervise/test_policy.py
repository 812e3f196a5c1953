from __future__ import annotations

from longtake.supervise.policy import FIRST_WAIT_S, LONGEST_WAIT_S, MAX_DEATHS, STABLE_S, WINDOW_S, RestartPolicy


def test_waits_double_up_to_a_limit() -> None:
    policy = RestartPolicy()
    waits = [policy.died(now_s=number * WINDOW_S, lived_s=1.0) for number in range(20)]
    assert waits[:3] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S]
    assert waits[-1] == LONGEST_WAIT_S


def test_a_long_life_earns_a_fresh_start() -> None:
    policy = RestartPolicy()
    for number in range(3):
        policy.died(now_s=number * WINDOW_S, lived_s=1.0)
    assert policy.died(now_s=10 * WINDOW_S, lived_s=STABLE_S) == FIRST_WAIT_S


def test_the_breaker_opens_after_too_many_deaths_in_the_window() -> None:
    policy = RestartPolicy()
    waits = [policy.died(now_s=float(number), lived_s=0.1) for number in range(MAX_DEATHS)]
    assert None not in waits[:-1]
    assert waits[-1] is None
    policy.reset()
    assert policy.died(now_s=10.0, lived_s=0.1) == FIRST_WAIT_S


def test_deaths_far_apart_do_not_open_it() -> None:
    policy = RestartPolicy()
    apart_s = WINDOW_S / (MAX_DEATHS - 1) + 1
    assert all(policy.died(now_s=number * apart_s, lived_s=0.1) is not None for number in range(50))

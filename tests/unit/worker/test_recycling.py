from __future__ import annotations

from longtake.worker.recycling import LEARNS_FOR_S, Recycling

MARK = 1000


def after_learning(needed_bytes: int) -> Recycling:
    recycling = Recycling(MARK, 0.0)
    assert not recycling.is_due(needed_bytes, 0, LEARNS_FOR_S - 1)
    return recycling


def test_one_that_has_grown_past_the_mark_is_recycled() -> None:
    recycling = after_learning(600)
    assert not recycling.is_due(1000, 0, LEARNS_FOR_S)
    assert recycling.is_due(1001, 0, LEARNS_FOR_S)


def test_nothing_happens_while_it_learns() -> None:
    assert not Recycling(MARK, 0.0).is_due(10 * MARK, 0, LEARNS_FOR_S - 1)


def test_a_mark_below_what_the_model_alone_needs_does_not_make_it_loop() -> None:
    recycling = after_learning(5000)
    for minute in range(10, 100):
        assert not recycling.is_due(5100, 0, minute * 60.0)
    assert recycling.is_due(5101, 0, 6000.0), "only what it has leaked since counts"


def test_what_requests_hold_would_be_held_by_a_fresh_one_too() -> None:
    recycling = after_learning(600)
    assert not recycling.is_due(1500, 900, LEARNS_FOR_S)
    assert recycling.is_due(1500, 799, LEARNS_FOR_S)

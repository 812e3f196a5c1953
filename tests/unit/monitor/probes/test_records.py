from __future__ import annotations

from longtake.monitor.probes.records import Card, total


def test_the_total_of_cards_is_sums_a_mean_and_the_hottest() -> None:
    cards = [
        Card(0, utilisation_ratio=0.5, memory_used_bytes=1, memory_total_bytes=4, temperature_celsius=60.0),
        Card(1, utilisation_ratio=1.0, memory_used_bytes=2, memory_total_bytes=4, power_watts=100.0),
        Card(2, is_lost=True),
    ]
    found = total(cards)
    assert (found.cards, found.lost, found.utilisation_ratio) == (3, 1, 0.75)
    assert (found.memory_used_bytes, found.memory_total_bytes) == (3, 8)
    assert (found.temperature_celsius, found.power_watts, found.energy_joules) == (60.0, 100.0, None)


def test_the_total_of_no_cards_knows_nothing() -> None:
    found = total([])
    assert (found.cards, found.utilisation_ratio, found.memory_used_bytes, found.power_watts) == (0, None, None, None)

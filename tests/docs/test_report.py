"""docs/report.md and the rules of advice say the same."""

from __future__ import annotations

from longtake.report import advice
from longtake.report.gather import BYTES_PER_HOUR
from longtake.report.past import MOST_JOBS, SHORTEST_S
from longtake.report.speed import SLOW
from tests.docs.markdown import read, table

PAGE = read("report.md")


def test_every_rule_is_told_and_every_row_is_a_rule() -> None:
    assert [row[0].strip("`") for row in table(PAGE, "rule")] == list(advice.RULES)


def test_thresholds_are_those_of_the_rules() -> None:
    told = {row[0].strip("`"): row[1] for row in table(PAGE, "rule")}
    assert f"less than {advice.FEW_HOURS:.0f} hours, or for less than {advice.FEW_DAYS:.0f} days" in told["disk_low"]
    assert f"less than {SLOW:.0%}".replace("%", " %") in told["slow"]
    assert f"waits {advice.LONG_WAIT_S / 60:.0f} minutes" in told["queue_waits"]
    assert (advice.IDLE_RATIO, advice.CAPPED_SHARE, advice.STUCK_S, advice.OFTEN) == (0.5, 0.25, 3600.0, 3)
    assert f"reached {advice.HOT_CELSIUS:.0f} °C" in told["heat"]
    assert advice.THROTTLED_S == 60.0
    assert f"used {advice.FULL_RATIO:.0%}".replace("%", " %") in told["memory_full"]


def test_figures_of_the_page() -> None:
    assert f"takes {BYTES_PER_HOUR / 1e6:.0f} MB" in PAGE
    assert f"More than {MOST_JOBS:,} jobs" in PAGE
    assert SHORTEST_S == 10.0

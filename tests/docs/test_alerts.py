"""docs/alerts.md and the rules say the same."""

from __future__ import annotations

from longtake.monitor.alerts import RULES
from longtake.monitor.alerts.expressions import duration
from longtake.monitor.alerts.send import PAUSES_S, QUEUED
from tests.docs.markdown import read, table

PAGE = read("alerts.md")


def test_every_rule() -> None:
    told = [tuple(cell.strip("`") for cell in row) for row in table(PAGE, "rule")]
    assert told == [
        (each.name, each.severity, each.promql().replace("|", " or "), duration(each.for_s), duration(each.keep_s))
        for each in RULES
    ]


def test_numbers_of_the_prose() -> None:
    assert PAUSES_S == (5, 30, 120, 600)
    assert "after 5 s, 30 s, 2 min and 10 min" in PAGE
    assert f"at most {QUEUED} messages wait" in PAGE


def test_every_address_is_one_that_apprise_understands() -> None:
    import apprise

    schemas = {
        scheme
        for service in apprise.Apprise().details()["schemas"]
        for scheme in (*(service["protocols"] or ()), *(service["secure_protocols"] or ()))
    }
    for _, address in table(PAGE, "service"):
        assert address.strip("`").partition("://")[0] in schemas

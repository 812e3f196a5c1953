"""``alerts``: the rules as they count, what is on, and a message that really arrives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from longtake.cli.exits import EXIT_BAD_INPUT, EXIT_ENGINE_FAILED
from longtake.monitor.alerts import RULES
from tests.support.webhook import Webhook, webhook
from tests.unit.cli.conftest import Run


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as hook:
        yield hook


def test_every_rule_is_listed_as_it_counts(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAKE_ALERTS__THRESHOLDS", '{"LongtakeQueueOld": 600}')
    folder = home.parent / "data" / "run"
    folder.mkdir(parents=True)
    (folder / "alerts.json").write_text('{"LongtakeXid{gpu=0}": 1700000000.0}')

    told = json.loads(run("alerts", "list", "--json").stdout)
    rules = {each["name"]: each for each in told["rules"]}
    assert list(rules) == [rule.name for rule in RULES]
    assert rules["LongtakeQueueOld"]["threshold"] == 600
    assert rules["LongtakeXid"]["on"] == {"LongtakeXid{gpu=0}": 1700000000.0}
    assert told["channels"] == 0

    page = run("alerts", "list").stdout
    assert "longtake_queue_oldest_seconds > 600 for 5:00" in page
    assert "ago: LongtakeXid{gpu=0}" in page
    assert "nowhere" in page


def test_a_threshold_of_no_rule_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAKE_ALERTS__THRESHOLDS", '{"LongtakeQueueAge": 600}')
    refused = run("alerts", "list", code=EXIT_BAD_INPUT)
    assert "'LongtakeQueueAge'" in str(refused.exception)


def test_a_test_message_arrives(run: Run, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAKE_ALERTS__URLS", hook.url)
    monkeypatch.setenv("LONGTAKE_ALERTS__LANGUAGE", "zh")
    sent = run("alerts", "test")
    assert (sent.exit_code, sent.stdout) == (0, "channel 1 (json): sent\n")
    assert hook.received[0]["title"] == "longtake: 测试"


def test_a_message_that_does_not_arrive_is_told_without_the_secret(
    run: Run, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.refuses = 1
    monkeypatch.setenv("LONGTAKE_ALERTS__URLS", f"{hook.url} nonsense-SECRET")
    failed = run("alerts", "test", "--json", code=EXIT_ENGINE_FAILED)
    assert [each["sent"] for each in json.loads(failed.stdout)] == [False, False]
    assert "SECRET" not in failed.stdout + failed.stderr


def test_without_an_address_it_says_what_to_set(run: Run) -> None:
    refused = run("alerts", "test", code=EXIT_BAD_INPUT)
    assert "LONGTAKE_ALERTS__URLS" in str(refused.exception)

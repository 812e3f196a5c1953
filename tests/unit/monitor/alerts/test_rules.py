"""Every rule fires when it should and is quiet when it should, here and in Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from longtake.monitor import METRICS
from longtake.monitor.alerts import RULES, Evaluator
from longtake.monitor.alerts.prometheus import DOWN, rules_file
from tests.docs.markdown import ROOT
from tests.unit.monitor.alerts.scenarios import SCENARIOS, STEP_S, Scenario

RULES_FILE = ROOT / "deploy/prometheus/rules.yml"
BY_NAME = {rule.name: rule for rule in RULES}
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def samples_at(scenario: Scenario, minute: int) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for series, values in scenario.series.items():
        name, _, rest = series.partition("{")
        labels = dict(re.findall(r'(\w+)="(.*?)"', rest))
        if minute < len(values):
            found[name][tuple(labels[label] for label in METRICS[name].labels)] = values[minute]
    return found


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: f"{each.rule}: {each.title}")
def test_the_built_in_alerts(scenario: Scenario) -> None:
    evaluator = Evaluator()
    seen: dict[int, list[dict[str, str]]] = {}
    for minute in range(max(scenario.on) + 1):
        evaluator.look(samples_at(scenario, minute), minute * STEP_S)
        seen[minute] = [dict(alert.labels) for alert in evaluator.active if alert.rule.name == scenario.rule]
    for minute, labels in scenario.on.items():
        assert seen[minute] == ([] if labels is None else [labels]), f"minute {minute}"


def test_every_rule_has_a_scenario_that_fires_and_one_that_stays_quiet() -> None:
    fires = {each.rule for each in SCENARIOS if any(labels is not None for labels in each.on.values())}
    quiet = {each.rule for each in SCENARIOS if all(labels is None for labels in each.on.values())}
    assert fires == quiet == set(BY_NAME)


def told_of(name: str) -> Mapping[str, str]:
    english, chinese = (DOWN[5], DOWN[6]) if name == DOWN[0] else (BY_NAME[name].english, BY_NAME[name].chinese)
    return {
        "summary": english[0],
        "description": english[1],
        "summary_zh": chinese[0],
        "description_zh": chinese[1],
    }


def prometheus_test(scenario: Scenario) -> dict[str, object]:
    severity = DOWN[4] if scenario.rule == DOWN[0] else BY_NAME[scenario.rule].severity
    return {
        "name": f"{scenario.rule}: {scenario.title}",
        "interval": f"{STEP_S}s",
        "input_series": [
            {"series": series, "values": " ".join(f"{value:g}" for value in values)}
            for series, values in scenario.series.items()
        ],
        "alert_rule_test": [
            {
                "eval_time": f"{minute}m",
                "alertname": scenario.rule,
                "exp_alerts": []
                if labels is None
                else [
                    {
                        "exp_labels": {**labels, "severity": severity},
                        "exp_annotations": told_of(scenario.rule),
                    }
                ],
            }
            for minute, labels in scenario.on.items()
        ],
    }


UP = 'up{job="longtake"}'
DOWN_SCENARIOS = (
    Scenario(DOWN[0], "fires", {UP: [1, 1, 0, 0, 0, 0]}, {1: None, 4: {"job": "longtake"}}),
    Scenario(DOWN[0], "nobody asks", {'up{job="other"}': [1] * 5}, {4: {"job": "longtake"}}),
    Scenario(DOWN[0], "quiet", {UP: [1] * 9}, {8: None}),
)


@needs_promtool
def test_prometheus_rules(tmp_path: Path) -> None:
    """All in one go: a promtool takes a tenth of a second."""
    test = {
        "rule_files": [str(RULES_FILE)],
        "evaluation_interval": f"{STEP_S}s",
        "tests": [prometheus_test(each) for each in (*SCENARIOS, *DOWN_SCENARIOS)],
    }
    path = tmp_path / "rules_test.yml"
    path.write_text(json.dumps(test, ensure_ascii=False))  # JSON is YAML, too
    found = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr


@needs_promtool
def test_prometheus_reads_the_rules() -> None:
    found = subprocess.run(["promtool", "check", "rules", str(RULES_FILE)], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"{len(RULES) + 1} rules found" in found.stdout


def test_the_file_is_made_of_the_rules() -> None:
    assert RULES_FILE.read_text(encoding="utf-8") == rules_file()


def test_rules_are_whole() -> None:
    assert len(BY_NAME) == len(RULES)
    for rule in RULES:
        assert rule.severity in ("critical", "warning")
        assert set(re.findall(r"longtake_[a-z_]+", rule.promql())) <= set(METRICS)
        for english in rule.english:
            assert english.endswith(".")
        for chinese in rule.chinese:
            assert re.search(r"[\u4e00-\u9fff]", chinese)
            assert chinese.endswith("。")


@pytest.mark.parametrize(
    "asked", ["memory high", "thermal", "xid", "stalled", "queue", "slow", "crash", "disk", "write"]
)
def test_what_was_asked_for_is_there(asked: str) -> None:
    words = asked.split()
    assert [rule for rule in RULES if all(word in rule.name.lower() for word in words)]

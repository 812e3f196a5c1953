"""What lies in deploy/ fits the code, and is whole."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from longtake.monitor import METRICS
from tests.docs.markdown import ROOT

DEPLOY = ROOT / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
_HISTOGRAMS = {f"{name}_bucket" for name, metric in METRICS.items() if metric.kind == "histogram"}


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def expressions(path: Path) -> list[str]:
    return [target["expr"] for panel in load(path)["panels"] for target in panel["targets"]]


def test_the_four_dashboards_are_what_the_description_makes() -> None:
    spec = importlib.util.spec_from_file_location("make_dashboards", DEPLOY / "grafana/make.py")
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert {path: path.read_text(encoding="utf-8") for path in DASHBOARDS} == make.files()
    assert [path.stem for path in DASHBOARDS] == ["engine", "gpu", "host", "jobs"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_titles_are_in_english_and_chinese(path: Path) -> None:
    board = load(path)
    for title in (board["title"], *(panel["title"] for panel in board["panels"])):
        english, chinese = title.split(" / ")
        assert re.search("[A-Za-z]", english)
        assert re.search(r"[\u4e00-\u9fff]", chinese)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_query_asks_for_metrics_that_there_are(path: Path) -> None:
    for expression in expressions(path):
        named = set(re.findall(r"longtake_[a-z_]+", expression))
        assert named
        assert named <= set(METRICS) | _HISTOGRAMS
        for label in re.findall(r"\{\{(\w+)\}\}", json.dumps(load(path))):
            assert label in {each for metric in METRICS.values() for each in metric.labels}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_one_that_grafana_takes(path: Path) -> None:
    board = load(path)
    assert board["uid"] == f"longtake-{path.stem}"
    assert [each["type"] for each in board["templating"]["list"]] == ["datasource"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(places) == len(set(places)), "two panels lie upon each other"
    for panel in board["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${source}"}
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def test_most_metrics_are_on_some_dashboard() -> None:
    shown = {
        name for path in DASHBOARDS for each in expressions(path) for name in re.findall(r"longtake_[a-z_]+", each)
    }
    shown = {name.removesuffix("_bucket") for name in shown}
    unseen = {name for name in set(METRICS) - shown if "_cgroup_" not in name}
    # Those of a machine without a device of its own, and what says nothing by itself.
    assert unseen <= {
        "longtake_build_info",
        "longtake_device_allocated_bytes",
        "longtake_device_reserved_bytes",
        "longtake_gpu_fan_ratio",
        "longtake_host_swap_size_bytes",
        "longtake_host_swap_used_bytes",
        "longtake_listener_underrun_seconds_total",
        "longtake_worker_steps_total",
    }


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_reads_the_configuration() -> None:
    found = subprocess.run(
        ["promtool", "check", "config", str(DEPLOY / "prometheus/prometheus.yml")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "1 rule files found" in found.stdout


def test_the_page_names_every_file() -> None:
    page = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.name != "README.md":
            assert path.name in page or f"{path.parent.name}/" in page, path.name

"""``logs``: the newest lines of a data folder, filtered and harmless."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longtake.logs.lines import LineFile
from tests.unit.cli.conftest import Run
from tests.unit.logs.test_reading import line


@pytest.fixture
def data(tmp_path: Path) -> Path:
    log = LineFile(tmp_path / "logs" / "web.log", limit_bytes=3000, kept=4)
    for number in range(60):
        log.write(line(number, "web", "error" if number % 10 == 0 else "info", job=f"job_{number % 2}") + b"\n")
    return tmp_path


def test_the_newest_lines_the_oldest_first(run: Run, data: Path) -> None:
    shown = run("logs", "--data", data, "-n", 3).stdout.splitlines()
    assert [each.split("  ")[-2].split(": ")[1] for each in shown] == ["event 57", "event 58", "event 59"]
    assert shown[0].startswith("2026-01-01T00:00:00.057000Z info     web: event 57  job=job_1")


def test_filters_and_json(run: Run, data: Path) -> None:
    lines = [json.loads(each) for each in run("logs", "--data", data, "--json", "--level", "error").stdout.splitlines()]
    assert [each["event"] for each in lines] == [f"event {number}" for number in range(0, 60, 10)]
    assert len(run("logs", "--data", data, "--job", "job_1", "--text", "EVENT 3", "--json").stdout.splitlines()) == 6
    assert run("logs", "--data", data, "--since", "1d").stdout == ""


def test_nothing_is_shown_that_moves_a_cursor(run: Run, tmp_path: Path) -> None:
    log = LineFile(tmp_path / "logs" / "web.log", limit_bytes=3000, kept=4)
    log.write(line(1, "web", note="\x1b[2J\nfake", trace="a\n\x1b]0;x\x07") + b"\n")
    shown = run("logs", "--data", tmp_path).stdout
    assert "\x1b" not in shown
    assert "\\x1b[2J\\nfake" in shown
    assert "    │ a\n    │ \\x1b]0;x\\x07" in shown


@pytest.mark.parametrize("ago", ["10", "m", "-5m", "1w", "9999999999s"])
def test_an_odd_span_is_refused(run: Run, data: Path, ago: str) -> None:
    assert "such as 90s" in str(run("logs", "--data", data, f"--since={ago}", code=2).exception)


def test_a_folder_without_a_log_is_empty_and_not_made(run: Run, tmp_path: Path) -> None:
    assert run("logs", "--data", tmp_path / "none").stdout == ""
    assert not (tmp_path / "none").exists()

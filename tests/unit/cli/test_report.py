from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Run


def test_an_empty_folder_has_a_report(run: Run) -> None:
    told = run("report").output
    assert told.startswith("# longtake: Health report\n")
    assert "| jobs accepted | 0 |" in told
    assert told.endswith("\n")
    assert not told.endswith("\n\n")


def test_json(run: Run) -> None:
    told = json.loads(run("report", "--json", "--since", "7d").output)
    assert round(told["until_s"] - told["since_s"]) == 7 * 86_400


def test_html_in_chinese(run: Run, home: Path) -> None:
    told = run("report", "--html", "a report.html", "--lang", "zh").output
    assert told == "The report is in a report.html.\n"
    assert '<html lang="zh">' in (home / "a report.html").read_text(encoding="utf-8")


def test_bad_values(run: Run) -> None:
    result = run("report", "--since", "soon", code=2)
    assert "24h, 7d" in str(result.exception)
    result = run("report", "--html", "no/such/folder.html", code=2)
    assert "no/such/folder.html cannot be written" in str(result.exception)
    run("report", "--lang", "fr", code=2)

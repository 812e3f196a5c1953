"""The report of every week: when it is due, made once, kept, told of."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import SecretStr

from longtake.config import ReportSettings, load_settings
from longtake.core.errors import InputError
from longtake.report.weekly import last_due
from longtake.wiring.report import AGAIN_S, KEPT, LOOK_S, WeeklyReport
from tests.support.past import DAY_S, Past

SHANGHAI = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-21T12:00", "2026-11-16T08:00"),  # a Saturday
        ("2026-11-23T07:59", "2026-11-16T08:00"),
        ("2026-11-23T08:00", "2026-11-23T08:00"),
        ("2026-11-23T08:01", "2026-11-23T08:00"),
    ],
)
@pytest.mark.parametrize("zone", [UTC, SHANGHAI])
def test_due_is_the_latest_monday_morning(now: str, due: str, zone: timezone) -> None:
    now_s = datetime.fromisoformat(now).replace(tzinfo=zone).timestamp()
    assert last_due("mon 08:00", now_s, zone) == datetime.fromisoformat(due).replace(tzinfo=zone)


@pytest.mark.parametrize("wrong", ["monday 08:00", "mon 8:00", "mon 24:00", "mon", "08:00"])
def test_a_schedule_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(InputError, match=r"report\.weekly"):
        load_settings(report={"weekly": wrong})


def weekly(past: Past, schedule: str | None = "mon 08:00", urls: tuple[str, ...] = ()) -> WeeklyReport:
    settings = ReportSettings(weekly=schedule)
    return WeeklyReport(past.sources(), past.folder.reports, settings, [SecretStr(url) for url in urls], past.clock)


def made(past: Past) -> list[str]:
    return sorted(path.name for path in past.folder.reports.iterdir()) if past.folder.reports.exists() else []


def day_of(past: Past) -> str:
    return f"{last_due('mon 08:00', past.now_s):%Y-%m-%d}"


def test_unset_makes_none(past: Past) -> None:
    weekly(past, None).tidy()
    assert made(past) == []


def test_one_a_week_also_after_a_restart(past: Past) -> None:
    past.done()
    past.clock.sleep(1)
    first = weekly(past)
    first.tidy()
    day = day_of(past)
    assert made(past) == [f"{day}.html", f"{day}.md"]
    text = (past.folder.reports / f"{day}.md").read_text(encoding="utf-8")
    assert "| jobs done | 1 |" in text
    (past.folder.reports / f"{day}.md").write_text("kept")
    for report in (first, weekly(past)):  # it is the same week, for a new host, too
        past.clock.sleep(LOOK_S)
        report.tidy()
    assert (past.folder.reports / f"{day}.md").read_text() == "kept"
    past.clock.sleep(21 * DAY_S)  # three were missed: one is made
    first.tidy()
    assert made(past) == sorted([f"{day}.html", f"{day}.md", f"{day_of(past)}.html", f"{day_of(past)}.md"])


def test_the_latest_are_kept_and_nothing_else_is_touched(past: Past) -> None:
    report = weekly(past)
    days = []
    past.folder.reports.mkdir()
    (past.folder.reports / "mine.html").write_text("x")
    for _ in range(KEPT + 2):
        past.clock.sleep(7 * DAY_S)
        report.tidy()
        days.append(day_of(past))
    kept = [f"{day}{suffix}" for day in days[2:] for suffix in (".html", ".md")]
    assert made(past) == sorted([*kept, "mine.html"])


def test_what_fails_is_tried_again_in_an_hour(past: Past, caplog: pytest.LogCaptureFixture) -> None:
    past.folder.reports.write_text("a file is in the way")
    report = weekly(past)
    with caplog.at_level(logging.WARNING):
        report.tidy()
        past.clock.sleep(AGAIN_S - 1)
        report.tidy()
    assert len(caplog.records) == 1
    past.folder.reports.unlink()
    past.clock.sleep(1)
    report.tidy()
    assert len(made(past)) == 2


class Inbox(BaseHTTPRequestHandler):
    """A webhook."""

    bodies: ClassVar[list[str]] = []
    news = threading.Event()

    def do_POST(self) -> None:
        Inbox.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.end_headers()
        Inbox.news.set()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def inbox() -> Iterator[str]:
    Inbox.bodies, Inbox.news = [], threading.Event()
    with HTTPServer(("127.0.0.1", 0), Inbox) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"json://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_it_is_told_where_alerts_are_told(past: Past, inbox: str) -> None:
    for _ in range(3):
        past.failed("engine_failed")
    past.clock.sleep(1)
    report = weekly(past, urls=(inbox,))
    report.tidy()
    assert Inbox.news.wait(20)
    report.close()
    [body] = Inbox.bodies
    assert "3 jobs failed with `engine_failed`" in body
    assert f"{day_of(past)}.html" in body
    assert '"type": "warning"' in body
    assert str(Path(past.folder.root)) not in body


def test_closing_one_that_told_nothing(past: Past) -> None:
    weekly(past, urls=("json://127.0.0.1:9/",)).close()

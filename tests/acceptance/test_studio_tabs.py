"""The tabs Monitor, Logs and Service as a person has them: a real server, a scripted driver, a real browser."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.test_studio import CHROMIUM, KEY, NASTY, Visit, browser, playwright, served
from tests.support.nvml.script import card
from tests.support.scripts import dialogue

__all__ = ["browser", "playwright"]

ROOT = Path(__file__).parents[2]
SHADOW = ROOT / "tests/support/nvml/shadow"
CHARTS = ("rtf", "queue", "pool", "utilisation", "memory", "temperature", "power", "cpu", "host_memory")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.timeout(240),
]


class Driver:
    """The JSON file that the server's driver reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cards = [card(0, temperature=61, utilisation=40), card(1, temperature=55, utilisation=80)]
        self.set()

    def set(self, index: int = 0, **changes: Any) -> None:
        self.cards[index] |= changes
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"cards": self.cards}))
        new.replace(self.path)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    return Driver(tmp_path_factory.mktemp("driver") / "driver.json")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, driver: Driver) -> Iterator[str]:
    data = tmp_path_factory.mktemp("data")
    with served(data, PYTHONPATH=f"{SHADOW}:{ROOT / 'src'}:{ROOT}", SCRIPTED_NVML=str(driver.path)) as url:
        yield url


@pytest.fixture
def visit(browser: Any, url: str) -> Iterator[Visit]:
    visit = Visit(browser, url).booted()
    yield visit
    assert visit.wrong == []
    assert not [asked for asked in visit.asked if not asked.startswith((url, "data:", "blob:"))], "nothing from outside"
    visit.close()


def submit(url: str, script: str) -> str:
    answer = httpx.post(f"{url}/v1/audio/jobs", json={"model": "espeak", "script": script}, trust_env=False)
    assert answer.status_code == 202, answer.text
    job: str = answer.json()["id"]
    return job


def open_tab(visit: Visit, name: str) -> None:
    visit.page.click(f"#lt-tab-{name}-button")


def lines(visit: Visit, chart: str) -> dict[str, list[float | None]]:
    """What a chart draws: name in the legend → values."""
    found: dict[str, list[float | None]] = visit.page.evaluate(
        "id => Object.fromEntries((document.getElementById(id).data || []).map(line => [line.name, line.y]))",
        f"lt-chart-{chart}",
    )
    return found


def until(look: Any, timeout_s: float = 30.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def known(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def monitored(visit: Visit) -> None:
    open_tab(visit, "monitor")
    until(lambda: "card 1" in lines(visit, "temperature") or "显卡 1" in lines(visit, "temperature"))


def test_charts_of_each_card_and_of_all_follow_what_the_driver_says(visit: Visit, url: str, driver: Driver) -> None:
    submit(url, dialogue(400))
    monitored(visit)
    assert all(known(next(iter(lines(visit, chart).values()))) for chart in CHARTS if chart != "rtf")
    drawn = lines(visit, "utilisation")
    assert known(drawn["card 0"])[-1] == 40
    assert known(drawn["card 1"])[-1] == 80
    assert known(drawn["mean"])[-1] == 60
    assert lines(visit, "power")["total"][-2] == 700
    driver.set(0, utilisation=100, temperature=64)
    until(lambda: known(lines(visit, "utilisation")["card 0"])[-1] == 100)
    assert known(lines(visit, "utilisation")["card 0"])[0] == 40, "what was stays on the left"
    assert known(lines(visit, "temperature")["hottest"])[-1] == 64
    until(lambda: known(lines(visit, "rtf").get("espeak", [])))
    until(lambda: known(lines(visit, "queue")["accepted, not ended"])[-1] >= 1)


def test_what_is_shown_is_two_seconds_old_at_most_while_the_worker_is_busy(visit: Visit, url: str) -> None:
    jobs = [submit(url, dialogue(300)) for _ in range(20)]
    monitored(visit)
    ages = []
    for _ in range(20):
        visit.page.wait_for_timeout(250)
        ages.append(float(visit.page.get_attribute("#lt-monitor .lt-age", "data-seconds")))
    assert max(ages) <= 2.0, ages
    for job in jobs:
        httpx.post(f"{url}/v1/audio/jobs/{job}/cancel", trust_env=False)


def test_a_hot_card_has_thresholds_and_marks(visit: Visit, driver: Driver) -> None:
    monitored(visit)
    driver.set(1, temperature=89, throttles=0x40)  # hardware thermal slowdown
    marks = until(lambda: known(lines(visit, "temperature").get("slowed down", [])))
    assert marks[-1] == 89
    texts = visit.page.evaluate("document.getElementById('lt-chart-temperature').layout.annotations.map(a => a.text)")
    assert texts == ["go on 70°", "no new jobs 75°", "pause 87°"]
    driver.set(1, temperature=55, throttles=0)
    until(lambda: known(lines(visit, "temperature")["card 1"])[-1] == 55)


def test_windows_and_languages(visit: Visit) -> None:
    monitored(visit)
    page = visit.page
    for place, hours in ((1, 1), (2, 24)):
        page.click(f"#lt-monitor .lt-segment >> nth={place}")
        page.wait_for_function(
            "hours => { const plot = document.getElementById('lt-chart-cpu'), [a, b] = plot.layout.xaxis.range;"
            " return Math.abs((Date.parse(b) - Date.parse(a)) / 3600000 - hours) < 0.01; }",
            arg=hours,
        )
    page.click("#lt-monitor .lt-segment >> nth=0")
    page.click("#lt-language")
    page.wait_for_selector("#lt-monitor figcaption >> text=显卡温度")
    until(lambda: "显卡 1" in lines(visit, "utilisation"))
    until(lambda: page.inner_text("#lt-tab-logs-button") == "日志")  # the server tells the words of tabs


def test_a_hidden_tab_asks_for_nothing(visit: Visit) -> None:
    monitored(visit)
    open_tab(visit, "speak")
    visit.page.wait_for_timeout(1200)
    before = len([asked for asked in visit.asked if "/v1/monitor" in asked])
    visit.page.wait_for_timeout(3000)
    assert len([asked for asked in visit.asked if "/v1/monitor" in asked]) == before
    assert len([asked for asked in visit.asked if "plotly" in asked]) == 1


def test_the_log_is_followed_filtered_and_paused(visit: Visit, url: str) -> None:
    page = visit.page
    open_tab(visit, "logs")
    page.wait_for_selector(".lt-line")
    first = submit(url, "Anna: One.\nBen: Two.")
    page.wait_for_selector(f".lt-line >> text={first}")
    page.click(f".lt-of-job >> text={first} >> nth=0")
    page.wait_for_function("id => document.getElementById('lt-log-job').value === id", arg=first)
    page.wait_for_function(
        "id => [...document.querySelectorAll('.lt-line')].every(l => l.textContent.includes(id))", arg=first
    )
    page.click("#lt-log-follow")
    page.click("#lt-log-clear")
    page.wait_for_selector(f".lt-line >> text={first}")
    page.click("#lt-log-follow")  # now it rests
    second = submit(url, "Anna: Three.")
    page.wait_for_timeout(1500)
    assert page.query_selector(f".lt-line >> text={second}") is None
    page.click("#lt-log-follow")
    page.wait_for_selector(f".lt-line >> text={second}")
    page.fill("#lt-log-text", "no line has these letters")
    page.wait_for_function("document.querySelectorAll('.lt-line').length === 0")


def test_the_log_of_the_job_that_is_shown_and_what_is_in_lines_is_text(visit: Visit, url: str) -> None:
    page = visit.page
    visit.write("Anna: Hello there.")
    job = visit.start()
    visit.until("done")
    page.click("#lt-job >> text=Log of this job")
    page.wait_for_selector(f".lt-line >> text={job}")
    assert page.input_value("#lt-log-job") == job
    page.route(
        "**/v1/logs?*",
        lambda route: route.fulfill(
            json={
                "lines": [
                    {"time": "2026-11-21T12:00:00Z", "level": "info", "event": NASTY, "process": NASTY}
                    | {"logger": "x", "pid": 1, "trace": NASTY, NASTY: NASTY}
                ]
                * 700,
                "cursor": None,
                "position": "",
            }
        ),
    )
    page.click("#lt-log-clear")
    page.wait_for_selector(".lt-line >> text=<img")
    assert page.evaluate("window.pwned") is None
    assert page.locator(".lt-line").count() == 500, "more would make the page slow"


def test_a_restart_by_the_button_tells_bytes_and_the_job_in_hand_ends(visit: Visit, url: str) -> None:
    page = visit.page
    job = submit(url, dialogue(150))
    until(lambda: httpx.get(f"{url}/v1/audio/jobs/{job}", trust_env=False).json()["progress"]["audio_seconds"] > 5)
    open_tab(visit, "service")
    page.wait_for_selector("#lt-service-workers button[data-verb=restart]")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("#lt-service-workers button[data-verb=restart]")
    page.wait_for_timeout(500)
    assert page.inner_text("#lt-service-result") == "", "without consent nothing is done"
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#lt-service-workers button[data-verb=restart]")
    page.wait_for_selector("#lt-service-result [data-given-bytes]", timeout=90_000)
    assert "espeak was restarted." in page.inner_text("#lt-service-result")
    assert "MiB before" in page.inner_text("#lt-service-result")
    until(lambda: httpx.get(f"{url}/v1/audio/jobs/{job}", trust_env=False).json()["state"] == "done", 120)
    audited = httpx.get(f"{url}/v1/logs", params={"text": "actor=page@"}, trust_env=False).json()["lines"]
    assert "action=restart" in audited[0]["event"]


def test_unload_release_clean_and_the_doctor(visit: Visit, url: str) -> None:
    page = visit.page
    open_tab(visit, "service")
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("button[data-verb=release]")
    page.wait_for_selector("#lt-service-result >> text=gave back what it did not need")
    page.click("button[data-verb=unload]")
    page.wait_for_selector("#lt-service-result >> text=was unloaded")
    page.click("button[data-verb=load]")
    page.wait_for_selector("#lt-service-result >> text=was loaded")
    page.click("button[data-verb=clean_cache]")
    page.wait_for_selector("#lt-service-result p[data-given-bytes] >> text=store log")
    page.click("button[data-verb=doctor]")
    page.wait_for_selector("#lt-service-doctor .lt-well >> text=job store", timeout=90_000)
    with page.context.expect_page() as opened:
        page.click("text=Last 24 hours")
    opened.value.wait_for_load_state()
    assert "/v1/report?since=24h&lang=en" in opened.value.url
    assert "longtake" in opened.value.content()


def test_a_machine_without_a_card_says_so_and_with_a_key_all_goes_through_the_page(
    browser: Any, tmp_path: Path
) -> None:
    with served(tmp_path / "data", LONGTAKE_SERVER__API_KEY=KEY) as url:
        visit = Visit(browser, url, viewport={"width": 390, "height": 844})
        page = visit.page
        page.fill("input >> nth=0", "me")
        page.fill("input[type=password]", KEY)
        page.press("input[type=password]", "Enter")
        visit.booted()
        open_tab(visit, "monitor")
        page.wait_for_selector("#lt-monitor >> text=This machine has no NVIDIA driver")
        until(lambda: known(lines(visit, "cpu").get("all cores", [])))
        assert page.is_hidden("#lt-chart-temperature")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        open_tab(visit, "logs")
        page.wait_for_selector(".lt-line")
        visit_lines = page.locator(".lt-line").count()
        page.wait_for_function("count => document.querySelectorAll('.lt-line').length >= count", arg=visit_lines)
        open_tab(visit, "service")
        page.wait_for_selector("#lt-service-workers >> text=espeak")
        assert "/studio/report?since=7d" in str(page.get_attribute("text=Last 7 days", "href"))
        assert not [asked for asked in visit.asked if "/v1/" in asked], "the browser has no key for these"
        assert visit.wrong == []
        visit.close()

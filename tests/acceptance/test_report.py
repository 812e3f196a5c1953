"""The report as a person opens it: one file, a real browser, no network."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longtake.report import gather, render
from tests.support.past import DAY_S, GIB, HOUR_S, Past

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """A day of a machine with one card, which got hot at noon."""
    past = Past(tmp_path_factory.mktemp("data"))
    start_s = past.now_s
    past.watch(start_s, [_usual(0.1) for _ in range(300)])
    past.clock.sleep(DAY_S - (past.now_s - start_s))
    day_s = past.now_s
    past.watch(day_s, [_minute(number) for number in range(1440)])
    for number in range(18):
        past.clock.sleep(HOUR_S)
        past.done(wait_s=30 * number, took_s=60 + 9 * number, audio_s=900, engine="vibevoice")
        if number % 5 == 2:
            past.failed("truncated")
        if number == 12:
            past.interrupted("waits for the GPU to cool: card 0 has 88 °C")
    past.clock.sleep(day_s + DAY_S - past.now_s)
    past.free_bytes = 2 * GIB
    yield past
    past.close()


def _usual(rtf: float) -> dict[str, float]:
    return {"rtf_ratio:vibevoice": rtf}


def _minute(number: int) -> dict[str, float]:
    wave = math.sin(number / 60)
    is_hot = 700 <= number < 800
    celsius = 88.0 if is_hot else 66 + 6 * wave
    return _usual(0.2 if number >= 700 else 0.1 + 0.01 * wave) | {
        "cpu_ratio": 0.3 + 0.1 * wave,
        "memory_used_bytes": (9 + wave) * GIB,
        "memory_total_bytes": 32.0 * GIB,
        "process_resident_bytes:web": 0.2 * GIB,
        "process_resident_bytes:worker/vibevoice": (3 + number / 1440) * GIB,
        "gpu_lost:0": 0.0,
        "gpu_xids:0": 0.0,
        "gpu_temperature_celsius:0": celsius,
        "gpu_utilisation_ratio:0": 0.85 + 0.1 * wave,
        "gpu_power_watts:0": 300 + 60 * wave,
        "gpu_memory_used_bytes:0": 18.0 * GIB,
        "gpu_memory_total_bytes:0": 24.0 * GIB,
        "gpu_throttle_thermal_ratio:0": 0.5 if is_hot else 0.0,
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("en", ("What to do", "jobs done", "Card 0 reached 89 °C and was slowed by heat for 50 min.")),
        ("zh", ("建议", "完成的任务", "显卡 0 最高 89 °C，因过热降频 50 分。")),
    ],
)
def test_the_file_shows_its_pictures_and_asks_nobody(
    past: Past, browser: Any, tmp_path: Path, language: str, says: tuple[str, ...]
) -> None:
    file = tmp_path / "report.html"
    report = gather(past.sources(), past.now_s - DAY_S, past.now_s)
    file.write_text(render(report, "html", language), encoding="utf-8")
    page = browser.new_context(viewport={"width": 1000, "height": 900}).new_page()
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.goto(file.as_uri())
    page.wait_for_selector("#cards .main-svg .xy .scatterlayer path.point", state="attached", timeout=60_000)
    assert page.locator(".js-plotly-plot").count() == 5  # load, processors and cards, speed, memory, heat
    assert page.locator("#load .bars path").count() > 0
    assert page.locator("#memory .scatterlayer path.js-line").count() == 4
    text = page.inner_text("main")
    assert [each for each in says if each not in text] == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert wrong == []
    page.screenshot(path=tmp_path / "report.png", full_page=True)
    page.context.close()


def test_a_script_that_slipped_in_does_nothing(past: Past, browser: Any, tmp_path: Path) -> None:
    """The policy in the file holds even where the escaping would not."""
    report = gather(past.sources(), past.now_s - DAY_S, past.now_s)
    html = render(report, "html", "en").replace(
        "<footer>", '<script>window.pwned = 1</script><img src="x" onerror="window.pwned = 2"><footer>'
    )
    file = tmp_path / "report.html"
    file.write_text(html, encoding="utf-8")
    page = browser.new_context().new_page()
    blocked: list[str] = []
    page.on("requestfailed", lambda request: blocked.append(request.failure))
    page.goto(file.as_uri())
    page.wait_for_selector("#load .main-svg", state="attached", timeout=60_000)
    assert page.evaluate("window.pwned") is None
    assert blocked == ["csp"]  # the picture
    page.context.close()

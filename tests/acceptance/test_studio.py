"""The page as a person has it: a real server, a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.scripts import dialogue
from tests.support.served import LONGTAKE

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
]
KEY = "a-long-random-word"
NASTY = "<img src=x onerror=window.pwned=1> ${window.pwned=2} {{window.pwned=3}}"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@contextmanager
def served(data: Path, **environment: str) -> Iterator[str]:
    """A server with its page."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LONGTAKE_")}
    process = subprocess.Popen(
        [LONGTAKE, "serve", "--port", "0", "--data", str(data)],
        env=kept | {"LONGTAKE_DISK_FLOOR_MIB": "16"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "it did not start"
        deadline = time.monotonic() + 30
        while not is_ready(found[0]):
            assert time.monotonic() < deadline, "it did not become ready"
            time.sleep(0.1)
        yield found[0]
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=10, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("data")) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """One person's page: what it asked for, and what went wrong in it."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.page = browser.new_context(**({"locale": "en-US"} | options)).new_page()
        self.page.set_default_timeout(20_000)
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.goto(url)

    def booted(self) -> Visit:
        """Until the answer to the first load is there: the recent jobs, or that there are none."""
        self.page.wait_for_selector("#lt-jobs ol, #lt-jobs p")
        return self

    def write(self, script: str) -> None:
        self.page.fill("#lt-script textarea", script)

    def start(self) -> str:
        """Gives the job's id, from the page's address."""
        self.page.dblclick("#lt-start")  # which also waits until it can be clicked
        self.page.wait_for_url("**/?job=job_*")
        return str(self.page.url).rpartition("=")[2]

    def until(self, state: str) -> None:
        self.page.wait_for_selector(f"#lt-job .lt-pill[data-state={state}]", timeout=60_000)

    def sound(self) -> dict[str, Any]:
        """Where the player is."""
        found: dict[str, Any] = self.page.evaluate(
            "(() => { const a = document.querySelector('.lt-audio');"
            " return { at: a.currentTime, length: a.duration, paused: a.paused }; })()"
        )
        return found

    def close(self) -> None:
        self.page.context.close()


@pytest.fixture
def visit(browser: Any, url: str) -> Iterator[Visit]:
    visit = Visit(browser, url).booted()
    yield visit
    assert visit.wrong == []
    visit.close()


def jobs(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/v1/audio/jobs", trust_env=False).json()["data"]
    return found


def test_from_an_example_to_the_finished_file(visit: Visit, url: str) -> None:
    page, before = visit.page, len(jobs(url))
    page.click("#lt-example-zh")
    page.wait_for_selector(".lt-length")
    page.wait_for_selector("#lt-voice-1 input")
    assert page.input_value("#lt-voice-0 input").startswith("Chinese")
    assert "Daniel · 3 turns" in page.inner_text("#lt-voice-1")
    job_id = visit.start()
    visit.until("done")
    assert len(jobs(url)) == before + 1, "a double click is one job"
    with page.expect_download() as download:
        page.click("text=Download MP3")
    path = download.value.path()
    assert path.read_bytes() == httpx.get(f"{url}/v1/audio/jobs/{job_id}/audio", trust_env=False).content
    page.reload()
    visit.until("done")
    page.wait_for_function("document.querySelector('.lt-audio').duration > 10")
    assert page.input_value("#lt-script textarea").startswith("小雨"), "the draft is still there"
    assert not [asked for asked in visit.asked if not asked.startswith((url, "data:", "blob:"))], "nothing from outside"


def test_listening_goes_on_when_the_stream_becomes_a_file(visit: Visit) -> None:
    page = visit.page
    visit.write(dialogue(60))
    visit.start()
    page.wait_for_selector(".lt-audio")
    page.evaluate("document.querySelector('.lt-audio').play()")
    visit.until("done")
    page.wait_for_function("Number.isFinite(document.querySelector('.lt-audio').duration)")
    page.wait_for_function("document.querySelector('.lt-audio').currentTime > 0.5")
    assert not visit.sound()["paused"]
    assert visit.sound()["length"] > 200


def test_pause_go_on_and_cancel(visit: Visit) -> None:
    page = visit.page
    visit.write(dialogue(900))
    visit.start()
    visit.until("running")
    page.click("#lt-pause")
    visit.until("paused")
    page.wait_for_selector("#lt-pause:disabled")
    page.click("#lt-resume")
    visit.until("running")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("#lt-cancel")
    page.wait_for_timeout(1500)
    visit.until("running")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#lt-cancel")
    visit.until("cancelled")
    assert page.is_hidden("#lt-pause")


def test_a_bad_take_is_spoken_again_from_the_page(visit: Visit, url: str) -> None:
    page = visit.page
    visit.write(dialogue(30))
    job_id = visit.start()
    visit.until("done")
    page.wait_for_function("document.querySelector('.lt-audio').duration > 60")
    first = page.get_attribute(".lt-audio", "src")
    page.fill("#lt-again-from input, #lt-again-from textarea", "9:00:00")
    page.click("#lt-again")
    page.wait_for_selector("#lt-complaint >> text=lies behind what is spoken")
    page.fill("#lt-again-from input, #lt-again-from textarea", "0:40")
    page.click("#lt-again")
    page.wait_for_function(
        "first => document.querySelector('#lt-job .lt-pill').dataset.state === 'done'"
        " && document.querySelector('.lt-audio').getAttribute('src') !== first",
        arg=first,
    )
    events = httpx.get(f"{url}/v1/audio/jobs/{job_id}/events", trust_env=False).text
    assert 30 < json.loads(events.split("event: again\ndata: ")[1].split("\n")[0])["from_seconds"] <= 40
    page.wait_for_selector("#lt-complaint >> .lt-complaint", state="detached")


def test_what_users_write_is_never_run(visit: Visit) -> None:
    page = visit.page
    visit.write(json.dumps([{"speaker": NASTY, "text": f"{NASTY} said this."}, {"speaker": "B", "text": "Hi."}]))
    page.wait_for_selector("#lt-voice-1 input")
    assert NASTY in page.inner_text("#lt-voice-0")
    visit.start()
    visit.until("done")
    assert page.inner_text("#lt-job h2").startswith("<img")
    page.wait_for_selector("#lt-jobs a >> text=<img")
    assert page.evaluate("window.pwned") is None


def test_a_mistake_is_told_where_it_is_made(visit: Visit) -> None:
    page = visit.page
    visit.write("Anna: Hello there.\nBen: And hello to you.")
    page.wait_for_selector("#lt-voice-1 input")
    page.fill("#lt-voice-1 input", "nobody")
    page.press("#lt-voice-1 input", "Enter")
    page.wait_for_selector("#lt-findings .lt-error >> text=nobody")
    assert page.is_disabled("#lt-start")
    page.click("#lt-voice-1 input")
    page.click("text=Let the server choose")
    page.wait_for_selector("#lt-findings .lt-fine")


def choose_file(page: Any, data: bytes) -> None:
    with page.expect_file_chooser() as chooser:
        page.click("#lt-upload")
    chooser.value.set_files({"name": "a.txt", "mimeType": "text/plain", "buffer": data})


def until_script(page: Any, text: str) -> None:
    page.wait_for_function("text => document.querySelector('#lt-script textarea').value === text", arg=text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030"])
def test_a_file_is_opened_whatever_its_encoding(visit: Visit, encoding: str) -> None:
    text = "甲：你好，世界。\n乙：再见。"
    choose_file(visit.page, text.replace("\n", "\r\n").encode(encoding))
    until_script(visit.page, text)
    visit.page.wait_for_selector("#lt-voice-1 input")
    assert not [asked for asked in visit.asked if "upload" in asked or "file=" in asked]


def test_a_file_is_dropped_on_the_script(visit: Visit) -> None:
    visit.page.evaluate(
        "text => { const files = new DataTransfer(); files.items.add(new File([text], 'a.txt'));"
        " document.querySelector('#lt-script textarea').dispatchEvent("
        "new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true })); }",
        "Anna: Dropped.\nBen: And caught.",
    )
    visit.page.wait_for_selector("#lt-voice-1 input")
    until_script(visit.page, "Anna: Dropped.\nBen: And caught.")


def test_a_file_that_is_no_script_is_told_and_changes_nothing(visit: Visit) -> None:
    page = visit.page
    visit.write("Anna: This stays.")
    page.wait_for_selector("#lt-findings .lt-fine")  # a check clears the complaint
    for data, told in (
        (b"\x89PNG\r\n\x1a\n\x00", "not text but binary data"),
        (b"a" * 300_000, "300,000 characters, the limit is 200,000"),
        (b"a" * 4_000_001, "too large for a script"),
    ):
        choose_file(page, data)
        page.wait_for_selector(f"#lt-complaint >> text={told}")
        assert page.input_value("#lt-script textarea") == "Anna: This stays."
    choose_file(page, b"Anna: This comes.")
    until_script(page, "Anna: This comes.")
    page.wait_for_selector("#lt-complaint >> .lt-complaint", state="detached")


def test_a_narrow_chinese_phone(browser: Any, url: str) -> None:
    visit = Visit(browser, url, locale="zh-CN", viewport={"width": 390, "height": 844}).booted()
    page = visit.page
    page.wait_for_selector("#lt-start >> text=开始")
    page.click("#lt-example-en")
    page.wait_for_selector("#lt-findings >> text=可以开始朗读")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.click("#lt-language")
    page.wait_for_selector("#lt-start >> text=Start")
    page.wait_for_selector("#lt-findings >> text=Ready to be spoken")
    page.reload()
    page.wait_for_selector("#lt-findings >> text=Ready to be spoken")
    assert visit.wrong == []
    visit.close()


def test_with_a_key_the_page_asks_for_it_and_passes_the_audio_on(browser: Any, tmp_path: Path) -> None:
    with served(tmp_path / "data", LONGTAKE_SERVER__API_KEY=KEY) as url:
        visit = Visit(browser, url)
        page = visit.page
        page.fill("input >> nth=0", "me")
        page.fill("input[type=password]", KEY)
        page.press("input[type=password]", "Enter")
        visit.booted()
        page.click("#lt-example-en")
        page.wait_for_selector("#lt-findings .lt-fine")
        choose_file(page, "甲：你好，世界。".encode("gb18030"))
        until_script(page, "甲：你好，世界。")
        page.click("#lt-example-en")
        job_id = visit.start()
        visit.until("done")
        page.wait_for_function("document.querySelector('.lt-audio')?.duration > 10")
        assert any(f"/studio/jobs/{job_id}/audio" in asked for asked in visit.asked)
        assert httpx.get(f"{url}/studio/jobs/{job_id}/audio", trust_env=False).status_code == 401
        visit.close()

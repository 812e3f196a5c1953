from __future__ import annotations

import asyncio
import json
import re
from importlib import resources
from typing import Any

import httpx
import pytest

from longtake.studio import service_html as html
from longtake.studio.client import MENDINGS, Api
from longtake.studio.files import GUARDED, OPEN
from longtake.studio.logs_tab import build_logs
from longtake.studio.monitor_tab import CHARTS, WINDOWS, build_monitor, names
from longtake.studio.service_actions import ServiceActions
from longtake.studio.tab_text import LOGS, MONITOR
from longtake.studio.text import TEXT
from longtake.wire.alerts import AlertList, AlertText, AlertView
from longtake.wire.doctor import DoctorView, Examined
from longtake.wire.logs import CrashView
from longtake.wire.mending import CleanedView, MemoryView, MendedView
from longtake.wire.monitor import Snapshot
from tests.unit.studio.answers import NASTY

MIB = 1 << 20


def script_of(name: str) -> str:
    return resources.files("longtake.studio").joinpath("scripts", name).read_text(encoding="utf-8")


def snapshot(**worker: Any) -> Snapshot:
    fields = {"engine": "espeak", "state": "ready", "pid": 7, "reason": None, "restarts": 1, "steps": 2} | worker
    process = {
        "pid": 7,
        "role": "worker",
        "engine": "espeak",
        "resident_bytes": 80 * MIB,
        "cpu_cores": 0.1,
        "threads": 9,
    }
    total = dict.fromkeys(
        ("utilisation_ratio", "memory_used_bytes", "memory_total_bytes", "temperature_celsius", "power_watts")
    )
    return Snapshot.model_validate(
        {
            "at": 1.0,
            "age_seconds": 0.1,
            "gpus": {
                "state": "absent",
                "reason": None,
                "age_seconds": 0.1,
                "driver_version": None,
                "cards": [],
                "total": {"cards": 0, "lost": 0, "energy_joules": None, **total},
            },
            "host": {
                "cpu_ratio": 0.1,
                "core_ratios": [],
                "load_1m": 1.0,
                "memory_total_bytes": 1,
                "disk": None,
                "memory_available_bytes": 1,
                "swap_total_bytes": 0,
                "swap_used_bytes": 0,
                "cgroup": None,
                "disk_read_bytes_per_s": 0.0,
                "disk_written_bytes_per_s": 0.0,
                "processes": [process],
            },
            "heat": {"level": "normal", "card": None, "reason": None, "since": None, "actions": {}},
            "workers": [fields],
            "engines": {},
            "queue_jobs": 0,
        }
    )


def test_a_worker_shows_its_state_its_memory_and_what_may_be_done() -> None:
    told = html.workers_html("en", snapshot())
    assert ">ready<" in told
    assert "process 7 · 80.0 MiB in memory · 1 restart<" in told
    assert re.findall(r'data-verb="(\w+)"', told) == ["restart", "drain", "unload", "release"]
    assert re.findall(r'data-verb="(\w+)"', html.workers_html("en", snapshot(state="unloaded")))[2] == "load"
    # What interrupts jobs asks first, and nothing else does.
    assert re.findall(r'data-verb="(\w+)" data-engine="espeak" data-ask', told) == ["restart", "unload"]
    assert set(re.findall(r'data-verb="(\w+)"', told)) | {"load"} == MENDINGS.keys()


def test_a_newer_servers_state_and_what_it_says_are_shown_as_text() -> None:
    told = html.workers_html("zh", snapshot(state=NASTY, reason=NASTY, engine=NASTY))
    assert "<img" not in told
    assert "${" not in told


def memory(rss: int, reserved: int | None = None) -> MemoryView:
    return MemoryView(rss_bytes=rss, allocated_bytes=reserved, reserved_bytes=reserved)


def mended(**changes: Any) -> MendedView:
    fields = {
        "engine": "espeak",
        "action": "restart",
        "state": "ready",
        "done": True,
        "before": memory(90 * MIB),
        "after": memory(80 * MIB),
        "given_back": memory(10 * MIB),
    }
    return MendedView(**(fields | changes))


def test_what_came_back_is_told_in_bytes() -> None:
    told = html.mended_html("en", mended())
    assert "Memory of the process: 90.0 MiB before, 80.0 MiB after, 10.0 MiB given back." in told
    assert f'data-given-bytes="{10 * MIB}"' in told
    assert "device" not in told
    on_card = {name: memory(1, size * MIB) for name, size in (("before", 900), ("after", 100), ("given_back", 800))}
    assert "Memory of the device: 900.0 MiB before, 100.0 MiB after, 800.0 MiB" in html.mended_html(
        "en", mended(**on_card)
    )


def test_what_is_not_done_yet_gives_no_bytes() -> None:
    told = html.mended_html("en", mended(done=False, after=None, given_back=None))
    assert "on its way" in told
    assert "data-given-bytes" not in told


def test_a_clean_up_tells_what_it_freed() -> None:
    cleaned = CleanedView(
        files=2,
        given_back_bytes=3 * MIB,
        temporary_bytes=MIB,
        log_bytes=2 * MIB,
        cache_bytes=0,
        free_bytes_before=1,
        free_bytes_after=1 << 30,
    )
    told = html.cleaned_html("en", cleaned)
    assert "3.0 MiB given back: 2 leftover files (1.0 MiB), store log 2.0 MiB, cache 0 B. 1.0 GiB are free." in told
    assert f'data-given-bytes="{3 * MIB}"' in told


def test_the_doctor_tells_the_wrong_things_first() -> None:
    checks = [
        Examined(name="python", ok=True, found="3.11", remedy=""),
        Examined(name="disk", ok=False, found=NASTY, remedy="Buy one."),
    ]
    told = html.doctor_html("en", DoctorView(ok=False, at=1.0, checks=checks))
    assert told.index("disk") < told.index("python")
    assert "→ Buy one." in told
    assert "<img" not in told


def test_alerts_and_crashes_are_told_in_the_readers_language() -> None:
    alert = AlertView(
        name="LongtakeJobStalled",
        severity="critical",
        labels={"engine": "espeak"},
        since=1.0,
        value=1.0,
        threshold=1.0,
        en=AlertText(summary="It stands.", advice="Look."),
        zh=AlertText(summary="停住了。", advice="查看。"),
    )
    told = html.alerts_html("zh", AlertList(data=[alert], channels=2))
    assert "停住了。" in told
    assert "2 个渠道" in told
    assert "It stands." not in told
    assert "Nothing is wrong." in html.alerts_html("en", AlertList(data=[], channels=0))
    crash = CrashView(
        id="x",
        at=1.0,
        process="web",
        pid=1,
        how="killed by SIGKILL",
        version="1",
        lived_seconds=1.0,
        memory=NASTY,
        words=NASTY,
        lines=[{"event": NASTY}],
        figures=None,
    )
    shown = html.crashes_html("en", [crash] * 20)
    assert shown.count("killed by SIGKILL") == 10
    assert "<img" not in shown


def test_reports_open_beside_the_page_in_its_language() -> None:
    links = re.findall(r'target="_blank" rel="noopener" href="([^"]+)"', html.report_html("zh", GUARDED.report))
    assert links == ["/studio/report?since=24h&amp;lang=zh", "/studio/report?since=7d&amp;lang=zh"]


class Parts:
    """In the place of the tab's components: their names."""

    def __getattr__(self, name: str) -> str:
        return name


def acted(verb: str, answers: dict[str, tuple[int, Any]]) -> tuple[list[dict[Any, Any]], list[str]]:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.raw_path.decode()}")
        status, body = answers.get(request.url.path, (503, None))
        error = {"error": {"message": "Busy.", "type": "server_error", "param": None, "code": "busy"}}
        return httpx.Response(status, json=error if body is None else body)

    api = Api("http://127.0.0.1", None, httpx.MockTransport(answer))

    async def run() -> list[dict[Any, Any]]:
        actions = ServiceActions(api, Parts())  # type: ignore[arg-type]
        return [updates async for updates in actions.act(verb, "espeak", "en")]

    return asyncio.run(run()), asked


@pytest.mark.parametrize("verb", MENDINGS)
def test_a_click_becomes_one_request_and_its_answer_is_shown(verb: str) -> None:
    action, query = MENDINGS[verb]
    answer = mended(action=action).model_dump()
    updates, asked = acted(verb, {f"/v1/admin/{action}": (200, answer)})
    wanted = "&".join([*(f"{key}={value}" for key, value in query.items()), "engine=espeak", "wait_s=60.0"])
    assert asked[0] == f"POST /v1/admin/{action}?{wanted}"
    assert "may take a while" in updates[0]["result"]
    assert "10.0 MiB given back" in updates[1]["result"]
    assert "Busy." in updates[2]["workers"]


def test_what_the_server_refuses_is_told_where_it_was_asked_for() -> None:
    assert "Busy." in acted("restart", {})[0][1]["result"]
    updates, asked = acted("doctor", {})
    assert "Busy." in updates[1]["doctor"]
    assert asked == ["GET /v1/doctor"]


@pytest.mark.parametrize("verb", ["look", "rm -rf", ""])
def test_a_word_that_nobody_knows_only_looks(verb: str) -> None:
    views = {"/v1/alerts": {"data": [], "channels": 0}, "/v1/crashes": {"crashes": []}}
    answers = {path: (200, body) for path, body in views.items()} | {"/v1/monitor": (200, snapshot().model_dump())}
    updates, asked = acted(verb, answers)
    assert asked == ["GET /v1/monitor", "GET /v1/alerts", "GET /v1/crashes"]
    assert [set(each) for each in updates] == [{"workers", "alerts", "crashes"}]


def test_every_series_of_a_chart_is_one_that_the_monitor_has() -> None:
    """The names are given away by the modules that make them; the studio may not import those."""
    made = "".join(
        resources.files("longtake.monitor").joinpath(*path).read_text(encoding="utf-8")
        for path in (("probes", "series.py"), ("speech.py",), ("machine.py",))
    )
    for name in names():
        bare = name.removeprefix("gpu_")
        if bare.startswith("throttle_"):
            assert 'f"gpu_throttle_{each}_ratio:' in made
        else:
            assert f'"{bare}"' in made or f'f"{bare}:' in made, name


def test_charts_speak_words_that_are_there() -> None:
    for chart in CHARTS:
        told = [chart.title, chart.mark_told, *(word for line in chart.lines for word in (line.told, line.whole))]
        assert {word for word in told if word} <= MONITOR.keys()
    assert [window["seconds"] for window in WINDOWS] == [300, 3600, 86_400]
    assert all(window["seconds"] % window["steps"] == 0 for window in WINDOWS)  # type: ignore[operator]


@pytest.mark.parametrize(("names", "words"), [(["charts.js", "monitor.js"], MONITOR), (["logs.js"], LOGS)])
def test_a_script_says_only_words_that_it_is_given(names: list[str], words: dict[str, Any]) -> None:
    source = "".join(map(script_of, names))
    said = set(re.findall(r'say\("(\w+)"', source)) | set(re.findall(r'"((?:mon|log)_\w+)"', source))
    assert said <= words.keys()
    from_data = {word for chart in CHARTS for word in re.findall(r"mon_\w+", str(chart))} | {w["told"] for w in WINDOWS}
    made = {f"mon_{word}" for word in ("cards", "engine", "machine", "heat_hold", "heat_pause")}
    made |= {f"mon_{word}_at" for word in ("go", "hold", "pause")}
    made |= {f"log_{level}" for level in ("debug", "info", "warning", "error")}
    assert words.keys() - said - from_data - made == set(), "nobody says them"


def test_scripts_never_make_html_of_what_they_are_told() -> None:
    folder = resources.files("longtake.studio").joinpath("scripts")
    names = [each.name for each in folder.iterdir()]
    assert len(names) == 7
    for name in names:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", script_of(name))
        assert "http" not in script_of(name)


def test_the_scripts_are_told_where_to_ask() -> None:
    async def build() -> tuple[Any, Any]:
        import gradio as gr

        with gr.Blocks():
            return build_monitor(GUARDED), build_logs(OPEN)

    monitor, logs = asyncio.run(build())
    config = json.loads(monitor.js_on_load.split("const config = ")[1].split(", words = ")[0])
    assert config["monitor"] == "/studio/monitor"
    assert '{"logs": "/v1/logs"}' in logs.js_on_load


def test_states_of_workers_have_words() -> None:
    from longtake.supervise import WorkerState

    assert {f"state_{state}" for state in WorkerState} <= TEXT.keys()

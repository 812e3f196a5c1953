"""The page's answers to its events, against a scripted API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr
import httpx
import pytest

from longtake.studio.actions import Actions, Updates
from longtake.studio.client import Api
from longtake.studio.files import OPEN
from longtake.studio.job_html import player_key
from longtake.studio.layout import VOICE_ROWS, Layout, build_layout
from tests.unit.studio.answers import JOB_ID, check, done, finding, job

VOICE = {"id": "en-us", "name": "English", "language": "en-US", "engine": "espeak"}
REFUSAL = {"error": {"message": "No <b>room</b>.", "type": "server_error", "param": None, "code": "disk_full"}}


class ScriptedServer:
    """Answers by method and path; remembers the bodies."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], httpx.Response] = {
            ("GET", "/v1/models"): httpx.Response(
                200, json={"data": [{"id": "espeak", "created": 1, "name": "eSpeak"}]}
            ),
            ("GET", "/v1/audio/voices"): httpx.Response(200, json={"voices": [VOICE]}),
            ("GET", "/readyz"): httpx.Response(200, json={"ready": True, "engines": {}}),
            ("GET", "/v1/audio/jobs"): httpx.Response(200, json={"data": [], "has_more": False}),
            ("POST", "/v1/audio/check"): httpx.Response(200, text=check().model_dump_json()),
            ("POST", "/v1/audio/jobs"): httpx.Response(202, text=job("queued").model_dump_json()),
            ("GET", f"/v1/audio/jobs/{JOB_ID}"): httpx.Response(200, text=job().model_dump_json()),
        }
        self.bodies: list[dict[str, Any]] = []
        self.is_there = True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if not self.is_there:
            raise httpx.ConnectError("refused")
        if request.content:
            self.bodies.append(json.loads(request.content))
        return self.answers.get((request.method, request.url.path), httpx.Response(404, json=REFUSAL))


class Page:
    """Layout, actions and server of one test."""

    def __init__(self) -> None:
        self.server = ScriptedServer()

    def run(self, act: Callable[[Actions, Layout], Awaitable[Updates]]) -> tuple[Layout, Updates]:
        async def acting() -> tuple[Layout, Updates]:
            with gr.Blocks():
                layout = build_layout("", OPEN)
            api = Api("http://127.0.0.1:7860", None, httpx.MockTransport(self.server))
            async with api.http:
                return layout, await act(Actions(api, layout, "/v1/audio/jobs", 4_000_000), layout)

        return asyncio.run(acting())


@pytest.fixture
def page() -> Page:
    return Page()


def checked(page: Page, script: str = "Anna: Hi.", picks: dict[str, str] | None = None) -> tuple[Layout, Updates]:
    return page.run(lambda actions, _: actions.check(script, "espeak", 1.0, picks or {}, [], "en"))


def test_a_script_fills_a_row_per_speaker(page: Page) -> None:
    layout, updates = checked(page)
    rows = [updates[row] for row in layout.voices]
    assert [row["visible"] for row in rows] == [True, True, *[False] * (VOICE_ROWS - 2)]
    assert rows[0]["label"] == "Anna · 1 turn · 75%"
    assert rows[1]["value"] == "cmn"
    assert updates[layout.start]["interactive"] is True
    assert updates[layout.cast] == [("Anna", 1), ("小雨", 2)]
    assert "about 1:05" in updates[layout.summary]


def test_a_pick_is_sent_by_the_speakers_number(page: Page) -> None:
    layout, updates = checked(page, picks={"小雨": "yue", "Gone": "de"})
    assert page.server.bodies[-1]["voices"] == {"2": "yue"}
    assert updates[layout.voices[1]]["value"] == "yue"
    assert updates[layout.voices[1]]["choices"][0] == ("Let the server choose", "")
    assert updates[layout.voices[0]]["choices"][0][1] == "en-us"


def test_picks_are_made_and_taken_back(page: Page) -> None:
    cast = [("Anna", 1)]

    async def pick(actions: Actions, layout: Layout) -> Updates:
        picked = actions.pick(0, " en-gb ", {}, cast)
        assert picked == {"Anna": "en-gb"}
        assert actions.pick(0, "", picked, cast) == actions.pick(0, None, picked, cast) == {}
        assert actions.pick(5, "x", picked, cast) == picked
        return {}

    page.run(pick)


def test_an_error_in_the_script_holds_the_start_back(page: Page) -> None:
    bad = check(ok=False, findings=[finding("error", "No words.")])
    page.server.answers["POST", "/v1/audio/check"] = httpx.Response(200, text=bad.model_dump_json())
    layout, updates = checked(page)
    assert updates[layout.start]["interactive"] is False
    assert "No words." in updates[layout.findings]


def test_an_empty_script_asks_nobody(page: Page) -> None:
    layout, updates = checked(page, "  \n")
    assert page.server.bodies == []
    assert updates[layout.start]["interactive"] is False


def start(page: Page) -> tuple[Layout, Updates]:
    return page.run(
        lambda actions, _: actions.start(
            "Anna: Hi.", "espeak", "flac", "podcast", 1.25, {"Anna": "en-gb"}, [("Anna", 1)], "en", "key-1"
        )
    )


def test_a_start_shows_the_job(page: Page) -> None:
    layout, updates = start(page)
    assert page.server.bodies == [
        {
            "script": "Anna: Hi.",
            "model": "espeak",
            "voices": {"1": "en-gb"},
            "speed": 1.25,
            "response_format": "flac",
            "loudness": "podcast",
        }
    ]
    assert updates[layout.job_id] == JOB_ID
    assert updates[layout.job_panel]["visible"] is True
    assert updates[layout.job_tick].active is True


def test_a_refusal_is_told_in_place_as_text(page: Page) -> None:
    page.server.answers["POST", "/v1/audio/jobs"] = httpx.Response(507, json=REFUSAL)
    layout, updates = start(page)
    assert updates == {layout.complaint: '<p class="lt-complaint" role="alert">No &lt;b&gt;room&lt;/b&gt;.</p>'}


def follow(page: Page, shown: str) -> tuple[Layout, Updates]:
    return page.run(lambda actions, _: actions.follow_job(JOB_ID, "en", shown))


def test_while_a_job_is_spoken_the_player_is_left_alone(page: Page) -> None:
    layout, updates = follow(page, f"en {player_key(job())} running")
    assert "12:30 of 54:10" in updates[layout.job]
    assert layout.player not in updates
    assert layout.recent not in updates
    assert layout.job_id not in updates, "the user may have turned to another job meanwhile"


def test_its_end_brings_the_finished_file_and_stops_the_clock(page: Page) -> None:
    page.server.answers["GET", f"/v1/audio/jobs/{JOB_ID}"] = httpx.Response(200, text=done().model_dump_json())
    layout, updates = follow(page, f"en {player_key(job())} running")
    assert "Download MP3" in updates[layout.player]
    assert layout.recent in updates
    assert updates[layout.job_tick].active is False
    assert updates[layout.pause]["visible"] is False


def test_a_server_that_is_away_is_waited_for(page: Page) -> None:
    page.server.is_there = False
    layout, updates = follow(page, "")
    assert "does not answer" in updates[layout.job]
    assert updates[layout.job_tick].active is True
    assert layout.job_id not in updates


def test_a_job_that_is_not_there_is_let_go(page: Page) -> None:
    layout, updates = page.run(lambda actions, _: actions.show_job("job_unknown", "en"))
    assert updates[layout.job_id] == ""
    assert updates[layout.job_panel]["visible"] is False
    assert "room" in updates[layout.complaint]


def test_buttons_follow_what_the_job_can(page: Page) -> None:
    page.server.answers["POST", f"/v1/audio/jobs/{JOB_ID}/pause"] = httpx.Response(
        200, text=job("paused", can=["resume", "cancel"]).model_dump_json()
    )
    layout, updates = page.run(lambda actions, _: actions.steer("pause", JOB_ID, "en", ""))
    assert [updates[button]["interactive"] for button in (layout.pause, layout.resume, layout.cancel)] == [
        False,
        True,
        True,
    ]


def test_a_cancel_that_was_thought_better_of(page: Page) -> None:
    _, updates = page.run(lambda actions, _: actions.steer("cancel", "", "en", ""))
    assert page.server.bodies == []
    assert updates  # Gradio takes an empty answer for a mistake


def test_a_broken_worker_stands_at_the_top(page: Page) -> None:
    engines = {"espeak": {"ready": False, "milliseconds": None, "reason": "Its worker is broken: no library."}}
    page.server.answers["GET", "/readyz"] = httpx.Response(503, json={"ready": False, "engines": engines})
    layout, updates = page.run(lambda actions, _: actions.look_at_health("en"))
    assert "Its worker is broken: no library." in updates[layout.health]["value"]
    assert updates[layout.health]["visible"] is True


@pytest.mark.parametrize(
    ("problem", "message", "told"),
    [
        ("", "", ""),
        ("file_too_large", "", "the limit is 3.8 MiB"),
        ("file_unreadable", "", "cannot read this"),
        ("unreachable", "", "does not answer"),
        ("", "Not <text>.", "Not &lt;text&gt;."),
        ("sign_in", "", ""),
    ],
)
def test_what_became_of_a_file_is_told(page: Page, problem: str, message: str, told: str) -> None:
    async def tell(actions: Actions, layout: Layout) -> Updates:
        return actions.tell_opened(problem, message, "en")

    layout, updates = page.run(tell)
    assert told in updates[layout.complaint]
    assert bool(updates[layout.complaint]) is bool(told)


@pytest.mark.parametrize("is_there", [True, False])
def test_the_page_comes_up_with_and_without_a_server(page: Page, is_there: bool) -> None:
    page.server.is_there = is_there
    layout, updates = page.run(lambda actions, _: actions.boot("zh-CN", "", "小雨：你好"))
    assert updates[layout.language] == "zh"
    assert updates[layout.start]["value"] == "开始"
    assert updates[layout.script]["value"] == "小雨：你好"
    assert updates[layout.health]["visible"] is not is_there


def test_a_job_is_spoken_again_from_a_time(page: Page) -> None:
    resume = ("POST", f"/v1/audio/jobs/{JOB_ID}/resume")
    page.server.answers[resume] = httpx.Response(200, text=job("queued", can=["cancel", "again"]).model_dump_json())
    layout, updates = page.run(lambda actions, _: actions.again("12:30", JOB_ID, "en"))
    assert page.server.bodies == [{"from_seconds": 750.0}]
    assert updates[layout.again_from] == ""
    assert updates[layout.complaint] == ""
    assert updates[layout.again]["visible"] is True
    assert updates[layout.player], "another take, another player"


@pytest.mark.parametrize("time", ["", "soon", None])
def test_what_is_no_time_never_leaves_the_page(page: Page, time: Any) -> None:
    layout, updates = page.run(lambda actions, _: actions.again(time, JOB_ID, "zh"))
    assert page.server.bodies == []
    assert list(updates) == [layout.complaint]
    assert "不是有效的时间" in updates[layout.complaint]


def test_why_it_cannot_be_spoken_again_is_told_and_the_time_stays(page: Page) -> None:
    layout, updates = page.run(lambda actions, _: actions.again("9:00:00", JOB_ID, "en"))
    assert list(updates) == [layout.complaint]
    assert "room" in updates[layout.complaint]


def test_again_is_offered_where_the_job_can(page: Page) -> None:
    for can, is_there in ((["delete"], False), (["again", "delete"], True)):
        page.server.answers["GET", f"/v1/audio/jobs/{JOB_ID}"] = httpx.Response(
            200, text=done(can=can).model_dump_json()
        )
        layout, updates = page.run(lambda actions, _: actions.show_job(JOB_ID, "en"))
        assert [updates[part]["visible"] for part in (layout.again, layout.again_from)] == [is_there] * 2

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from longtake.studio.check_html import MAX_FINDINGS, complaint_html, findings_html, speaker_label, summary_html
from longtake.studio.escape import safe
from longtake.studio.job_html import (
    figures,
    fraction_of,
    health_html,
    job_html,
    jobs_html,
    player_html,
    player_key,
)
from longtake.wire.health import EngineReadiness, Readiness
from longtake.wire.jobs import Progress, SpeakerView
from tests.unit.studio.answers import JOB_ID, NASTY, check, done, failed, finding, job

BASE = "/v1/audio/jobs"


class Seen(HTMLParser):
    """The elements and the text that a browser would make of it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def nasty_views() -> dict[str, str]:
    nasty = job(
        title=NASTY, reason=NASTY, model=NASTY, speakers=[SpeakerView(number=1, label=NASTY, voice=NASTY)], state=NASTY
    )
    unready = Readiness(ready=False, engines={NASTY: EngineReadiness(ready=False, milliseconds=None, reason=NASTY)})
    return {
        "job": job_html("en", nasty),
        "failed": job_html("en", failed(NASTY)),
        "jobs": jobs_html("en", [nasty], JOB_ID),
        "findings": findings_html("en", check(findings=[finding(message=NASTY)])),
        "complaint": complaint_html(NASTY),
        "health": health_html("en", unready),
    }


@pytest.mark.parametrize("name", nasty_views())
def test_what_users_write_is_text_and_nothing_else(name: str) -> None:
    html = nasty_views()[name]
    assert "img" not in Seen(html).tags
    assert NASTY in Seen(html).text
    for sign in ("${", "{{", "`", "\\"):  # what Gradio's templates would run
        assert sign not in html


def test_safe_in_an_attribute() -> None:
    assert '"' not in safe('" onclick="x')
    assert "'" not in safe("' onclick='x")


def test_a_running_job_tells_seconds_speed_and_time_left() -> None:
    assert figures("en", job()) == "12:30 of 54:10 · 179× · 0:14 left"
    assert figures("zh", job()) == "12:30 / 54:10 · 179× · 剩余 0:14"
    assert figures("en", job(eta_seconds=None)) == "12:30 of 54:10"


def test_a_waiting_job_tells_its_place() -> None:
    fresh = Progress(audio_seconds=0, estimated_seconds=100, passages_done=0, passages_total=9)
    assert figures("en", job("queued", progress=fresh, place_in_queue=3)) == "3 jobs before it"
    assert figures("en", job("queued", progress=fresh, place_in_queue=1)) == "1 job before it"
    assert figures("en", job("queued", progress=fresh, place_in_queue=0)) == "next in line"
    assert figures("en", job("queued", place_in_queue=0)) == "next in line · 12:30 of 54:10 spoken and kept"


def test_a_done_job_tells_what_it_took() -> None:
    assert figures("en", done()) == "54:10 · spoken in 0:18 · 181× · 49.6 MiB"
    assert figures("en", done(ended_at=1_700_000_000)) == "54:10 · spoken in 0:01 · 49.6 MiB"


def test_an_estimate_that_was_too_short_is_not_done() -> None:
    overtaken = Progress(audio_seconds=101, estimated_seconds=100, passages_done=8, passages_total=9)
    assert fraction_of(job(progress=overtaken)) == 0.99
    assert figures("en", job(progress=overtaken, eta_seconds=None)) == "1:41 of 1:41"
    assert fraction_of(done(progress=overtaken)) == 1.0


def test_the_reason_and_the_error_are_shown() -> None:
    assert "The disk is full" in job_html("en", job("paused", reason="The disk is full"))
    assert 'role="alert">It broke' in job_html("en", failed("It broke"))


def test_the_player_stays_until_there_is_another_file() -> None:
    live = player_key(job())
    assert live == player_key(job("pausing")) == player_key(job("paused")) == player_key(job("queued"))
    assert len({live, player_key(done()), player_key(failed("x"))}) == 3
    silent = Progress(audio_seconds=0, estimated_seconds=9, passages_done=0, passages_total=1)
    assert player_html("en", job("queued", progress=silent), BASE) == ""


def test_the_player_of_a_growing_file_asks_for_nothing_by_itself() -> None:
    assert 'preload="none"' in player_html("en", job(), BASE)
    html = player_html("en", done(), BASE)
    assert 'preload="metadata"' in html
    assert f'href="{BASE}/{JOB_ID}/audio" download' in html
    assert f'href="{BASE}/{JOB_ID}/subtitles.srt" download' in html
    assert "<audio" not in player_html("en", done(response_format="pcm"), BASE)
    assert "Download PCM" in player_html("en", done(response_format="pcm"), BASE)


def test_the_job_that_is_shown_is_marked_in_the_list() -> None:
    assert jobs_html("en", [done(), job(id="job_2")], "job_2").count("aria-current") == 1
    assert "Nothing has been spoken yet." in jobs_html("en", [], "")


def test_errors_come_first_and_a_flood_is_cut() -> None:
    flood = [finding(message=f"Note {number}.") for number in range(100)]
    html = findings_html("en", check(ok=False, findings=[*flood, finding("error", "Bad.", line=None)]))
    assert html.index("Bad.") < html.index("Note 0.")
    assert html.count("<li") == MAX_FINDINGS + 1
    assert "and 71 more" in html
    assert "line 2, column 1" in html


def test_a_good_script_is_told_to_be_good() -> None:
    assert "Ready" in findings_html("en", check())
    assert findings_html("en", check(ok=False)) == ""
    assert findings_html("en", None) == ""
    assert Seen(summary_html("en", check())).text == "about 1:053 turns · 40 characters"
    assert speaker_label("en", check().speakers[0], 40) == "Anna · 1 turn · 75%"


def test_a_healthy_server_needs_no_banner() -> None:
    ready = Readiness(ready=True, engines={"espeak": EngineReadiness(ready=True, milliseconds=70, reason=None)})
    assert health_html("en", ready) == ""


def test_another_take_is_another_address() -> None:
    first, second = (player_html("en", done(ended_at=at), "/x") for at in (1, 2))
    assert first != second, "the browser would play the file that it knows"

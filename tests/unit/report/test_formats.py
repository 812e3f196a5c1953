"""What people read has the numbers of the record, in both languages and in every format, and nothing that acts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import plotly.graph_objects as go
import pytest

from longtake.report import FORMATS, LANGUAGES, gather, in_short, phrases, render
from longtake.report.html import to_html
from longtake.report.outline import to_outline
from longtake.report.phrases import ADVICE, TEXT
from longtake.report.pictures import draw
from longtake.report.records import (
    Advice,
    CardHealth,
    Cause,
    Curve,
    Deaths,
    Disk,
    Failure,
    Interruption,
    Load,
    Measured,
    Memory,
    Report,
    Setup,
    Severity,
    SlowJob,
    Speed,
)
from longtake.report.words import Words
from tests.support.past import DAY_S, Past

GIB = 1 << 30
UNTIL_S = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()
SINCE_S = UNTIL_S - DAY_S
SCRIPT = re.compile(r"<script[^>]*>.*?</script>", re.DOTALL)


def curve(*values: float | None) -> Curve:
    return Curve(SINCE_S, 21_600.0, values, values)


REPORT = Report(
    version="0.1.0",
    since_s=SINCE_S,
    until_s=UNTIL_S,
    setup=Setup(("espeak",), 4),
    load=Load(
        accepted=1234,
        ended={"done": 17, "failed": 3},
        audio_s={"espeak": 5400.0, "vibevoice": 90_000.0},
        waiting=5,
        running=2,
        wait_p50_s=9.0,
        wait_p95_s=2400.0,
        oldest_wait_s=75.0,
    ),
    speeds=(
        Speed("espeak", Measured.BY_JOBS, 0.0125, None),
        Speed("vibevoice", Measured.BY_ENGINE, 0.5, 0.3, UNTIL_S - 7200),
    ),
    interruptions=(Interruption(Cause.HEAT, 6, "job_heat", SINCE_S + 60),),
    failures=(Failure("truncated", 3, "job_cut", SINCE_S + 3600),),
    deaths=(Deaths("web", 2, SINCE_S + 120, 1),),
    slowest=(SlowJob("job_slow", "vibevoice", 600.0, 900.0, 8),),
    disk=Disk(3 * GIB, 9.3, 2.5),
    known_s=79_200.0,
    cpu_ratio=0.42,
    memory=(
        Memory("host", 6.0 * GIB, 7.5 * GIB, 16.0 * GIB),
        Memory("gpu:1", 20.0 * GIB, 23.0 * GIB, 24.0 * GIB),
        Memory("worker/vibevoice", 3.0 * GIB, 4.25 * GIB),
    ),
    budgets={"vibevoice": 11 * GIB},
    cards=(CardHealth(1, 91.0, 0.77, 431.0, 720.0, 30.0, 2, 0.0),),
    ends={"done": (SINCE_S + 1, SINCE_S + 2, UNTIL_S - 1), "failed": (SINCE_S + 1801,)},
    curves={
        "cpu_ratio": curve(0.1, None, 0.5, 0.42),
        "gpu_temperature_celsius:1": curve(60.0, 91.0, 70.0, None),
        "gpu_throttled_ratio:1": curve(0.0, 0.5, 0.0, None),
        "gpu_memory_used_bytes:1": curve(1.0 * GIB, 2.0 * GIB, 3.0 * GIB, None),
        "rtf_ratio:vibevoice": curve(0.3, 0.4, 0.5, 0.6),
    },
    advice=(
        Advice("hot", Severity.WARNING, {"card": 1, "celsius": 91.0, "throttled_s": 720.0}),
        Advice("failures", Severity.BAD, {"count": 3, "code": "truncated", "job": "job_cut"}),
    ),
)
# Label and value, as they stand beside each other in a row.
ROWS = [
    ("jobs accepted", "1,234"),
    ("jobs done", "17"),
    ("jobs failed", "3"),
    ("jobs cancelled", "0"),
    ("speaking now", "2"),
    ("waiting now", "5"),
    ("audio by espeak", "1 h 30 min"),
    ("audio by vibevoice", "1 d 1 h"),
    ("wait in the queue, half of the jobs at most", "9.0 s"),
    ("wait in the queue, 95 % of the jobs at most", "40 min"),
    ("longest wait now", "1 min 15 s"),
    ("processors busy", "42 %"),
    ("espeak", "0.0125", "80 ×", "–", "–", "by jobs, from start to end"),
    ("vibevoice", "0.5", "2 ×", "0.3", "60 %", "in the engine, minute by minute"),
    ("this machine", "6.0 GiB", "7.5 GiB", "16.0 GiB"),
    ("graphics card 1", "20.0 GiB", "23.0 GiB", "24.0 GiB"),
    ("worker of vibevoice", "3.0 GiB", "4.2 GiB", "–"),
    ("1", "91 °C", "77 %", "431 W", "12 min", "30 s", "2", "–"),
    ("failed: `truncated`", "3", "`job_cut`", "2026-11-20 13:00"),
    ("interrupted, went on: a graphics card was too hot", "6", "`job_heat`", "2026-11-20 12:01"),
    ("process died: web", "2", "–", "2026-11-20 12:02"),
    ("`job_slow`", "vibevoice", "10 min", "15 min", "1.5", "8"),
    ("free, above what must stay free", "3.0 GiB"),
    ("audio that fits, with a WAV file of it", "9 h 18 min"),
    ("until that is used up at this pace", "2 d 12 h"),
]
LINES = [
    "2026-11-20 12:00 to 2026-11-21 12:00 (1 d)",
    "The requests of vibevoice may hold 11.0 GiB.",
    "The machine was watched for 22 h of this time.",
    "Card 1 reached 91 °C and was slowed by heat for 12 min.",
    "3 jobs failed with `truncated`; the latest is `job_cut`.",
]


def cells_of(html: str) -> list[tuple[str, ...]]:
    plain = html.replace("<code>", "`").replace("</code>", "`")
    rows = re.findall(r"<tr>(.*?)</tr>", plain, re.DOTALL)
    return [tuple(unescape(cell) for cell in re.findall(r"<t[dh]>(.*?)</t[dh]>", row)) for row in rows]


def test_markdown_has_every_number_in_its_place() -> None:
    text = render(REPORT, "md", "en", UTC).replace("\\", "")
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines() if "|" in line]
    assert [row for row in ROWS if row not in rows] == []
    assert [line for line in LINES if line not in text] == []


def test_html_has_the_same() -> None:
    html = SCRIPT.sub("", render(REPORT, "html", "en", UTC))
    rows = cells_of(html)
    assert [row for row in ROWS if row not in rows] == []
    plain = unescape(html.replace("<code>", "`").replace("</code>", "`"))
    assert [line for line in LINES if line not in plain] == []


def test_chinese_has_the_same_numbers_and_no_english() -> None:
    text = render(REPORT, "md", "zh", UTC).replace("\\", "")
    for figure in ("1,234", "0.0125", "42%", "7.5 GiB", "91 °C", "12 分", "1 天 1 小时", "`job_cut`"):
        assert figure in text, figure
    words = set(re.findall(r"[a-z]{4,}", re.sub(r"`[^`]*`", "", text)))
    assert words == {"longtake", "vibevoice", "espeak"}


def test_json_is_the_record_and_the_findings_in_words() -> None:
    told = json.loads(render(REPORT, "json", "en", UTC))
    assert told["load"]["wait_p95_s"] == 2400.0
    assert told["speeds"][1]["usual_rtf"] == 0.3
    assert told["cards"][0]["throttled_s"] == 720.0
    [hot, failed] = told["advice"]
    assert hot["facts"] == {"card": 1, "celsius": 91.0, "throttled_s": 720.0}
    assert failed["found"] == "3 jobs failed with `truncated`; the latest is `job_cut`."
    assert "jobs show job_cut" in failed["remedy"]


def test_a_message_has_what_to_do_and_the_load_alone() -> None:
    title, body = in_short(REPORT, "en", UTC)
    assert title == "longtake: Health report"
    assert LINES[0] in body.replace("\\", "")
    assert "Card 1 reached" in body
    assert "1,234" in body
    assert "job\\_slow" not in body
    assert "job_slow" not in body
    assert len(body) < 3000


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_nobody_knows_is_said_in_one_line(past: Past, language: str) -> None:
    past.clock.sleep(DAY_S)
    report = gather(past.sources(), past.now_s - DAY_S, past.now_s)
    text = render(report, "md", language, UTC)
    words = Words(language, UTC)
    for key in ("no_advice", "no_speed", "no_memory", "no_cards", "no_failures", "no_slowest"):
        assert words.say(key) in text
    assert "<script" not in render(report, "html", language, UTC), "without a picture there is nothing to draw"


def test_a_job_is_told_of_by_its_id_alone(past: Past) -> None:
    """Titles and messages may quote the script, and a report is sent around."""
    past.submit(title="A secret title")
    for _ in range(3):
        past.failed("engine_failed", "could not speak 'A secret script.'")
    past.interrupted("disk full: A secret script")
    past.clock.sleep(1)
    report = gather(past.sources(), past.now_s - DAY_S, past.now_s)
    assert report.failures
    assert report.interruptions
    for form in FORMATS:
        assert "secret" not in render(report, form, "en", UTC)


def test_what_looks_like_markup_stays_text() -> None:
    nasty = "</script><img src=x onerror=alert(1)>`|[x](y)\n# z"
    report = replace(
        REPORT,
        failures=(Failure(nasty, 3, nasty, SINCE_S),),
        slowest=(SlowJob(nasty, nasty, 60.0, 60.0, 0),),
        speeds=(Speed(nasty, Measured.BY_ENGINE, 1.0, 2.0),),
        memory=(Memory(f"worker/{nasty}", 1.0, 1.0), Memory(nasty, 1.0, 1.0)),
        curves={
            **REPORT.curves,
            f"rtf_ratio:{nasty}": curve(1.0),
            f"process_resident_bytes:{nasty}": curve(1.0),
        },
        advice=(Advice("failures", Severity.BAD, {"count": 3, "code": nasty, "job": nasty}),),
    )
    html = render(report, "html", "en", UTC)
    assert "<img" not in html
    assert html.count("<script") == html.count("</script>") == len(draw(report, Words("en", UTC), UTC)) + 2
    text = render(report, "md", "en", UTC)
    assert "onerror=" not in text
    assert "\n# z" not in text


def test_a_picture_cannot_end_its_script() -> None:
    words = Words("en", UTC)
    figure = draw(REPORT, words, UTC)["load"]
    figure["data"][0]["name"] = "</script><b>x"
    html = to_html(to_outline(REPORT, words), {"load": figure}, "en")
    assert "<b>x" not in html
    [data] = re.findall(r"<script[^>]*data-figure>(.*?)</script>", html)
    assert json.loads(data) == figure


def test_html_asks_nobody_for_anything() -> None:
    html = render(REPORT, "html", "en", UTC)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert "default-src &#x27;none&#x27;" in policy[1]
    assert "unsafe-inline" not in policy[1].partition("style-src")[0]
    assert policy[1].count("sha256-") == 2
    outside = SCRIPT.sub("", html)
    assert re.findall(r"\b(?:src|href|action)=", outside) == []
    assert "http" not in outside.replace("http-equiv", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_pictures_are_figures_of_plotly(language: str) -> None:
    figures = draw(REPORT, Words(language, UTC), UTC)
    assert list(figures) == ["load", "busy", "speed", "memory", "cards"]
    for figure in figures.values():
        go.Figure(figure)  # which refuses a name or a value that Plotly does not know


def test_pictures_show_the_record() -> None:
    figures = draw(REPORT, Words("en", UTC), UTC)
    done, failed = figures["load"]["data"]
    assert (done["name"], done["y"]) == ("jobs done", [2] + 22 * [0] + [1])
    assert (failed["name"], failed["y"]) == ("jobs failed", [1] + 23 * [0])
    assert done["x"][0] == "2026-11-20 12:30:00"
    assert figures["busy"]["data"][0]["y"] == [10.0, None, 50.0, 42.0]
    assert figures["busy"]["data"][0]["x"][:2] == ["2026-11-20 15:00:00", "2026-11-20 21:00:00"]
    rtf, usual = figures["speed"]["data"]
    assert (rtf["y"], usual["y"]) == ([0.3, 0.4, 0.5, 0.6], [0.3, 0.3])
    assert figures["memory"]["data"][0]["y"] == [1.0, 2.0, 3.0, None]
    celsius, marks = figures["cards"]["data"]
    assert celsius["y"] == [60.0, 91.0, 70.0, None]
    assert (marks["x"], marks["y"]) == (["2026-11-20 21:00:00"], [91.0])


def test_every_phrase_is_said() -> None:
    """Of what the code says by name; the rest are states, causes, severities and places."""
    names = {*REPORT.load.ended, "cancelled", *map(str, Cause), *map(str, Severity)}
    places = {"host", "swap", "cgroup", "gpu", "web", "worker", "child", "pool"}
    room = Path(phrases.__file__).parent
    sources = "".join(path.read_text(encoding="utf-8") for path in room.glob("*.py") if path.name != "phrases.py")
    assert [key for key in TEXT if f'"{key}"' not in sources and key not in names | places] == []


def test_both_languages_say_the_same_things() -> None:
    slots = re.compile(r"`[^`]*`|{\w+}")
    for phrase in [*TEXT.values(), *(phrase for counsel in ADVICE.values() for phrase in counsel)]:
        assert sorted(slots.findall(phrase.en)) == sorted(slots.findall(phrase.zh)), phrase


@pytest.mark.parametrize(
    ("seconds", "en", "zh"),
    [
        (0.04, "0.0 s", "0.0 秒"),
        (9.96, "10.0 s", "10.0 秒"),
        (12, "12 s", "12 秒"),
        (59.6, "1 min", "1 分"),
        (75, "1 min 15 s", "1 分 15 秒"),
        (2400, "40 min", "40 分"),
        (3900, "1 h 5 min", "1 小时 5 分"),
        (86_400, "1 d", "1 天"),
        (180_000, "2 d 2 h", "2 天 2 小时"),
    ],
)
def test_durations(seconds: float, en: str, zh: str) -> None:
    assert Words("en").duration(seconds) == en
    assert Words("zh").duration(seconds) == zh


def test_a_page_has_its_parts_in_order() -> None:
    page = to_outline(REPORT, Words("en", UTC))
    assert [section.name for section in page.sections] == [
        "advice",
        "load",
        "speed",
        "memory",
        "cards",
        "failures",
        "slowest",
        "disk",
    ]
    for section in page.sections:
        if section.table is not None:
            assert {len(row) for row in section.table.rows} == {len(section.table.head)}

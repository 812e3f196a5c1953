"""docs/api.md and the server say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

import longtake.wire.alerts
import longtake.wire.check
import longtake.wire.doctor
import longtake.wire.health
import longtake.wire.jobs
import longtake.wire.listings
import longtake.wire.logs
import longtake.wire.mending
import longtake.wire.monitor
import longtake.wire.speech
from longtake.audio.formats import AudioFormat
from longtake.config import load_settings
from longtake.server.errors import STATUSES
from longtake.wire.fields import Body, View
from longtake.wire.jobs import CheckBody, JobBody, ResumeBody
from longtake.wire.speech import OPENAI_MODELS, OPENAI_VOICES, SpeechBody
from tests.docs.markdown import PAGES, ROOT, fences, read, sections, spans, table, tables
from tests.unit.server.house import House

PAGE = read("api.md")
ROUTE = re.compile(r"(GET|HEAD|POST|PUT|PATCH|DELETE) (/\S*)")
BODIES: dict[str, type[Body]] = {
    "POST /v1/audio/speech": SpeechBody,
    "POST /v1/audio/jobs": JobBody,
    "POST /v1/audio/jobs/{job_id}/resume": ResumeBody,
    "POST /v1/audio/check": CheckBody,
}
WIRE = (
    longtake.wire.alerts,
    longtake.wire.check,
    longtake.wire.doctor,
    longtake.wire.health,
    longtake.wire.jobs,
    longtake.wire.listings,
    longtake.wire.logs,
    longtake.wire.mending,
    longtake.wire.monitor,
    longtake.wire.speech,
)
EXAMPLES = [(info.split()[1], code) for info, code in fences(PAGE) if info.startswith("json ")]
SERVER = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/longtake/server").glob("*.py"))
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/longtake").rglob("*.py"))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    house = House(tmp_path_factory.mktemp("data"))
    yield house.app
    house.db.close()


def routes_of(routes: Iterable[Any]) -> Iterator[str]:
    """`POST /v1/audio/jobs/{job_id}/pause`, of every router at whatever depth."""
    for route in routes:
        inner = getattr(route, "original_router", None)  # newer releases of FastAPI keep routers whole
        if inner is not None:
            yield from routes_of(inner.routes)
            continue
        # Starlette's own routes answer HEAD beside every GET.
        implied = set() if isinstance(route, APIRoute) else {"HEAD"}
        path = re.sub(r":\w+}", "}", route.path)
        yield from (f"{method} {path}" for method in set(route.methods) - implied)


def routes_in(text: str) -> list[str]:
    """The routes that are named between backticks."""
    return [span.partition("?")[0] for span in spans(text) if ROUTE.fullmatch(span)]


def routes_told(section: str) -> list[str]:
    """The routes that a section is about: its first line names nothing else."""
    heading, _, rest = section.partition("\n\n")
    return routes_in(rest.partition("\n")[0]) if heading.count("\n") == 0 else []


def shown(default: Any) -> str:
    return f"`{json.dumps(default, ensure_ascii=False)}`"


def test_routes_are_those_of_the_server(app: FastAPI) -> None:
    listed = [row[0].strip("`") for row in table(PAGE, "route")]

    assert sorted(listed) == sorted(routes_of(app.routes))


def test_every_route_has_a_section(app: FastAPI) -> None:
    told = {route for section in sections(PAGE) for route in routes_told(section)}

    assert told == set(routes_of(app.routes))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_route_that_is_not_there(app: FastAPI, page: Path) -> None:
    assert set(routes_in(page.read_text(encoding="utf-8"))) <= set(routes_of(app.routes))


@pytest.mark.parametrize("route", BODIES)
def test_fields_of_a_body_and_their_defaults(route: str) -> None:
    [section] = [section for section in sections(PAGE) if route in routes_told(section)]
    expected = {
        name: "required" if field.is_required() else shown(field.get_default(call_default_factory=True))
        for name, field in BODIES[route].model_fields.items()
    }

    assert {row[0].strip("`"): row[1] for row in table(section, "field")} == expected


def test_query_parameters_and_their_defaults(app: FastAPI) -> None:
    found: dict[str, dict[str, str]] = {}
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            query = [each for each in operation.get("parameters", ()) if each["in"] == "query"]
            if query:
                found[f"{method.upper()} {path}"] = {
                    each["name"]: shown(each["schema"].get("default")) for each in query
                }
    told = {}
    for section in sections(PAGE):
        for rows in tables(section, "query"):
            told[routes_told(section)[0]] = {row[0].strip("`"): row[1] for row in rows}

    assert told == found


@pytest.mark.parametrize(("name", "code"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_example_is_what_the_server_reads_or_says(name: str, code: str) -> None:
    model = next(vars(module)[name] for module in WIRE if name in vars(module))
    assert issubclass(model, BaseModel)
    example = model.model_validate_json(code)

    if issubclass(model, View):  # with every field, and with no other
        assert example.model_dump(mode="json") == json.loads(code)


def test_there_is_an_example_of_the_great_shapes() -> None:
    assert {name for name, _ in EXAMPLES} >= {
        "JobBody",
        "JobView",
        "CheckView",
        "VoiceList",
        "Readiness",
        "ErrorBody",
        "AgainView",
    }


@pytest.mark.parametrize(("what", "names"), [("models", OPENAI_MODELS), ("voices", OPENAI_VOICES)])
def test_names_of_openai(what: str, names: tuple[str, ...]) -> None:
    found = re.search(rf"^\* OpenAI's {what}: (.*?)\. Each", PAGE, re.MULTILINE | re.DOTALL)

    assert found is not None
    assert tuple(spans(found[1])) == names


def test_formats() -> None:
    told = {row[0].strip("`"): (row[1].strip("`"), row[2]) for row in table(PAGE, "format")}

    assert told == {
        str(each): (each.media_type, "whole" if each.recipe.is_patched else "streamed") for each in AudioFormat
    }


def test_events() -> None:
    jobs = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/longtake/jobs").glob("*.py"))
    kinds = set(re.findall(r'append_event\(\s*\w+,\s*"(\w+)"', jobs))

    assert {row[0].strip("`") for row in table(PAGE, "event")} == kinds


def test_limits_are_the_defaults_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LONGTAKE_CONFIG", raising=False)
    fields = type(load_settings().server).model_fields | type(load_settings().limits).model_fields
    for name, text in {
        "body_max_bytes": "at most {:,} bytes (`server.body_max_bytes`)",
        "speech_max_characters": "up to {:,} characters (`server.speech_max_characters`)",
        "max_characters": "up to {:,} characters and ",
        "max_minutes": " characters and {:g} minutes",
    }.items():
        assert text.format(fields[name].default) in PAGE


def test_statuses_of_errors() -> None:
    rows = {int(row[0]): row for row in table(PAGE, "status")}
    given = {int(status) for status in re.findall(r"Failure\(\s*(\d{3}),", SERVER)} | {each[1] for each in STATUSES}

    assert set(rows) == given
    for _, status, kind in STATUSES:
        assert rows[status][1] == f"`{kind}`"


def test_codes_of_errors_are_in_the_code() -> None:
    codes = {code for row in table(PAGE, "status") for code in spans(row[2]) if re.fullmatch(r"[a-z_]+", code)}
    unknown = {code for code in codes if f'"{code}"' not in SOURCE and not code.startswith("job_is_")}

    assert not unknown
    assert 'code=f"job_is_{state}"' in SOURCE

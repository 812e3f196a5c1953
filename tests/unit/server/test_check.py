from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.unit.server.house import House
from tests.unit.server.test_errors import error_of
from tests.unit.server.test_jobs import SCRIPT


def check(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post("/v1/audio/check", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_good_script(house: House, client: TestClient) -> None:
    answer = check(client, script=SCRIPT, voices={"Alice": "en-us", "2": "en-gb"})

    assert answer["ok"] is answer["fits"] is True
    assert answer["findings"] == []
    assert answer["speakers"] == [
        {"number": 1, "label": "Alice", "voice": "en-us", "turns": 1, "characters": 13},
        {"number": 2, "label": "Bob", "voice": "en-gb", "turns": 1, "characters": 36},
    ]
    assert (answer["turns"], answer["passages"], answer["characters"]) == (2, 3, 49)
    assert answer["estimate"]["seconds"] > answer["estimate"]["by_language"]["en"] > 2
    assert not house.store.counts()


def test_bad_voice_is_a_finding_with_its_place(client: TestClient) -> None:
    answer = check(client, script=SCRIPT, voices={"2": "nobody"})

    [error] = [finding for finding in answer["findings"] if finding["severity"] == "error"]
    assert (answer["ok"], answer["fits"]) == (False, True)
    assert (error["code"], error["line"], error["column"]) == ("unknown_voice", 2, 1)


def test_too_long_does_not_fit(client: TestClient) -> None:
    answer = check(client, script="no " * 6000)

    assert (answer["ok"], answer["fits"]) == (False, False)
    assert [each["code"] for each in answer["findings"] if each["severity"] == "error"] == ["too_long"]
    assert answer["estimate"]["seconds"] > 1800


def test_too_long_to_be_read_is_an_answer_too(client: TestClient) -> None:
    answer = check(client, script="a" * 20_001)

    assert (answer["ok"], answer["fits"], answer["characters"]) == (False, False, 20_001)
    assert [finding["code"] for finding in answer["findings"]] == ["too_many_characters"]


def test_speed_and_silences_count(client: TestClient) -> None:
    def seconds(**fields: Any) -> float:
        found: float = check(client, script=SCRIPT, **fields)["estimate"]["seconds"]
        return found

    assert seconds(speed=2.0) < seconds()
    assert seconds(turn_silence_seconds=5) > seconds() + 4


def test_unknown_model_is_an_error_not_a_finding(client: TestClient) -> None:
    assert client.post("/v1/audio/check", json={"script": SCRIPT, "model": "nothing"}).status_code == 404


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_file_is_read_as_the_command_line_reads_it(client: TestClient, encoding: str) -> None:
    text = "甲：你好，世界。\n乙：再见。"
    response = client.post("/v1/audio/decode", content=text.replace("\n", "\r\n").encode(encoding))

    assert (response.status_code, response.json()) == (200, {"text": text})


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", 400, "unreadable_script"),
        (b"\xff\xfe\xff", 400, "unreadable_script"),
        (b"caf\xe9 au lait", 400, "unreadable_script"),
        (b"a" * 20_001, 413, "too_many_characters"),
        (b"a" * 100_000, 413, "too_many_characters"),
        (b"a" * 4_000_001, 413, "body_too_large"),
    ],
)
def test_file_that_is_no_script_is_refused(client: TestClient, data: bytes, status: int, code: str) -> None:
    response = client.post("/v1/audio/decode", content=data)

    assert response.status_code == status
    assert error_of(response)["code"] == code

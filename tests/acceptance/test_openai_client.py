"""The `openai` package as its users have it, unchanged, against a real server."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from longtake.audio import measure
from tests.support.served import Served

TEXT = "The lighthouse stood alone, and nobody on shore ever noticed."


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("data")) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_every_format_whole_and_streamed(client: openai.OpenAI, tmp_path: Path, audio_format: str) -> None:
    whole = client.audio.speech.create(
        model="tts-1",
        voice="nova",
        input=TEXT,
        response_format=audio_format,  # type: ignore[arg-type]
    )
    path = tmp_path / f"whole.{audio_format}"
    path.write_bytes(whole.content)
    assert 2.0 < measure(path).seconds < 6.0
    streamed = tmp_path / f"streamed.{audio_format}"
    with client.audio.speech.with_streaming_response.create(
        model="tts-1",
        voice="nova",
        input=TEXT,
        response_format=audio_format,  # type: ignore[arg-type]
    ) as response:
        response.stream_to_file(streamed)
    assert streamed.read_bytes() == whole.content


def test_mp3_is_the_default_and_pcm_is_24_khz(client: openai.OpenAI, tmp_path: Path) -> None:
    default = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT)
    assert default.response.headers["content-type"] == "audio/mpeg"
    (tmp_path / "a.mp3").write_bytes(default.content)
    pcm = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="pcm").content
    assert len(pcm) / 48_000 == pytest.approx(measure(tmp_path / "a.mp3").seconds, abs=0.1)


def test_sse_gives_the_same_audio_and_the_usage(client: openai.OpenAI) -> None:
    whole = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT).content
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input=TEXT, stream_format="sse"
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = list(response.iter_lines())
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    audio = io.BytesIO()
    for event in events[:-1]:
        assert event["type"] == "speech.audio.delta"
        audio.write(base64.b64decode(event["audio"]))
    assert audio.getvalue() == whole
    assert events[-1]["type"] == "speech.audio.done"
    usage = events[-1]["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0


def test_voices_are_distinct_and_speed_counts(client: openai.OpenAI) -> None:
    def speak(**changes: object) -> bytes:
        options: dict = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "pcm"} | changes
        return client.audio.speech.create(**options).content

    assert len({speak(voice=voice) for voice in ("alloy", "nova", "onyx", "en-us+f3")}) == 4
    assert len(speak(speed=2.0)) < 0.7 * len(speak())


@pytest.mark.parametrize(
    ("changes", "kind", "code", "param"),
    [
        ({"input": ""}, openai.BadRequestError, "string_below_min_length", "input"),
        ({"input": "x" * 4097}, openai.BadRequestError, "string_above_max_length", "input"),
        ({"input": "…"}, openai.BadRequestError, "empty_script", "input"),
        ({"voice": "nobody"}, openai.BadRequestError, "unknown_voice", "voice"),
        ({"model": "tts-9"}, openai.NotFoundError, "model_not_found", "model"),
        ({"response_format": "mp4"}, openai.BadRequestError, None, "response_format"),
        ({"speed": 9.0}, openai.BadRequestError, None, "speed"),
        ({"stream_format": "morse"}, openai.BadRequestError, None, "stream_format"),
        ({"extra_body": {"volume": 11}}, openai.BadRequestError, "unknown_parameter", "volume"),
        ({"input": 7}, openai.BadRequestError, None, "input"),
        ({"voice": None}, openai.BadRequestError, None, "voice"),
    ],
)
def test_bad_input_raises_the_clients_own_exceptions(
    client: openai.OpenAI, changes: dict[str, object], kind: type[openai.APIStatusError], code: str | None, param: str
) -> None:
    options: dict = {"model": "tts-1", "voice": "alloy", "input": TEXT} | changes
    with pytest.raises(kind) as caught:
        client.audio.speech.create(**options)
    error = caught.value
    assert error.response.headers["x-should-retry"] == "false"
    assert error.body is not None
    assert set(error.body) == {"message", "type", "param", "code"}  # type: ignore[call-overload]
    assert (error.type, error.param) == ("invalid_request_error", param)
    assert code is None or error.code == code
    assert error.message


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert "espeak" in [model.id for model in client.models.list()]
    assert client.models.retrieve("espeak").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("whisper-1")


def test_a_key_is_asked_for_when_one_is_set(tmp_path: Path) -> None:
    with Served(tmp_path / "data", LONGTAKE_SERVER__API_KEY="let-me-in") as served:
        with openai.OpenAI(base_url=f"{served.url}/v1", api_key="let-me-in") as right:
            assert right.audio.speech.create(model="tts-1", voice="alloy", input="Yes.").content
        with openai.OpenAI(base_url=f"{served.url}/v1", api_key="wrong") as wrong:
            with pytest.raises(openai.AuthenticationError) as caught:
                wrong.audio.speech.create(model="tts-1", voice="alloy", input="No.")
            assert caught.value.code == "invalid_api_key"

"""VibeVoice as its users have it, over HTTP and on the command line; with random weights, so it speaks noise."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from longtake.audio import measure
from tests.support.recordings import voice, write_file
from tests.support.served import LONGTAKE, Served

MODEL = ["--engine", "vibevoice", "--model", "random:tiny", "--device", "cpu", "--dtype", "fp32"]
SCRIPT = "Speaker 1: Welcome, everyone.\nSpeaker 3: Thank you for having us.\nSpeaker 2: Shall we begin, then?\n"


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    return [write_file(tmp_path / f"v{n}.wav", voice(2.5 + n, pitch_hz=100.0 * n)) for n in (1, 2, 3)]


def test_say_takes_recordings_and_ends_in_a_file_of_the_planned_length(tmp_path: Path, recordings: list[Path]) -> None:
    script, out = tmp_path / "s.txt", tmp_path / "out.mp3"
    script.write_text(SCRIPT, encoding="utf-8")
    options = [*MODEL, "--steps", "2", "--data", str(tmp_path / "data"), "--json"]
    voices = [f"--voice={number}={path}" for number, path in enumerate(recordings, 1)]
    lint = [LONGTAKE, "lint", str(script), "--engine", "vibevoice", "--data", str(tmp_path / "data"), "--json"]
    said = subprocess.run(
        [LONGTAKE, "say", str(script), "-o", str(out), *voices, *options], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    linted = subprocess.run(lint, capture_output=True, text=True, check=False)
    planned_s = json.loads(linted.stdout)["estimate"]["seconds"]
    assert json.loads(said.stdout)["seconds"] == pytest.approx(planned_s, abs=0.3)
    assert measure(out).seconds == pytest.approx(planned_s, abs=0.3)
    listed = subprocess.run(
        [LONGTAKE, "voices", "--engine", "vibevoice", "--data", str(tmp_path / "data"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [each["id"] for each in json.loads(listed.stdout)] == ["v1", "v2", "v3"]


def test_the_same_over_http(tmp_path: Path, recordings: list[Path]) -> None:
    for path in recordings:  # it says that it can speak when it can: when there is a voice
        add = [LONGTAKE, "voices", "add", str(path), "--data", str(tmp_path / "data")]
        subprocess.run(add, check=True, capture_output=True)
    with Served(tmp_path / "data", *MODEL) as served:
        models = served.http.get("/v1/models").json()["data"]
        assert [model["id"] for model in models] == ["vibevoice"]
        body = {
            "model": "vibevoice",
            "script": SCRIPT,
            "voices": {"1": "v1", "2": "v2", "3": "v3"},
            "seed": 7,
            "settings": {"steps": 2, "guidance": 1.5, "context": "full"},
            "response_format": "wav",
        }
        answer = served.http.post("/v1/audio/jobs", json=body)
        assert answer.status_code == 202, answer.text
        url = answer.headers["Location"]
        deadline = time.monotonic() + 60
        while (job := served.http.get(url).json())["state"] != "done":
            assert job["state"] in ("queued", "running"), job
            assert time.monotonic() < deadline
            time.sleep(0.1)
        (tmp_path / "a.wav").write_bytes(served.http.get(f"{url}/audio").content)
        assert measure(tmp_path / "a.wav").seconds == pytest.approx(job["progress"]["audio_seconds"], abs=0.01)
        assert "begin" in served.http.get(f"{url}/subtitles.srt").text
        for wrong, status in (
            ({"voices": {"1": "nobody"}}, 400),
            ({"settings": {"steps": 0}}, 400),
            ({"speed": 2}, 400),
        ):
            refused = served.http.post("/v1/audio/jobs", json=body | wrong)
            assert (refused.status_code, "message" in refused.json()["error"]) == (status, True)
        assert served.http.get("/readyz").status_code == 200, "the worker lives"

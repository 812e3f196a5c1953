"""From a user's sound file to speech with it, in real processes: the engine repeats the voice that it is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support import echo
from tests.support.recordings import RATE_HZ, voice, write_file
from tests.support.served import LONGTAKE, Served

TWO = b"Ann: Hello there.\nBen: Good day.\n"
ANN, BEN = voice(3.0), voice(4.0, pitch_hz=200)
GAP = round(0.45 * RATE_HZ)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LONGTAKE_")}
    own = {"LONGTAKE_DATA": str(tmp_path / "data"), "LONGTAKE_DISK_FLOOR_MIB": "16", "LONGTAKE_ENGINES": '["echo"]'}
    return kept | own | echo.environment()


def run(*arguments: object, env: dict[str, str], cwd: Path, stdin: bytes = b"", code: int = 0) -> str:
    command = [LONGTAKE, *map(str, arguments)]
    done = subprocess.run(command, input=stdin, env=env, cwd=cwd, capture_output=True, timeout=60)
    assert done.returncode == code, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return (done.stdout if code == 0 else done.stderr).decode()


def said(pcm: bytes, *voices: np.ndarray) -> None:
    """The audio is a second of each voice, in order, with the gap between turns; the join fades its ends."""
    samples = np.frombuffer(pcm, "<i2")
    turn = RATE_HZ + GAP
    assert samples.size == len(voices) * turn - GAP
    heard = slice(RATE_HZ // 10, RATE_HZ * 9 // 10)
    for place, expected in enumerate(voices):
        assert np.array_equal(samples[place * turn :][heard], expected[heard])


def test_from_files_to_speech_on_the_command_line(tmp_path: Path, env: dict[str, str]) -> None:
    write_file(tmp_path / "en-Ann.flac", ANN)
    write_file(tmp_path / "ben.wav", BEN)
    say = ("say", "-", "-o", "a.pcm", "--loudness", "off")
    told = run(*say, env=env, cwd=tmp_path, stdin=TWO, code=2)
    assert "2 are missing" in told
    assert "longtake voices add FILE" in told

    assert run("voices", "add", "en-Ann.flac", env=env, cwd=tmp_path).startswith("ann ")
    run(*say, "--voice", "Ben=ben.wav", env=env, cwd=tmp_path, stdin=TWO)
    said((tmp_path / "a.pcm").read_bytes(), ANN, BEN)

    run(*say, "--voice", "1=ben", "--voice", "2=ann", env=env, cwd=tmp_path, stdin=TWO)
    said((tmp_path / "a.pcm").read_bytes(), BEN, ANN)
    rows = json.loads(run("voices", "--json", "--engine", "echo", env=env, cwd=tmp_path))
    assert [(row["id"], row["recording_seconds"]) for row in rows] == [("ann", 3.0), ("ben", 4.0)]
    for row in rows:
        run("voices", "remove", row["id"], env=env, cwd=tmp_path)
    assert [path.name for path in (tmp_path / "data" / "voices").iterdir()] == [".lock"]


def test_from_files_to_speech_over_http(tmp_path: Path) -> None:
    files = {name: write_file(tmp_path / name, pcm) for name, pcm in (("en-Ann.flac", ANN), ("Ben.wav", BEN))}
    # It is ready when it can speak, and without a recording it cannot: espeak is asked first.
    engines = ("--engine", "espeak", "--engine", "echo")
    run("voices", "add", files["en-Ann.flac"], "--data", tmp_path / "data", env={**os.environ}, cwd=tmp_path)
    with Served(tmp_path / "data", *engines, **echo.environment()) as served:
        answer = served.http.post("/v1/audio/voices", files={"file": ("Ben.wav", files["Ben.wav"].read_bytes())})
        assert (answer.status_code, answer.json()["id"], answer.json()["engine"]) == (201, "ben", "echo")
        listed = served.http.get("/v1/audio/voices", params={"engine": "echo"}).json()["voices"]
        assert [each["id"] for each in listed] == ["ann", "ben"]

        body = {"model": "echo", "script": TWO.decode(), "response_format": "pcm"}
        job = served.http.post("/v1/audio/jobs", json=body).json()
        assert served.wait(job["id"])["state"] == "done"
        said(served.http.get(f"/v1/audio/jobs/{job['id']}/audio").content, ANN, BEN)

        speech = {"model": "echo", "input": "Hello.", "voice": "ben", "response_format": "pcm"}
        said(served.http.post("/v1/audio/speech", json=speech).content, BEN)
        speech |= {"voice": "alloy"}
        said(served.http.post("/v1/audio/speech", json=speech).content, ANN)

        assert served.http.delete("/v1/audio/voices/ben").status_code == 200
        gone = served.http.post("/v1/audio/speech", json=speech | {"voice": "ben"})
        assert (gone.status_code, gone.json()["error"]["code"]) == (400, "unknown_voice")


def test_python_knows_the_engine_in_processes_alone() -> None:
    """The trick of `echo.environment` does not leak into this one."""
    from longtake.engines.registry import engine_names

    assert "echo" not in engine_names()
    code = "from longtake.engines.registry import engine_names; print(*engine_names())"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **echo.environment()}, capture_output=True, text=True
    )
    assert "echo" in done.stdout.split()

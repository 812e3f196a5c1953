"""A real server: jobs over HTTP, and the promise that a kill costs nothing but time."""

from __future__ import annotations

import hashlib
import json
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.scripts import dialogue
from tests.support.served import LONGTAKE, Served

LONG = {"model": "espeak", "script": dialogue(60), "response_format": "flac", "loudness": "podcast"}


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("data")) as served:
        yield served


@pytest.fixture(scope="module")
def uninterrupted(quiet: Served) -> str:
    job_id = submit(quiet)
    assert quiet.wait(job_id)["state"] == "done"
    return digest(quiet, job_id)


def submit(served: Served, **changes: object) -> str:
    answer = served.http.post("/v1/audio/jobs", json=LONG | changes)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/audio/jobs/{answer.json()['id']}"
    job_id: str = answer.json()["id"]
    return job_id


def digest(served: Served, job_id: str) -> str:
    answer = served.http.get(f"/v1/audio/jobs/{job_id}/audio")
    assert answer.status_code == 200
    return hashlib.sha256(answer.content).hexdigest()


def kill_web(served: Served) -> None:
    worker = served.worker
    served.kill()
    worker.wait(5)
    served.start()


def kill_worker(served: Served) -> None:
    served.worker.kill()


def kill_both(served: Served) -> None:
    served.worker.kill()
    served.kill()
    served.start()


@pytest.mark.parametrize("kill", [kill_web, kill_worker, kill_both])
def test_killed_in_the_middle_the_audio_is_the_same(
    tmp_path: Path, uninterrupted: str, kill: Callable[[Served], None]
) -> None:
    with Served(tmp_path / "data") as served:
        job_id = submit(served)
        while served.spoken(job_id) < 20:
            time.sleep(0.01)
        kill(served)
        assert served.wait(job_id)["state"] == "done"
        assert digest(served, job_id) == uninterrupted


def test_a_listener_never_notices_that_the_worker_was_replaced(quiet: Served) -> None:
    # mp3: what was sent never changes; with flac the header is written again at the end
    job_id = submit(quiet, response_format="mp3")
    heard = bytearray()
    kills = 0
    with quiet.http.stream("GET", f"/v1/audio/jobs/{job_id}/audio") as live:
        assert live.headers["content-type"] == "audio/mpeg"
        for block in live.iter_bytes():
            heard += block
            if kills < 2 and len(heard) > 200_000 * (kills + 1):
                quiet.worker.kill()
                kills += 1
    assert kills == 2
    assert quiet.wait(job_id)["state"] == "done"
    assert hashlib.sha256(heard).hexdigest() == digest(quiet, job_id)


def test_an_orderly_stop_and_a_restart(tmp_path: Path, uninterrupted: str) -> None:
    with Served(tmp_path / "data") as served:
        job_id = submit(served)
        while served.spoken(job_id) < 20:
            time.sleep(0.01)
        assert served.stop() < 5.0
        served.start()
        assert served.wait(job_id)["state"] == "done"
        assert digest(served, job_id) == uninterrupted


def test_a_second_signal_does_not_wait_and_loses_nothing(tmp_path: Path, uninterrupted: str) -> None:
    with Served(tmp_path / "data") as served:
        job_id = submit(served)
        while served.spoken(job_id) < 20:
            time.sleep(0.01)
        with served.http.stream("GET", f"/v1/audio/jobs/{job_id}/events") as listener:  # holds up an orderly stop
            next(listener.iter_lines())
            served.process.terminate()
            time.sleep(0.3)
            assert served.process.poll() is None, "it waits for its listeners"
            begun_s = time.monotonic()
            served.process.terminate()
            assert served.process.wait(5) == 130
            assert time.monotonic() - begun_s < 0.5
        served._closed()
        served.start()
        assert served.wait(job_id)["state"] == "done"
        assert digest(served, job_id) == uninterrupted


def test_events_tell_the_whole_story_and_replay(quiet: Served) -> None:
    job_id = submit(quiet, script=dialogue(4))
    with quiet.http.stream("GET", f"/v1/audio/jobs/{job_id}/events") as stream:
        events = [int(line[4:]) for line in stream.iter_lines() if line.startswith("id: ")]
    assert events == list(range(1, len(events) + 1))
    again = quiet.http.get(f"/v1/audio/jobs/{job_id}/events", headers={"Last-Event-ID": str(events[-2])})
    assert f"id: {events[-1]}" in again.text
    assert f"id: {events[-2]}\n" not in again.text


def test_range_subtitles_script_and_deletion(quiet: Served) -> None:
    job_id = submit(quiet, script=dialogue(4), response_format="mp3")
    assert quiet.wait(job_id)["state"] == "done"
    whole = quiet.http.get(f"/v1/audio/jobs/{job_id}/audio").content
    part = quiet.http.get(f"/v1/audio/jobs/{job_id}/audio", headers={"Range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, whole[1000:2000])
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(whole)}"
    assert "00:00:00,000 --> " in quiet.http.get(f"/v1/audio/jobs/{job_id}/subtitles.srt").text
    assert quiet.http.get(f"/v1/audio/jobs/{job_id}/subtitles.vtt").text.startswith("WEBVTT")
    assert quiet.http.get(f"/v1/audio/jobs/{job_id}/script").text == dialogue(4)
    assert quiet.http.delete(f"/v1/audio/jobs/{job_id}").status_code in (200, 204)
    assert quiet.http.get(f"/v1/audio/jobs/{job_id}").status_code == 404


def test_submit_answers_at_once_while_a_worker_uses_a_whole_core(quiet: Served) -> None:
    long = [submit(quiet) for _ in range(2)]
    quiet.wait(long[0], "running")
    times = []
    small = []
    for _ in range(40):
        start = time.perf_counter()
        small.append(submit(quiet, script="Speaker 1: Hello there.\nSpeaker 2: Good evening."))
        times.append(time.perf_counter() - start)
    assert statistics.median(times) < 0.05, f"median {statistics.median(times) * 1000:.1f} ms"
    for job_id in long + small:
        quiet.http.post(f"/v1/audio/jobs/{job_id}/cancel")
    for job_id in long:
        quiet.wait(job_id)


def test_speech_overtakes_long_jobs(quiet: Served) -> None:
    long = [submit(quiet) for _ in range(5)]  # more than one worker speaks at once
    quiet.wait(long[0], "running")
    start = time.perf_counter()
    answer = quiet.http.post("/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": "At once, please."})
    assert answer.status_code == 200
    assert time.perf_counter() - start < 3.0
    assert any(quiet.http.get(f"/v1/audio/jobs/{job_id}").json()["state"] != "done" for job_id in long)
    for job_id in long:
        quiet.http.post(f"/v1/audio/jobs/{job_id}/cancel")
    for job_id in long:
        quiet.wait(job_id)


def test_a_client_that_leaves_frees_its_speech(quiet: Served, tmp_path: Path) -> None:
    with quiet.http.stream(
        "POST", "/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": "Word. " * 600}
    ) as answer:
        assert answer.status_code == 200
        next(answer.iter_bytes())
    deadline = time.monotonic() + 10
    while "longtake_queue_jobs 0.0" not in quiet.http.get("/metrics").text:
        assert time.monotonic() < deadline, "its speech is still being spoken for nobody"
        time.sleep(0.02)


def test_ready_is_the_truth(tmp_path: Path) -> None:
    # Six silent beats, 24 s, and the worker is replaced: later than the probe's answer, which comes after 11 s + 5 s.
    with Served(tmp_path / "data", LONGTAKE_WORKER__HEARTBEAT_S="4") as served:
        assert served.http.get("/readyz").json()["ready"]
        served.worker.send_signal(signal.SIGSTOP)
        time.sleep(11)  # what was heard is believed for ten seconds
        answer = served.http.get("/readyz")
        assert answer.status_code == 503
        assert not answer.json()["ready"]
        assert served.http.get("/healthz").status_code == 200
        deadline = time.monotonic() + 30  # and it is mended by itself
        while served.http.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"script": ""}, 400, "empty_script"),
        ({"script": "Speaker 0: Zero."}, 400, "speaker_number"),
        ({"script": "Hi.", "voices": {"1": "nobody"}}, 400, "unknown_voice"),
        ({"script": "Hi.", "response_format": "mp4"}, 400, None),
        ({"script": "Hi.", "model": "gpt"}, 404, "model_not_found"),
        ({"script": "word " * 41_000}, 413, "too_many_characters"),
        ({"script": "x" * 10_000_000}, 413, None),
        ({"script": "Hi.", "colour": "red"}, 400, "unknown_parameter"),
        ({}, 400, None),
    ],
)
def test_bad_jobs_are_refused_with_cause_and_status(
    quiet: Served, body: dict[str, object], status: int, code: str | None
) -> None:
    answer = quiet.http.post("/v1/audio/jobs", json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert code is None or error["code"] == code
    assert len(error["message"]) > 20


def test_broken_json_is_told_with_its_place(quiet: Served) -> None:
    answer = quiet.http.post(
        "/v1/audio/jobs", content=b'{"script": "a",\n "x" }', headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert "line 2" in answer.json()["error"]["message"]


def test_many_clients_at_once_each_get_their_own(quiet: Served) -> None:
    texts = [f"This is customer number {number}, and nobody else." for number in range(12)]
    got: dict[str, bytes] = {}

    def ask(text: str) -> None:
        body = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "pcm"}
        got[text] = httpx.post(f"{quiet.url}/v1/audio/speech", json=body, timeout=30).content

    threads = [threading.Thread(target=ask, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for text in texts:
        before = got[text]
        ask(text)  # alone, the same words give the same samples
        assert got[text] == before
    assert len(set(got.values())) == len(texts)


def test_idempotency_over_http(quiet: Served) -> None:
    headers = {"Idempotency-Key": "a-click"}
    body = {"script": "Hello."}
    first = quiet.http.post("/v1/audio/jobs", json=body, headers=headers)
    again = quiet.http.post("/v1/audio/jobs", json=body, headers=headers)
    other = quiet.http.post("/v1/audio/jobs", json={"script": "Bye."}, headers=headers)
    assert (first.status_code, again.status_code, other.status_code) == (202, 200, 409)
    assert first.json()["id"] == again.json()["id"]
    assert json.loads(other.text)["error"]["code"] == "idempotency_key_reused"


def test_a_bad_take_is_spoken_again_over_http_and_by_the_command_line_beside_it(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as served:
        job_id = submit(served, script=dialogue(40), response_format="pcm", loudness="off")
        assert served.wait(job_id)["state"] == "done"
        whole = served.http.get(f"/v1/audio/jobs/{job_id}/audio").content
        shown = served.http.get(f"/v1/audio/jobs/{job_id}/subtitles.srt").text

        answer = served.http.post(f"/v1/audio/jobs/{job_id}/resume", json={"from_seconds": 100, "seed": 1}).json()
        again = answer["again"]
        assert 90 < again["from_seconds"] <= 100
        assert " ".join(again["text"].split()[:3]) in " ".join(shown.split())
        assert answer["state"] == "queued"
        assert served.wait(job_id)["state"] == "done"
        assert served.http.get(f"/v1/audio/jobs/{job_id}/audio").content == whole

        resume = [LONGTAKE, "resume", job_id, "--from", "1:40", "-o", str(tmp_path / "a.pcm"), "--json"]
        done = subprocess.run([*resume, "--data", str(tmp_path / "data")], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["again"]["from_seconds"] == again["from_seconds"]
        assert (tmp_path / "a.pcm").read_bytes() == whole
        deadline = time.monotonic() + 15
        while [job["id"] for job in served.http.get("/v1/audio/jobs").json()["data"]] != [job_id]:
            assert time.monotonic() < deadline, "an earlier version is still there"
            time.sleep(0.1)
        assert served.http.get(f"/v1/audio/jobs/{again['earlier_version']}").status_code == 404
        assert len(list((tmp_path / "data" / "jobs").iterdir())) == 1

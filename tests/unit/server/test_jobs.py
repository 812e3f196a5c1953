from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from longtake.intake import JobRequest
from longtake.jobs.records import Kind, QueueLimits
from tests.unit.server.conftest import BASE
from tests.unit.server.house import House, ScriptedWorker, sound_up_to
from tests.unit.server.test_errors import error_of

SCRIPT = "Alice: Good evening.\nBob: Good evening to you. And good night."
JOBS = "/v1/audio/jobs"


def submit(client: TestClient, **fields: Any) -> dict[str, Any]:
    response = client.post(JOBS, json={"script": SCRIPT} | fields)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


def test_submitted_job_says_all_about_itself(house: House, client: TestClient) -> None:
    response = client.post(
        JOBS,
        json={
            "model": "espeak",
            "script": SCRIPT,
            "voices": {"Bob": "en-gb", "1": "en-us"},
            "response_format": "opus",
            "seed": 7,
            "loudness": "podcast",
            "speed": 1.25,
            "title": "Two neighbours",
            "turn_silence_seconds": 1.0,
        },
    )

    job = response.json()
    assert response.status_code == 202
    assert response.headers["Location"] == f"{JOBS}/{job['id']}"
    assert house.woken == ["espeak"]
    assert job["object"] == "audio.job"
    assert (job["state"], job["reason"], job["error"], job["eta_seconds"]) == ("queued", None, None, None)
    assert job["progress"]["passages_done"] == job["progress"]["audio_seconds"] == 0
    assert job["progress"]["passages_total"] == 3
    assert job["progress"]["estimated_seconds"] > 1
    assert job["speakers"] == [
        {"number": 1, "label": "Alice", "voice": "en-us"},
        {"number": 2, "label": "Bob", "voice": "en-gb"},
    ]
    assert (job["title"], job["model"], job["response_format"]) == ("Two neighbours", "espeak", "opus")
    assert (job["seed"], job["loudness"], job["speed"]) == (7, "podcast", 1.25)
    assert job["can"] == ["pause", "cancel"]
    assert job["place_in_queue"] == 0
    assert house.store.passages(job["id"])[1][0].silence_before_s == 1.0
    assert client.get(f"{JOBS}/{job['id']}").json() == job


def test_job_through_its_life(worker: ScriptedWorker, client: TestClient) -> None:
    waiting = submit(client)
    behind = submit(client)
    assert behind["place_in_queue"] == 1
    at = f"{JOBS}/{waiting['id']}"

    worker.take()
    worker.speak(0)
    running = client.get(at).json()
    assert (running["state"], running["place_in_queue"]) == ("running", None)
    assert running["progress"]["passages_done"] == 1
    assert running["progress"]["audio_seconds"] == pytest.approx(1.0, abs=0.01)
    assert running["started_at"] >= running["created_at"]

    worker.speak(1)
    worker.speak(2)
    worker.finish()
    done = client.get(at).json()
    assert (done["state"], done["can"]) == ("done", ["again", "delete"])
    assert done["progress"]["estimated_seconds"] == done["progress"]["audio_seconds"] > 3
    assert done["audio_bytes"] > 0
    assert done["ended_at"] >= done["started_at"]


def test_failed_job_tells_why_and_can_go_on(worker: ScriptedWorker, client: TestClient) -> None:
    at = f"{JOBS}/{submit(client)['id']}"
    worker.take()
    worker.fail("the model choked")

    failed = client.get(at).json()
    assert failed["state"] == "failed"
    assert failed["error"]["message"] == "the model choked"
    assert set(failed["error"]) == {"message", "type", "param", "code"}
    assert set(failed["can"]) == {"resume", "delete"}
    resumed = client.post(f"{at}/resume").json()
    assert (resumed["state"], resumed["error"]) == ("queued", None)


@pytest.mark.parametrize(
    ("verbs", "states"),
    [
        (["pause", "pause", "resume", "resume"], ["paused", "paused", "queued", "queued"]),
        (["cancel", "cancel"], ["cancelled", "cancelled"]),
        (["pause", "cancel"], ["paused", "cancelled"]),
    ],
)
def test_verbs_may_be_repeated(house: House, client: TestClient, verbs: list[str], states: list[str]) -> None:
    at = f"{JOBS}/{submit(client)['id']}"

    for verb, state in zip(verbs, states, strict=True):
        response = client.post(f"{at}/{verb}")
        assert (response.status_code, response.json()["state"]) == (200, state)
    assert house.woken == ["espeak"] * (1 + len(verbs))


def test_verb_against_the_state_is_a_conflict(worker: ScriptedWorker, client: TestClient) -> None:
    at = f"{JOBS}/{submit(client)['id']}"
    worker.speak_all()

    response = client.post(f"{at}/pause")

    assert response.status_code == 409
    assert error_of(response)["code"] == "job_is_done"
    assert response.headers["x-should-retry"] == "false"  # OpenAI's clients would repeat a 409


def test_running_job_obeys_when_its_worker_does(worker: ScriptedWorker, client: TestClient) -> None:
    at = f"{JOBS}/{submit(client)['id']}"
    worker.take()

    assert client.post(f"{at}/pause").json()["state"] == "pausing"
    worker.desk.release(worker.held)
    assert client.get(at).json()["state"] == "paused"


def test_same_key_is_the_same_job(house: House, client: TestClient) -> None:
    headers = {"Idempotency-Key": "abc"}
    first = client.post(JOBS, json={"script": SCRIPT}, headers=headers)
    again = client.post(JOBS, json={"script": SCRIPT}, headers=headers)
    other = client.post(JOBS, json={"script": "Something else."}, headers=headers)

    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert (other.status_code, error_of(other)["code"]) == (409, "idempotency_key_reused")
    assert len(house.store.jobs()) == 1


@pytest.mark.parametrize("key", ["", "a b", "x" * 201])
def test_odd_keys_are_refused(client: TestClient, key: str) -> None:
    response = client.post(JOBS, json={"script": SCRIPT}, headers={"Idempotency-Key": key})

    assert response.status_code == 400
    assert error_of(response)["param"] == "Idempotency-Key"


def test_list_is_newest_first_in_pages(client: TestClient) -> None:
    ids = [submit(client)["id"] for _ in range(5)][::-1]

    first = client.get(JOBS, params={"limit": 2}).json()
    second = client.get(JOBS, params={"limit": 2, "after": first["data"][-1]["id"]}).json()
    third = client.get(JOBS, params={"limit": 2, "after": second["data"][-1]["id"]}).json()

    assert first["object"] == "list"
    pages = [first, second, third]
    assert [[job["id"] for job in page["data"]] for page in pages] == [ids[:2], ids[2:4], ids[4:]]
    assert [page["has_more"] for page in pages] == [True, True, False]


def test_page_that_is_just_full_has_no_more(client: TestClient) -> None:
    submit(client)
    submit(client)

    assert client.get(JOBS, params={"limit": 2}).json()["has_more"] is False


def test_speech_jobs_are_nobodys_business(house: House, client: TestClient) -> None:
    job, _ = house.intake.submit(JobRequest("Hello."), kind=Kind.SPEECH)

    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/audio"), ("GET", "/events")):
        assert client.request(method, f"{JOBS}/{job.id}{path}").status_code == 404
    assert client.get(JOBS).json()["data"] == []
    assert house.store.job(job.id).state == "queued"


def test_delete_takes_rows_and_files(house: House, worker: ScriptedWorker, client: TestClient) -> None:
    job_id = submit(client)["id"]
    too_early = client.delete(f"{JOBS}/{job_id}")
    worker.speak_all()

    assert (too_early.status_code, error_of(too_early)["code"]) == (409, "job_is_queued")
    assert house.files() == [job_id]
    assert client.delete(f"{JOBS}/{job_id}").json() == {"id": job_id, "object": "audio.job", "deleted": True}
    assert house.files() == []
    assert client.get(f"{JOBS}/{job_id}").status_code == 404
    assert client.delete(f"{JOBS}/{job_id}").status_code == 404


def test_too_much_is_refused_with_the_numbers(house: House, client: TestClient) -> None:
    characters = client.post(JOBS, json={"script": "a" * 20_001})
    minutes = client.post(JOBS, json={"script": "no " * 6000})

    assert (characters.status_code, error_of(characters)["code"]) == (413, "too_many_characters")
    assert "20,000" in error_of(characters)["message"]
    assert (minutes.status_code, error_of(minutes)["code"]) == (413, "too_long")
    assert "30:00" in error_of(minutes)["message"]
    assert house.store.jobs() == []


def test_full_disk_is_507(house: House, client: TestClient) -> None:
    house.folder.floor_bytes = 1 << 60

    response = client.post(JOBS, json={"script": SCRIPT})

    assert (response.status_code, error_of(response)["code"]) == (507, "disk_full")
    assert response.headers["x-should-retry"] == "false"


def test_full_queue_is_429(make_house: Any) -> None:
    with TestClient(make_house(queue=QueueLimits(max_jobs=1)).app, base_url=BASE) as client:
        submit(client)
        response = client.post(JOBS, json={"script": SCRIPT})

    assert (response.status_code, error_of(response)["code"]) == (429, "queue_full")


def test_script_comes_back_as_it_was_sent(client: TestClient) -> None:
    script = "Anna: Grüß Gott!\r\n李:你好。\n"
    job_id = submit(client, script=script)["id"]

    response = client.get(f"{JOBS}/{job_id}/script")

    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.content.decode() == script


def test_subtitles_stand_where_the_join_puts_the_passages(worker: ScriptedWorker, client: TestClient) -> None:
    at = f"{JOBS}/{submit(client, turn_silence_seconds=0.5, sentence_silence_seconds=0.25)['id']}"
    worker.take()
    worker.speak(0)
    worker.speak(1)
    so_far = client.get(f"{at}/subtitles.srt").text
    worker.speak(2)
    worker.finish()

    srt, vtt = client.get(f"{at}/subtitles.srt"), client.get(f"{at}/subtitles.vtt")
    assert srt.text.startswith(so_far)
    assert "00:00:00,000 --> 00:00:01,000\nAlice: Good evening." in so_far
    assert "00:00:01,500 --> 00:00:02,500\nBob: Good evening to you." in so_far
    assert "good night" not in so_far
    assert "00:00:02,750 --> 00:00:03,750\nAnd good night." in srt.text
    assert vtt.text.startswith("WEBVTT\n\n")
    assert "00:00:01.500 --> 00:00:02.500\n<v Bob>" in vtt.text
    assert srt.headers["content-type"] == "application/x-subrip; charset=utf-8"
    assert vtt.headers["content-type"] == "text/vtt; charset=utf-8"


def test_passage_without_predecessor_has_no_subtitle_yet(
    house: House, worker: ScriptedWorker, client: TestClient
) -> None:
    """Passages may be committed out of order; before a gap is filled nobody knows when what follows it is heard."""
    at = f"{JOBS}/{submit(client)['id']}"
    worker.take()
    worker.speak(1)

    assert client.get(f"{at}/subtitles.srt").text == ""


def test_a_job_that_lost_its_passages_has_audio_and_no_subtitles(
    house: House, worker: ScriptedWorker, client: TestClient
) -> None:
    at = f"{JOBS}/{submit(client)['id']}"
    worker.speak_all()
    house.db.execute("forget_stretches", id=at.rpartition("/")[2])  # as a repair of the store does
    assert client.get(f"{at}/audio").content == sound_up_to(3)
    for answer in (client.get(f"{at}/subtitles.srt"), client.post(f"{at}/resume", json={"from_seconds": 1.0})):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "passages_lost")


# Again from here


def test_a_bad_take_is_spoken_again(house: House, worker: ScriptedWorker, client: TestClient) -> None:
    at = f"{JOBS}/{submit(client)['id']}"
    worker.speak_all()

    response = client.post(f"{at}/resume", json={"from_seconds": 2.0, "seed": 5})

    job = response.json()
    assert (response.status_code, job["state"], job["can"]) == (200, "queued", ["pause", "cancel", "again"])
    again = job["again"]
    earlier = client.get(f"{JOBS}/{again.pop('earlier_version')}").json()
    assert again == {"from_seconds": 1.45, "speaker": "Bob", "text": "Good evening to you.", "seed": 5}
    assert (job["progress"]["audio_seconds"], job["earlier_of"]) == (1.0, None)
    assert (earlier["state"], earlier["earlier_of"], earlier["title"]) == (
        "done",
        job["id"],
        "Good evening. (earlier version)",
    )
    assert client.get(f"{JOBS}/{earlier['id']}/audio").content == sound_up_to(3)
    assert client.get(f"{JOBS}/{earlier['id']}/subtitles.srt").text.count("-->") == 3
    assert house.woken == ["espeak", "espeak"]
    assert worker.take().seeds == {1: 5, 2: 5}


def test_going_on_needs_no_body_and_tells_that_nothing_was_cut(client: TestClient) -> None:
    at = f"{JOBS}/{submit(client)['id']}"
    for body in (b"", b"{}", b'{"from_seconds": null}'):
        client.post(f"{at}/pause")
        response = client.post(f"{at}/resume", content=body)
        assert (response.status_code, response.json()["state"], response.json()["again"]) == (200, "queued", None)


@pytest.mark.parametrize(
    ("body", "status", "code", "told"),
    [
        ({"from_seconds": 99}, 400, "time_out_of_range", "1:39.000 lies behind what is spoken"),
        ({"from_seconds": -1}, 400, None, "it must be 0.0 or more"),
        ({"from_seconds": "12:30"}, 400, None, "from_seconds"),
        ({"from_seconds": 1, "seed": -1}, 400, None, "seed"),
        ({"seed": 5}, 400, "seed_alone", "from_seconds"),
        ({"form_seconds": 1}, 400, "unknown_parameter", "form_seconds"),
        (b'{"from_seconds": NaN}', 400, None, ""),
        (b"nonsense", 400, "invalid_json", ""),
    ],
)
def test_what_cannot_be_spoken_again_is_told(
    worker: ScriptedWorker, client: TestClient, body: Any, status: int, code: str | None, told: str
) -> None:
    at = f"{JOBS}/{submit(client)['id']}"
    worker.speak_all()

    response = client.post(f"{at}/resume", content=body if isinstance(body, bytes) else json.dumps(body))

    assert response.status_code == status
    error = error_of(response)
    assert code is None or error["code"] == code
    assert told in str(error)
    assert client.get(at).json()["state"] == "done"


def test_speech_and_cancelled_jobs_are_not_spoken_again(house: House, client: TestClient) -> None:
    speech, _ = house.intake.submit(JobRequest(script="Hi."), kind=Kind.SPEECH)
    assert client.post(f"{JOBS}/{speech.id}/resume", json={"from_seconds": 0}).status_code == 404
    at = f"{JOBS}/{submit(client)['id']}"
    client.post(f"{at}/cancel")
    response = client.post(f"{at}/resume", json={"from_seconds": 0})
    assert (response.status_code, error_of(response)["code"]) == (409, "job_is_cancelled")

"""Again from here through the real job path: hosts, worker processes, espeak and VibeVoice with random weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from longtake.audio import SpokenPassage
from longtake.config import load_settings
from longtake.delivery import Again, audio_path, speak_again, timeline
from longtake.intake import JobRequest
from longtake.jobs.records import Job
from longtake.jobs.states import ENDED, State
from longtake.wiring import Host, host, open_host
from tests.support.recordings import voice
from tests.support.scripts import dialogue

FRAME = 3200
TURNS = "".join(f"Speaker {1 + n % 2}: Turn {n} says something that takes three or four seconds.\n" for n in range(8))


@pytest.fixture
def espeak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(host, "TIDY_S", 0.2)
    settings = load_settings(data=tmp_path / "data", disk_floor_mib=16)
    with open_host(settings, workers=True) as opened:
        yield opened


@pytest.fixture
def vibevoice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(host, "TIDY_S", 0.2)
    engine = {"model": "random:tiny", "device": "cpu", "dtype": "fp32"}
    settings = load_settings(data=tmp_path / "data", engines=("vibevoice",), engine=engine, disk_floor_mib=16)
    with open_host(settings, workers=True) as opened:
        for number in (1, 2):
            opened.voices.add(voice(3.0, pitch_hz=110.0 * number), name=f"v{number}", language="en")
        yield opened


def wait(
    host: Host, job: Job, until: Callable[[Job], bool] = lambda job: job.state in ENDED, timeout_s: float = 90.0
) -> Job:
    deadline = time.monotonic() + timeout_s
    while not until(now := host.store.job(job.id)):
        assert time.monotonic() < deadline, now
        assert now.state not in ENDED, now.error
        time.sleep(0.01)
    return now


def pcm(host: Host, job: Job) -> np.ndarray:
    path = audio_path(host.folder, host.store.job(job.id))
    assert path is not None
    return np.fromfile(path, "<i2").astype(float)


def again(host: Host, job: Job, at_s: float, seed: int | None = None) -> Again:
    return speak_again(host.store, host.folder, job.id, at_s, seed=seed)


def wait_gone(host: Host, job_id: str) -> None:
    deadline = time.monotonic() + 10
    while host.folder.job(job_id).exists():
        assert time.monotonic() < deadline, "the earlier version is still there"
        time.sleep(0.05)
    assert job_id not in [job.id for job in host.store.jobs()]


def test_espeak_speaks_on_behind_the_cut_and_the_earlier_version_goes(espeak: Host) -> None:
    job, _ = espeak.intake.submit(JobRequest(dialogue(20), response_format="pcm"))
    wait(espeak, job)
    whole = pcm(espeak, job)
    kept = {place.start_s: spoken for place, spoken in zip(*spoken_of(espeak, job), strict=True)}
    espeak.store.pause(espeak.intake.submit(JobRequest("Another one."))[0].id)
    done = again(espeak, job, 61.0)
    assert 55 < done.from_s <= 61
    assert any(start_s == pytest.approx(done.from_s) for start_s in kept)
    assert espeak.store.job(done.earlier_id).state is State.DONE, "it is there while the new one is not"
    assert np.array_equal(pcm(espeak, espeak.store.job(done.earlier_id)), whole)
    wait(espeak, job)
    wait_gone(espeak, done.earlier_id)
    assert np.array_equal(pcm(espeak, job), whole), "espeak knows no seed: it says the same again"
    for place, spoken in zip(*spoken_of(espeak, job), strict=True):
        assert (spoken == kept[place.start_s]) == (place.start_s < done.from_s - 0.001), place.start_s


def spoken_of(host: Host, job: Job) -> tuple[list[SpokenPassage], list[str]]:
    places = list(timeline(host.store, job.id))
    return places, [spoken.stretches[0].file for _, spoken in host.store.passages(job.id) if spoken]


def test_a_job_is_cut_while_its_worker_speaks_it(espeak: Host) -> None:
    request = JobRequest(dialogue(60), response_format="pcm")
    quiet, _ = espeak.intake.submit(request)
    wait(espeak, quiet)
    job, _ = espeak.intake.submit(request)
    running = wait(espeak, job, lambda now: now.passages_done >= 60)
    assert running.state is State.RUNNING
    first = again(espeak, job, 30.0)
    assert espeak.store.job(first.earlier_id).state is State.PAUSED
    wait(espeak, job, lambda now: now.passages_done >= 80)
    second = again(espeak, job, 60.0)
    assert wait(espeak, job).state is State.DONE
    assert np.array_equal(pcm(espeak, job), pcm(espeak, quiet))
    for earlier_id in (first.earlier_id, second.earlier_id):
        wait_gone(espeak, earlier_id)
    numbers = [event.number for event in espeak.store.events(job.id, limit=5000)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert espeak.store.job(job.id).crashes == 0


def test_an_earlier_version_that_is_resumed_is_kept_and_finished(espeak: Host) -> None:
    job, _ = espeak.intake.submit(JobRequest(dialogue(60), response_format="pcm"))
    wait(espeak, job, lambda now: now.passages_done >= 30)
    done = again(espeak, job, 10.0)
    earlier = espeak.store.resume(done.earlier_id)
    wait(espeak, job)
    wait(espeak, earlier)
    time.sleep(0.6)  # the tidier has been there
    assert np.array_equal(pcm(espeak, job), pcm(espeak, earlier))


@pytest.mark.timeout(300)
def test_vibevoice_speaks_on_within_its_passage_with_the_same_seed_or_another(vibevoice: Host) -> None:
    job, _ = vibevoice.intake.submit(
        JobRequest(TURNS, response_format="pcm", settings={"steps": 1, "context": "full"}, seed=3)
    )
    wait(vibevoice, job)
    whole = pcm(vibevoice, job)
    middle_s = whole.size / 24_000 / 2

    same = again(vibevoice, job, middle_s, seed=3)
    cut = round(same.from_s * 24_000)
    assert cut % FRAME == 0
    assert middle_s - 5 < same.from_s <= middle_s
    assert same.line.text.startswith(f"Turn {round(8 * same.from_s / middle_s / 2)} says"), same.line
    wait(vibevoice, job)
    ours = pcm(vibevoice, job)
    assert ours.shape == whole.shape
    assert np.array_equal(ours[:cut], whole[:cut])
    assert np.abs(ours - whole).max() <= 33, "1e-3 behind it"
    wait_gone(vibevoice, same.earlier_id)

    fresh = again(vibevoice, job, middle_s)
    assert fresh.from_s == same.from_s
    wait(vibevoice, job)
    another = pcm(vibevoice, job)
    assert np.array_equal(another[:cut], whole[:cut])
    assert np.abs(another[cut:] - whole[cut : another.size]).max() > 330, "another take"
    wait_gone(vibevoice, fresh.earlier_id)


@pytest.mark.timeout(300)
def test_vibevoice_is_cut_while_it_speaks(vibevoice: Host) -> None:
    request = JobRequest(TURNS, response_format="pcm", settings={"steps": 1, "context": "full"}, seed=3)
    quiet, _ = vibevoice.intake.submit(request)
    wait(vibevoice, quiet)
    whole = pcm(vibevoice, quiet)
    job, _ = vibevoice.intake.submit(request)
    wait(vibevoice, job, lambda now: now.audio_samples >= 12 * 24_000)
    done = again(vibevoice, job, 8.0, seed=3)
    assert 3.0 < done.from_s <= 8.0
    earlier = vibevoice.store.job(done.earlier_id)
    assert (earlier.state, earlier.audio_samples >= 12 * 24_000) == (State.PAUSED, True)
    wait(vibevoice, job)
    ours = pcm(vibevoice, job)
    assert ours.shape == whole.shape
    assert np.abs(ours - whole).max() <= 33
    wait_gone(vibevoice, done.earlier_id)

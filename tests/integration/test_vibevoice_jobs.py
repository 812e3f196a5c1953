"""VibeVoice through the real job path: a host, a worker process, random weights. What comes out is noise of the right
length; that nothing is lost, doubled or forgotten is what is looked at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest

from longtake.audio import read_trace as read_stretch_trace
from longtake.config import Settings, load_settings
from longtake.core.errors import CapacityError, InputError
from longtake.delivery import audio_path, timeline
from longtake.engines.vibevoice.network.names import END, EOS
from longtake.engines.vibevoice.planning import budget
from longtake.engines.vibevoice.trace import Trace, read_trace
from longtake.intake import JobRequest
from longtake.jobs.records import Job, SpokenPassage
from longtake.jobs.states import ENDED, State
from longtake.wiring import Host, open_host
from tests.support.recordings import voice

TURN = "Speaker {}: Turn {} says something that takes three or four seconds to say.\n"
FAST = {"steps": 1}


def settings_of(data: Path) -> Settings:
    engine = {"model": "random:tiny", "device": "cpu", "dtype": "fp32"}
    return load_settings(data=data, engines=("vibevoice",), engine=engine, disk_floor_mib=16)


def add_voices(host: Host) -> None:
    for number in (1, 2):
        host.voices.add(voice(3.0, pitch_hz=110.0 * number), name=f"v{number}", language="en")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with open_host(settings_of(tmp_path / "data"), workers=True) as host:
        add_voices(host)
        yield host


def dialogue(turns: int) -> str:
    return "".join(TURN.format(1 + turn % 2, turn) for turn in range(turns))


def wait(host: Host, job: Job, *states: State, at_least_s: float = 0.0, timeout_s: float = 90.0) -> Job:
    deadline = time.monotonic() + timeout_s
    while True:
        now = host.store.job(job.id)
        if now.state in (states or ENDED) and now.audio_samples >= at_least_s * 24_000:
            return now
        assert now.state not in ENDED, now.error
        assert time.monotonic() < deadline, now
        time.sleep(0.05)


def pcm(host: Host, job: Job) -> np.ndarray:
    path = audio_path(host.folder, job)
    assert path is not None
    return np.fromfile(path, "<i2").astype(float)


def spoken_trace(host: Host, job: Job, spoken: SpokenPassage) -> Trace:
    """What is committed of a passage, as the model spoke it."""
    files = host.folder.passages(job.id)
    return read_trace(b"".join(read_stretch_trace(files / s.file, s.samples) for s in spoken.stretches))


def level_db(samples: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(samples**2)) + 1e-9))


def test_a_dialogue_becomes_a_file_of_the_planned_length_and_is_heard_meanwhile(host: Host) -> None:
    job, _ = host.intake.submit(JobRequest(dialogue(10), response_format="pcm", settings=FAST))
    early = wait(host, job, State.RUNNING, at_least_s=1.0)
    assert early.passages_done == 0, "one passage, and it is heard before it ends"
    path = audio_path(host.folder, early)
    assert path is not None
    assert path.stat().st_size > 0
    done = wait(host, job, State.DONE)
    assert done.passages_total == 1
    assert pcm(host, done).size == done.audio_samples
    assert done.audio_samples / 24_000 == pytest.approx(job.estimated_s, rel=0.02)
    (spoken,) = timeline(host.store, job.id)
    assert len(spoken.lines) == 10


def test_longer_than_the_window(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three windows: every turn once and in order, in the same memory, and no seam in the loudness."""
    monkeypatch.setattr(budget, "WINDOWED_PASSAGE_S", 20.0)  # read where passages are cut: in this process
    request = JobRequest(
        dialogue(15), response_format="pcm", settings=FAST | {"context": "window"}, turn_silence_s=0.0, seed=5
    )
    job, _ = host.intake.submit(request)
    worker = psutil.Process().children()[0]
    resident = []
    passages_done = -1
    while (now := host.store.job(job.id)).state not in ENDED:
        if now.passages_done != passages_done:
            passages_done = now.passages_done
            resident.append(worker.memory_info().rss)
        time.sleep(0.02)
    assert now.state is State.DONE, now.error
    assert now.passages_total >= 3
    lines = [line for passage in timeline(host.store, job.id) for line in passage.lines]
    assert [line.text.split()[1] for line in lines] == [str(turn) for turn in range(15)]
    turn = 0
    for passage, spoken in host.store.passages(job.id):
        assert spoken is not None
        trace = spoken_trace(host, job, spoken)
        assert trace.frames * 3200 == spoken.samples
        assert trace.tokens.count(END) == len(passage.lines), "a turn of its own each, and none of those before"
        assert trace.tokens[-1] == EOS
        turn += trace.tokens.count(END)
    assert turn == 15
    assert resident[-1] - resident[1] < 30e6, "later passages take no more"
    audio = pcm(host, now)
    starts = [round(passage.start_s * 24_000) for passage in timeline(host.store, job.id)]
    for before, border in pairwise(starts):
        half_s = 12_000
        assert border - before > half_s
        jump = level_db(audio[border : border + half_s]) - level_db(audio[border - half_s : border])
        assert abs(jump) <= 1.0, f"a jump of {jump:.2f} dB at {border / 24_000:.1f} s"


def test_a_killed_worker_goes_on_where_it_stopped(host: Host) -> None:
    request = JobRequest(dialogue(14), response_format="pcm", settings=FAST, seed=3)
    undisturbed, _ = host.intake.submit(request)
    whole = pcm(host, wait(host, undisturbed, State.DONE))
    job, _ = host.intake.submit(request)
    wait(host, job, State.RUNNING, at_least_s=4.0)
    kept = host.store.passages(job.id)[0][1]
    assert kept is not None
    psutil.Process().children()[0].kill()
    done = wait(host, job, State.DONE)
    assert done.token == 2
    after = host.store.passages(job.id)[0][1]
    assert after is not None
    assert after.stretches[: len(kept.stretches)] == kept.stretches, "what was committed is not spoken again"
    ours = pcm(host, done)
    assert ours.shape == whole.shape
    assert np.array_equal(ours[: kept.samples - 200], whole[: kept.samples - 200])
    assert np.abs(ours - whole).max() <= 33, "1e-3 behind it"


def test_bad_voices_and_settings_are_told_and_the_worker_lives(host: Host) -> None:
    with pytest.raises(InputError, match="Speaker 3"):
        host.intake.submit(JobRequest(dialogue(2) + "Speaker 3: And I?"))
    with pytest.raises(InputError, match="no setting 'colour'"):
        host.intake.submit(JobRequest("Hi.", settings={"colour": 1}))
    with pytest.raises(CapacityError, match="--context full"):
        host.intake.submit(JobRequest(dialogue(2_500), settings={"context": "full"}))
    with pytest.raises(InputError, match="own pace"):
        host.intake.submit(JobRequest("Hi.", speed=1.5))
    job, _ = host.intake.submit(JobRequest(dialogue(1), response_format="wav", settings=FAST))
    assert wait(host, job, State.DONE).crashes == 0


def test_a_model_that_cannot_be_loaded_is_told_with_its_cause(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(b"x")
    settings = load_settings(
        data=tmp_path / "data", engines=("vibevoice",), engine={"model": str(tmp_path / "model"), "device": "cpu"}
    )
    with open_host(settings, workers=True) as host:
        deadline = time.monotonic() + 60
        while "broken" not in [str(status.state) for status in host.statuses()]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "config.json" in (host.statuses()[0].reason or "")

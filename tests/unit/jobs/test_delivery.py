"""What the store knows of the copy that the command line was asked for, and of finished files that have gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from longtake.core.errors import ConflictError
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.records import Job
from longtake.jobs.states import State
from longtake.jobs.store import JobStore
from tests.support.clock import HandClock
from tests.support.jobs import planned, spec, spoken

MakeDesk = Callable[..., WorkerDesk]


def finish(store: JobStore, desk: WorkerDesk, job: Job) -> Job:
    claim = desk.claim()
    assert claim is not None
    assert claim.job.id == job.id
    desk.commit(claim, [spoken(p.index) for p in claim.passages if p.index not in claim.spoken])
    desk.finish(claim, f"audio-{claim.token}.pcm", 9)
    return store.job(job.id)


def test_a_copy_is_wanted_until_it_lies_there(store: JobStore, make_desk: MakeDesk, clock: HandClock) -> None:
    job, _ = store.submit(spec(), "x", planned(2), out_path="/a.pcm", out_subtitles=["srt", "vtt"])
    assert (job.out_path, job.out_subtitles, job.delivered_at) == ("/a.pcm", ("srt", "vtt"), None)
    assert not job.is_undelivered, "there is nothing to deliver yet"
    assert finish(store, make_desk(), job).is_undelivered
    assert [listed.is_undelivered for listed in store.jobs()] == [True]
    store.note_delivered(job.id)
    done = store.job(job.id)
    assert (done.delivered_at, done.is_undelivered) == (clock.wall_s(), False)


def test_nobody_waits_for_a_copy_of_what_came_over_http(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    assert (job.out_path, job.out_subtitles) == (None, ())
    assert not finish(store, make_desk(), job).is_undelivered


def test_a_done_job_whose_file_has_gone_is_encoded_again(store: JobStore, make_desk: MakeDesk) -> None:
    job, _ = store.submit(spec(), "x", planned(2), out_path="/a.pcm")
    finish(store, make_desk(), job)
    store.note_delivered(job.id)
    opened = store.reopen(job.id)
    assert (opened.state, opened.audio_file, opened.audio_bytes, opened.ended_at) == (State.QUEUED, None, None, None)
    assert (opened.passages_done, opened.remaining_s) == (2, 0.0), "nothing that was spoken is lost"
    done = finish(store, make_desk(), job)
    assert (done.state, done.audio_file) == (State.DONE, "audio-2.pcm")
    assert done.is_undelivered, "it was opened to be delivered"


def test_only_what_is_done_is_opened_again(store: JobStore) -> None:
    job, _ = store.submit(spec(), "x", planned(1))
    with pytest.raises(ConflictError, match="queued cannot reopen"):
        store.reopen(job.id)
    store.cancel(job.id)
    with pytest.raises(ConflictError):
        store.reopen(job.id)
    assert store.job(job.id).state is State.CANCELLED

"""Two workers that really run at the same time, with leases so short that they lose them; and users who interfere.

What they did is written down by themselves and compared with what the store says in the end.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from longtake.core.errors import ConflictError, LeaseLostError
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.records import Claim
from longtake.jobs.states import ENDED, State
from longtake.jobs.store import JobStore
from tests.support.jobs import planned, spec, spoken
from tests.support.memory import folder_in_memory

JOBS = 400 if os.environ.get("LONGTAKE_CHAOS") else 40
PASSAGES = 5
LEASE_S = 0.03
TIMEOUT_S = 10.0 + JOBS / 2


class Worker:
    """Claims, commits, and now and then sleeps beyond its lease; writes down what the store has let it do."""

    def __init__(self, file: Path, name: str, seed: int) -> None:
        self.database = Database(file)
        self.desk = WorkerDesk(self.database, name, "espeak", 1, lease_s=LEASE_S)
        self.chance = random.Random(seed)
        self.tokens: list[tuple[str, int]] = []
        self.committed: list[tuple[str, int, int]] = []
        self.finished: list[str] = []
        self.losses = 0

    def work(self, is_over: Callable[[], bool]) -> None:
        while not is_over():
            claim = self.desk.claim()
            if claim is None:
                time.sleep(0.002)
                continue
            self.tokens.append((claim.job.id, claim.token))
            with suppress(LeaseLostError):
                self.speak(claim)
                continue
            self.losses += 1

    def speak(self, claim: Claim) -> None:
        for passage in claim.passages:
            if passage.index in claim.spoken:
                continue
            time.sleep(self.chance.choice([0.0, 0.001, 0.005, 0.005, 1.5 * LEASE_S]))
            if self.chance.random() < 0.3:
                self.desk.heartbeat(state="ready", steps=1, active=1)
            self.desk.commit(claim, [spoken(passage.index, token=claim.token)])
            self.committed.append((claim.job.id, passage.index, claim.token))
            _, state = self.desk.owned().get(claim.job.id, (0, State.RUNNING))
            if state is State.PAUSING or self.chance.random() < 0.05:
                self.desk.release(claim)
                return
        if self.desk.finish(claim, f"audio-{claim.token}", 1) is State.DONE:
            self.finished.append(claim.job.id)


@pytest.fixture
def file() -> Iterator[Path]:
    with folder_in_memory() as folder:
        yield folder / "jobs.db"


@pytest.fixture
def store(file: Path) -> Iterator[JobStore]:
    database = Database(file)
    yield JobStore(database)
    database.close()


@pytest.fixture
def workers(file: Path, store: JobStore) -> Iterator[list[Worker]]:
    workers = [Worker(file, "w1", 1), Worker(file, "w2", 2)]
    yield workers
    for worker in workers:
        worker.database.close()


def interfere(store: JobStore, ids: list[str], is_over: Callable[[], bool]) -> None:
    """A user who pauses and resumes, until all is done."""
    chance = random.Random(3)
    while not is_over():
        job_id = chance.choice(ids)
        with suppress(ConflictError):
            store.pause(job_id)
        time.sleep(0.01)
        with suppress(ConflictError):
            store.resume(job_id)


def test_nothing_is_lost_and_nothing_doubled(store: JobStore, workers: list[Worker]) -> None:
    ids = [store.submit(spec(), "x", planned(PASSAGES))[0].id for _ in range(JOBS)]
    deadline = time.monotonic() + TIMEOUT_S
    stop = threading.Event()
    threads = [threading.Thread(target=worker.work, args=(stop.is_set,)) for worker in workers]
    threads.append(threading.Thread(target=interfere, args=(store, ids, stop.is_set)))
    for thread in threads:
        thread.start()
    try:
        while any(store.job(job_id).state not in ENDED for job_id in ids) and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert {store.job(job_id).state for job_id in ids} == {State.DONE}
    tokens = Counter(token for worker in workers for token in worker.tokens)
    assert set(tokens.values()) == {1}, "a token has one owner"
    commits = Counter((job_id, index) for worker in workers for job_id, index, _ in worker.committed)
    assert commits == dict.fromkeys(((job_id, index) for job_id in ids for index in range(PASSAGES)), 1)
    assert Counter(job_id for worker in workers for job_id in worker.finished) == dict.fromkeys(ids, 1)
    assert sum(worker.losses for worker in workers) > JOBS / 20, "they lost hardly a lease: nothing was tried"
    assert all(worker.finished for worker in workers)
    written = {commit for worker in workers for commit in worker.committed}
    for job_id in ids:
        check_history(store, job_id, written, max(token for owned, token in tokens if owned == job_id))


def check_history(store: JobStore, job_id: str, written: set[tuple[str, int, int]], last_token: int) -> None:
    job, events = store.job(job_id), store.events(job_id, limit=100_000)
    assert (job.token, job.audio_file) == (last_token, f"audio-{last_token}")
    stretches = [stretch for _, passage in store.passages(job_id) if passage for stretch in passage.stretches]
    assert {(job_id, s.index, int(s.file[7:-4])) for s in stretches} == {each for each in written if each[0] == job_id}
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    moves = [(event.data["from"], event.data["to"]) for event in events if event.kind == "state"]
    assert [before for before, _ in moves] == [None, *(after for _, after in moves[:-1])]
    assert sum(after == State.RUNNING and before == State.QUEUED for before, after in moves) == last_token
    assert [event.data["passages_done"] for event in events if event.kind == "progress"] == list(range(1, PASSAGES + 1))

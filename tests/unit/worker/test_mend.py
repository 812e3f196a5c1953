"""What of a passage that was begun can be gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from longtake.audio import write_stretch
from longtake.core.errors import LeaseLostError
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Claim, Stretch
from longtake.jobs.store import JobStore
from longtake.worker.mend import intact, mend
from tests.support.jobs import planned, spec


class Ward:
    """A job whose first passage is whole, whose second has three stretches, whose third has none."""

    def __init__(self, root: Path) -> None:
        self.folder = DataFolder(root, floor_bytes=0)
        self.db = Database(self.folder.database)
        self.store = JobStore(self.db)
        self.desk = WorkerDesk(self.db, "w1", "espeak", 1)
        self.job, _ = self.store.submit(spec(), "x", planned(3))
        claim = self.take()
        self.folder.passages(self.job.id).mkdir(parents=True)
        self.desk.commit(claim, [self.stretch(0, 0, is_last=True), *(self.stretch(1, number) for number in range(3))])
        self.desk.release(claim)
        self.claim = self.take()

    def take(self) -> Claim:
        claim = self.desk.claim()
        assert claim is not None
        return claim

    def path(self, index: int, number: int) -> Path:
        return self.folder.stretch(self.job.id, index, number, token=1)

    def stretch(self, index: int, number: int, *, is_last: bool = False) -> Stretch:
        file = write_stretch(self.path(index, number), [np.full(2400, number, np.int16)], b"trace")
        return Stretch(index, file.path.name, file.sha256, file.samples, (), number, is_last, trace_bytes=5)

    def mend(self, *, keeps_traces: bool) -> dict[int, int]:
        """Passage → stretches, as the claim then says; the store must say the same."""
        claim = mend(self.claim, self.desk, self.folder, keeps_traces=keeps_traces)
        stored = {p.index: s for p, s in self.store.passages(self.job.id) if s is not None}
        assert stored == claim.spoken
        return {index: len(passage.stretches) for index, passage in claim.spoken.items()}


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    ward = Ward(tmp_path)
    yield ward
    ward.db.close()


def test_what_is_intact_is_gone_on_with(ward: Ward) -> None:
    before = ward.store.job(ward.job.id)
    assert ward.mend(keeps_traces=True) == {0: 1, 1: 3}
    assert ward.store.job(ward.job.id) == before


def test_an_engine_that_cannot_go_on_in_the_middle_begins_the_passage_anew(ward: Ward) -> None:
    assert ward.mend(keeps_traces=False) == {0: 1}
    assert ward.store.job(ward.job.id).audio_samples == 2400


@pytest.mark.parametrize(("number", "left"), [(0, {0: 1}), (1, {0: 1, 1: 1}), (2, {0: 1, 1: 2})])
@pytest.mark.parametrize("how", ["missing", "sound", "trace"])
def test_behind_the_first_damage_nothing_is_kept(ward: Ward, number: int, left: dict[int, int], how: str) -> None:
    path = ward.path(1, number)
    data = path.read_bytes()
    match how:
        case "missing":
            path.unlink()
        case "sound":
            path.write_bytes(b"\7" + data[1:])
        case "trace":
            path.write_bytes(data[:-1] + b"?")
    assert ward.mend(keeps_traces=True) == left


def test_whole_passages_are_not_read_before_their_turn(ward: Ward) -> None:
    ward.path(0, 0).unlink()
    assert ward.mend(keeps_traces=True) == {0: 1, 1: 3}
    assert intact(ward.claim.spoken[0], ward.claim, ward.folder) == ()


def test_a_claim_that_is_void_mends_nothing(ward: Ward) -> None:
    ward.store.release_worker("w1", crashed=None)
    with pytest.raises(LeaseLostError):
        ward.mend(keeps_traces=False)
    assert ward.store.passages(ward.job.id)[1][1] is not None

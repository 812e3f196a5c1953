from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from longtake.intake import Intake
from longtake.jobs.database import Database
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import QueueLimits
from longtake.jobs.store import JobStore
from longtake.script import Limits
from longtake.voices import VoiceStore


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data", floor_bytes=0)


@pytest.fixture
def db(folder: DataFolder) -> Iterator[Database]:
    database = Database(folder.database)
    yield database
    database.close()


@pytest.fixture
def store(db: Database) -> JobStore:
    return JobStore(db, limits=QueueLimits(max_jobs=3, max_audio_s=3600.0))


@pytest.fixture
def voices(folder: DataFolder) -> VoiceStore:
    return VoiceStore(folder.voices)


@pytest.fixture
def intake(store: JobStore, folder: DataFolder, voices: VoiceStore) -> Intake:
    return Intake(store, folder, voices, ["espeak"], Limits(max_characters=1000, max_minutes=2.0))

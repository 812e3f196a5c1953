from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.unit.server.house import House, ScriptedWorker, serving

BASE = "http://127.0.0.1"


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def make(**options: Any) -> House:
        made.append(House(tmp_path / f"data-{len(made)}", **options))
        return made[-1]

    yield make
    for house in made:
        house.db.close()


@pytest.fixture
def house(make_house: Callable[..., House]) -> House:
    return make_house()


@pytest.fixture
def worker(house: House) -> ScriptedWorker:
    return house.worker()


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    """Speaks to the application directly; bodies arrive whole."""
    with TestClient(house.app, base_url=BASE, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def url(house: House) -> Iterator[str]:
    """Where the application listens on a real socket."""
    with serving(house.build()) as base:
        yield base

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from longtake.studio import build_studio
from longtake.studio.client import Api
from longtake.studio.files import OPEN


@pytest.fixture(scope="session")
def blocks() -> Any:
    """The page, built inside a loop: without one Gradio opens a loop of its own and leaves it open."""

    async def build() -> Any:
        return build_studio(Api("http://127.0.0.1:1", None), OPEN, 4_000_000)

    return asyncio.run(build())

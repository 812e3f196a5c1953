"""A folder in memory, where there is one: for tests that commit thousands of times and do not look at durability."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SHARED = Path("/dev/shm")


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """Gone with all that lies in it when the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="longtake-", dir=_SHARED if _SHARED.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)

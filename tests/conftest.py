"""What concerns all tests."""

from __future__ import annotations

import gc
import os

# Processes that tests start find their modules compiled, as on a user's machine.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_finish() -> None:
    """Modules and five thousand tests stay to the end: the collector, which many tests call, passes over them."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Otherwise they outlive the interpreter, and libraries complain of leaks below pytest's last line."""
    gc.unfreeze()

"""The log of a parent process, put where its data folder is."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from longtake.config import Settings
from longtake.jobs.folder import DataFolder
from longtake.logs.clean import secrets_in


@contextmanager
def logging_as(name: str, settings: Settings, *, console: IO[str] | None = None) -> Iterator[None]:
    """Log into the data folder while the block runs, as ``name``.

    Raises:
        InputError: The data folder cannot be used.
    """
    from longtake.logs.setup import (
        logging_to,
    )  # here: most commands do not log, and structlog takes a tenth of a second

    folder = DataFolder(settings.data, floor_bytes=settings.disk_floor_mib << 20)
    secrets = secrets_in(settings.model_dump())
    with logging_to(
        folder.logs / f"{name}.log", settings.logs, job_log=folder.job_log, console=console, secrets=secrets
    ):
        yield


@contextmanager
def stacks_kept(name: str, folder: DataFolder) -> Iterator[None]:
    """Should this process crash inside a C library, its stacks are left in a file for whoever comes next."""
    with (folder.logs / f"{name}.err").open("wb") as file:
        faulthandler.enable(file)
        try:
            yield
        finally:
            faulthandler.disable()

"""Where the server of a data folder listens: a small file beside it, for the command line. Knows no HTTP.

The file alone proves nothing, since a server that was killed leaves it. The folder's lock does: it dies with its
process, and its file names that process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from longtake.core.errors import ConflictError
from longtake.jobs.folder import DataFolder

_NAME = "server.json"


@contextmanager
def announced(folder: DataFolder, url: str) -> Iterator[None]:
    """The file lies there while the block runs; where it cannot be written, the command line finds no server."""
    path = folder.run / _NAME
    with suppress(OSError):
        folder.run.mkdir(mode=0o700, exist_ok=True)
        path.write_text(json.dumps({"pid": os.getpid(), "url": url}), encoding="utf-8")
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def server_of(folder: DataFolder) -> str:
    """The address of the server that runs on this folder.

    Raises:
        ConflictError: None does.
    """
    try:
        told = json.loads((folder.run / _NAME).read_bytes())
        pid, url = int(told["pid"]), str(told["url"])
    except (OSError, ValueError, KeyError, TypeError):
        pid, url = 0, ""
    if pid == 0 or pid != folder.host_pid() or not folder.is_hosted():
        raise ConflictError(
            f"No server runs on {folder.root}. Start one with `longtake serve --data {folder.root}`, or name with "
            "--data the folder of the one that runs.",
            code="no_server",
            param="data",
        )
    return url

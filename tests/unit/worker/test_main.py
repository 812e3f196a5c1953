"""The child's entrance, as a process: what it says when it cannot begin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from longtake.config import load_settings
from longtake.jobs.folder import DataFolder
from longtake.worker.main import EXIT_ENGINE_FAILED
from longtake.worker.orders import Assignment


def test_a_store_that_cannot_be_read_is_told_in_a_line(tmp_path: Path) -> None:
    """The supervisor shows the last line: a trace would end in the line of some library."""
    DataFolder(tmp_path, floor_bytes=0).database.write_bytes(b"no database" * 1000)
    assignment = Assignment("w1", "espeak", load_settings(data=tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "longtake.worker.main"],
        input=assignment.to_line(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == EXIT_ENGINE_FAILED
    assert "doctor --repair" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr

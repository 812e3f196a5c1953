"""The child's entrance, as a process: what it says when it cannot begin."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.skipif(sys.platform != "linux", reason="the policy is Linux' own")
@pytest.mark.parametrize(("niceness", "policy"), [(0, "SCHED_OTHER"), (5, "SCHED_BATCH")])
def test_a_worker_gives_way(niceness: int, policy: str) -> None:
    """With all the threads it will start."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, threading\n"
            "from longtake.worker.main import _step_back\n"
            f"_step_back({niceness})\n"
            f"tell = lambda: print(os.nice(0), os.sched_getscheduler(0) == os.{policy})\n"
            "thread = threading.Thread(target=tell); thread.start(); thread.join(); tell()",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout == f"{os.nice(0) + niceness} True\n" * 2

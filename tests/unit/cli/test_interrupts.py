"""Ctrl-C and SIGTERM, whenever they come. In processes of their own: a signal is theirs alone."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

# Sends itself the signals in the moment when the module is about to be imported.
AT_IMPORT = """
import os, signal, sys
class Now:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Now())
sys.argv = ["longtake", *{arguments!r}]
from longtake.cli.main import main
main()
"""
# Three times, as from an impatient user, while the host is being closed.
WHILE_CLOSING = """
import os, signal, sys
from longtake.wiring import Host
close = Host.close
def impatient(host):
    os.kill(os.getpid(), signal.SIGINT)
    print("it went on", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGINT)
    close(host)
Host.close = impatient
Host.start_workers = lambda host, only_job=None: os.kill(os.getpid(), signal.SIGINT)
sys.argv = ["longtake", "say", "script.txt", "-o", "a.mp3"]
from longtake.cli.main import main
main()
"""


def run(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    (cwd / "script.txt").write_text("Good evening.")
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "module",
    ["click", "longtake.cli.say", "numpy", "longtake.wiring.host", "longtake.engines.espeak.about", "uvicorn"],
)
def test_at_any_moment_it_is_one_line_and_130(home: Path, module: str, number: int) -> None:
    command = ["serve", "--port", "0"] if module == "uvicorn" else ["say", "script.txt", "-o", "a.mp3"]
    done = run(AT_IMPORT.format(module=module, number=int(number), arguments=command), home)
    assert (done.returncode, done.stderr.strip(), done.stdout) == (130, "Interrupted.", "")
    assert sorted(path.name for path in home.iterdir()) == ["script.txt"]


def test_a_second_one_does_not_wait_and_the_first_has_told_all(home: Path) -> None:
    done = run(WHILE_CLOSING, home)
    assert done.returncode == 130
    told = done.stderr.strip().splitlines()
    assert told[-1].startswith("Interrupted; nothing is lost. Go on with: longtake resume job_")
    assert "it went on" not in told
    assert "Traceback" not in done.stderr

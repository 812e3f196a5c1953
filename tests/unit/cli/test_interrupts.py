"""Ctrl-C and SIGTERM, whenever they come. In processes of their own: a signal is theirs alone."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

# Sends itself the signal in the moment when the module is about to be imported; `is_deep` where an exception would be
# lost, as it is in the depths of an import.
AT_IMPORT = """
import os, signal, sys
class Depths:
    def __del__(self):
        os.kill(os.getpid(), {number})
class Now:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            Depths() if {is_deep} else os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Now())
sys.argv = ["longtake", *{arguments!r}]
from longtake.cli.main import main
main()
"""
# More than once, as from an impatient user: first in `place`, then while the host is being closed.
IMPATIENT = """
import os, signal, sys
from longtake.cli import say
from longtake.wiring import Host
def interrupt(*_, **__):
    os.kill(os.getpid(), signal.SIGINT)
def close(host):
    try:
        interrupt()
    except KeyboardInterrupt:
        pass
    print("it went on", file=sys.stderr)
Host.close = close
setattr({place}, interrupt)
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
    ["click", "longtake.cli.say", "numpy", "longtake.wiring.host", "uvicorn", "longtake.engines.espeak.about"],
)
def test_at_any_moment_it_is_one_line_and_130(home: Path, module: str, number: int) -> None:
    command = ["serve", "--port", "0"] if module == "uvicorn" else ["say", "script.txt", "-o", "a.mp3"]
    is_deep = "espeak" not in module  # which is imported when a host is open
    done = run(AT_IMPORT.format(module=module, number=int(number), is_deep=is_deep, arguments=command), home)
    assert (done.returncode, done.stderr.strip(), done.stdout) == (130, "Interrupted.", "")
    assert sorted(path.name for path in home.iterdir()) == ["script.txt"]


@pytest.mark.parametrize("place", ["Host, 'start_workers'", "say, 'follow'"], ids=["starting", "following"])
def test_a_second_one_does_not_wait_and_the_first_has_told_all(home: Path, place: str) -> None:
    done = run(IMPATIENT.format(place=place), home)
    assert done.returncode == 130
    told = done.stderr.strip().splitlines()
    assert told[-1].startswith("Interrupted; nothing is lost. Go on with: longtake resume job_")
    assert "it went on" not in told
    assert "Traceback" not in done.stderr


def test_a_second_one_does_not_wait_for_other_commands_either(home: Path) -> None:
    done = run(IMPATIENT.format(place="say, 'decode_script'"), home)
    assert (done.returncode, done.stderr.strip()) == (130, "Interrupted.")

"""Fail-points: armed by the environment alone, each at a place that the code really comes to."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from longtake.core import failpoints
from longtake.core.errors import InputError
from longtake.core.failpoints import POINTS, Action, FailPointError, reach, read_arming

SOURCE = Path(failpoints.__file__).parents[1]


def arm(monkeypatch: pytest.MonkeyPatch, text: str, fired: Path | None = None) -> None:
    environment = {"LONGTAKE_FAILPOINT": text}
    if fired is not None:
        environment["LONGTAKE_FAILPOINT_FIRED"] = str(fired)
    monkeypatch.setattr(failpoints, "_armed", read_arming(environment))


def test_unarmed_ones_do_nothing() -> None:
    assert read_arming({}) is None
    for point in POINTS:
        reach(point)


@pytest.mark.parametrize(("action", "number"), [(Action.ENOSPC, errno.ENOSPC), (Action.EIO, errno.EIO)])
def test_a_disk_can_fail(monkeypatch: pytest.MonkeyPatch, action: Action, number: int) -> None:
    arm(monkeypatch, f"row-written:{action}")
    reach("row-committed")  # another one
    with pytest.raises(OSError, match=os.strerror(number)) as failed:
        reach("row-written")
    assert failed.value.errno == number
    reach("row-written")  # once


def test_the_third_time(monkeypatch: pytest.MonkeyPatch) -> None:
    arm(monkeypatch, "row-written:raise:3")
    reach("row-written")
    reach("row-written")
    with pytest.raises(FailPointError, match="row-written"):
        reach("row-written")


def test_what_has_fired_in_one_process_fires_in_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arm(monkeypatch, "row-written:raise", tmp_path / "fired")
    with pytest.raises(FailPointError):
        reach("row-written")
    assert (tmp_path / "fired").exists()
    arm(monkeypatch, "row-written:raise", tmp_path / "fired")  # as the next process reads it
    reach("row-written")


def test_a_process_can_be_killed() -> None:
    killed = subprocess.run(
        [sys.executable, "-c", "from longtake.core.failpoints import reach; reach('copy-kept'); print('lives')"],
        env=os.environ | {"LONGTAKE_FAILPOINT": "copy-kept:kill"},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert killed.stdout == b""


@pytest.mark.parametrize(
    "text", ["row-written", "row-written:", "nowhere:kill", "row-written:explode", "row-written:kill:0", ":", "a:b:c:d"]
)
def test_nonsense_is_told(text: str) -> None:
    with pytest.raises(InputError, match="POINT:ACTION"):
        read_arming({"LONGTAKE_FAILPOINT": text})


def test_every_point_is_in_the_code_and_the_code_has_no_other() -> None:
    """Files and transactions name theirs by what they write: `commit_file(…, "audio")`, `write("row")`."""
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py") if path.name != "failpoints.py")
    found = set(re.findall(r'reach\("([a-z-]+)"\)', text))
    for what in re.findall(r'(?<!def )commit_file\([^)"]*"([a-z]+)"\)', text):
        found |= {f"{what}-{border}" for border in ("written", "durable", "named", "kept")}
    for what in re.findall(r'_db\.write\("([a-z]+)"\)', text):
        found |= {f"{what}-written", f"{what}-committed"}
    assert found == set(POINTS)

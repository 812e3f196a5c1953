"""A script spoken by the real command line in spite of everything, and a look through the data folder afterwards."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import time
import wave
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.served import LONGTAKE

MOST_TRIES = 6
PATIENCE_S = 90.0
# Where the process stands that nobody watches: the command line itself. A user ends one that hangs.
OWN_POINTS = ("submit", "take", "links", "cut", "copy", "delivered", "forget")
QUICK_JUDGEMENT = {
    "LONGTAKE_WORKER__STALL_S": "4",
    "LONGTAKE_WORKER__HEARTBEAT_S": "0.5",
    "LONGTAKE_WORKER__LEASE_S": "3",
    "LONGTAKE_DISK_FLOOR_MIB": "16",
    "LONGTAKE_WORKER__CACHE_MIB": "0",  # what is spoken again is really spoken
}


class Ordeal:
    """One script, one data folder, one file to be made."""

    def __init__(self, root: Path, script: Path, options: Sequence[str] = ()) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.data = root / "data"
        self.out = root / "out.wav"
        self._script = script
        self._options = [*options, "--data", str(self.data)]
        self.fired = root / "fired"
        self.tries = 0
        self.kept: dict[tuple[int, int], str] = {}  # stretches committed by the last interruption

    def speak(self, failpoint: str = "") -> None:
        """Say the script and go on until it is done, as its user would.

        Raises:
            AssertionError: It does not end.
        """
        environment = self._environment(failpoint)
        said = []
        while self.tries < MOST_TRIES:
            self.tries += 1
            if self._is_delivered():
                return  # killed behind its very last word
            if self._has_job():
                command = ["resume", *self._engine_options()]
            else:
                command = ["say", str(self._script), "-o", str(self.out), "--loudness", "off", *self._options]
            code, text = self._run([LONGTAKE, *command], environment, failpoint)
            said.append(f"{command[0]}: exit {code}\n{text}")
            if code == 0:
                return
            self.kept = self.stretches()
        raise AssertionError("\n".join(said))

    def speak_again(self, at: str, failpoint: str) -> None:
        """Cut the done job back and speak on, as often as it takes.

        Raises:
            AssertionError: It does not end.
        """
        environment = self._environment(failpoint)
        said = []
        self.kept = {}  # what lies behind the cut goes
        for _ in range(MOST_TRIES):
            (job,) = self._rows("SELECT id, state FROM jobs WHERE earlier_of IS NULL")
            is_cut = job["state"] != "done" and bool(self._rows("SELECT 1 FROM events WHERE kind = 'again'"))
            cut = [] if is_cut else ["--from", at, "--seed", "5"]
            command = ["resume", job["id"], *cut, *self._engine_options()]
            code, text = self._run([LONGTAKE, *command], environment, failpoint)
            self.kept = {}
            said.append(f"exit {code}\n{text}")
            if code == 0:
                return
        raise AssertionError("\n".join(said))

    def _environment(self, failpoint: str) -> dict[str, str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LONGTAKE_")} | QUICK_JUDGEMENT
        if failpoint:
            environment |= {"LONGTAKE_FAILPOINT": failpoint, "LONGTAKE_FAILPOINT_FIRED": str(self.fired)}
        return environment

    def _engine_options(self) -> list[str]:
        """What `resume` takes of the options: not what the job knows."""
        taken, options = [], iter(self._options)
        for option in options:
            if option in ("--data", "--model", "--device", "--dtype"):
                taken += [option, next(options)]
        return taken

    def _run(self, command: Sequence[str], environment: Mapping[str, str], failpoint: str) -> tuple[int, str]:
        hangs_here = failpoint.startswith(OWN_POINTS) and ":stall" in failpoint and not self.fired.exists()
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        deadline_s = time.monotonic() + PATIENCE_S
        is_fresh = bool(failpoint) and not self.fired.exists()
        while is_fresh and process.poll() is None and time.monotonic() < deadline_s:
            if self.fired.exists():
                # Whatever is committed now must be what the job is made of, whoever was killed.
                self.kept = self.stretches()
                is_fresh = False
                if hangs_here:
                    time.sleep(0.2)
                    process.send_signal(signal.SIGKILL)
            time.sleep(0.01)
        try:
            text, _ = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            text, _ = process.communicate()
            raise AssertionError(f"{command} did not end:\n{text}\n{self.logs()}") from None
        assert "Traceback" not in text or ":raise" in failpoint, text
        return process.returncode, text

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-4000:] for path in self.data.glob("logs/*"))

    def _has_job(self) -> bool:
        return self.database.exists() and bool(self._rows("SELECT 1 FROM jobs"))

    def _is_delivered(self) -> bool:
        return self._has_job() and bool(self._rows("SELECT 1 FROM jobs WHERE delivered_at IS NOT NULL"))

    @property
    def database(self) -> Path:
        return self.data / "jobs.db"

    def _rows(self, sql: str) -> list[sqlite3.Row]:
        with closing(sqlite3.connect(self.database, timeout=20)) as plain:
            plain.row_factory = sqlite3.Row
            return plain.execute(sql).fetchall()

    def stretches(self) -> dict[tuple[int, int], str]:
        """(passage, number) → file, of what is committed."""
        if not self._has_job():
            return {}
        return {(r["position"], r["number"]): r["file"] for r in self._rows("SELECT * FROM stretches")}

    def kept_samples(self) -> int:
        """How many samples at the beginning of the first passage were found committed at the interruption."""
        rows = self._rows("SELECT number, samples FROM stretches WHERE position = 0 ORDER BY number")
        return sum(row["samples"] for row in rows if (0, row["number"]) in self.kept)

    def samples(self) -> NDArray[np.int16]:
        with wave.open(str(self.out)) as file:
            return np.frombuffer(file.readframes(file.getnframes()), "<i2")

    def require_order(self) -> None:
        """One job, done and whole; no row without its file, no file without its row; nothing committed was redone."""
        (job,) = self._rows("SELECT * FROM jobs")
        assert (job["state"], job["passages_done"]) == ("done", job["passages_total"])
        assert job["lease_worker"] is None
        folder = self.data / "jobs" / job["id"]
        rows = self._rows("SELECT * FROM stretches ORDER BY position, number")
        for row in rows:
            digest = hashlib.sha256((folder / "passages" / row["file"]).read_bytes()).hexdigest()
            assert digest == row["sha256"], row["file"]
        assert {row["file"] for row in rows} == {path.name for path in (folder / "passages").iterdir()}
        files = {path.name for path in folder.iterdir() if path.is_file()}
        assert files - {"log.jsonl", "log.jsonl.1"} == {job["audio_file"]}
        assert [path.name for path in (self.data / "jobs").iterdir()] == [job["id"]]
        # The damaged aside, what an interruption found committed is what the job is made of.
        assert self.kept.items() <= self.stretches().items()
        numbers = [row["number"] for row in self._rows("SELECT number FROM events ORDER BY number")]
        assert numbers == list(range(1, len(numbers) + 1))
        assert not [path for path in self.root.iterdir() if ".tmp" in path.name or path.suffix == ".part"]

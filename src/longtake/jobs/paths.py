"""Where things lie in a data folder. Knows no content, makes nothing.

=========================  ==================================================================================
jobs.db                    the job store; with -wal and -shm while somebody uses it
jobs.db.schema-1.bak       the store before its schema became 2: `backups`
jobs.db.damaged-<time>     a store that was set aside: `repair`
host.lock                  held by the one process that runs workers on this folder
jobs/<id>/passages/        committed stretches of passages: 000012.0004-3.pcm is the fifth of passage 12, under token 3
jobs/<id>/part-3.mp3       the growing file of token 3
jobs/<id>/audio-3.mp3      the finished file
jobs/<id>/log.jsonl        what the log says of the job; an older half is log.jsonl.1
jobs/<id>/forgotten        empty: the job's rows are being deleted, and then its folder will be
cache/                     passages spoken before, for other jobs (room `cache`); deleted at any time without harm
voices/                    recordings that voices are taken from: alice.wav, and alice.json, which says whose it is
logs/                      what every process wrote: web.log, worker-espeak.log; older ones are web.log.1 …
run/                       what processes tell each other of now: figures, answers, the server's address; not durable
monitor.db                 curves of the last thirty days (room `monitor`); losing it loses nothing else
reports/                   health reports of the latest weeks (room `report`), if settings ask for them
power-limits.json          what graphics cards had before their power was limited, while it is
crashes/                   what is known of processes that died: the newest twenty
reserve                    room kept for the job store, given back when another program fills the disk
=========================  ==================================================================================
"""

from __future__ import annotations

import re
from pathlib import Path

_JOB_ID = re.compile(r"[\w-]{1,80}", re.ASCII)
FORGOTTEN = "forgotten"
JOB_LOG = "log.jsonl"


def recordings_below(root: Path) -> Path:
    """Where a data folder keeps recordings, for whoever only looks at them and must not make the folder."""
    return root.expanduser().absolute() / "voices"


def crashes_below(root: Path) -> Path:
    """Where a data folder keeps what is known of crashes, for the same."""
    return root.expanduser().absolute() / "crashes"


class Paths:
    """Every place in the data folder at `root`, whether or not anything is there."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()

    @property
    def database(self) -> Path:
        return self.root / "jobs.db"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def words(self, engine: str) -> Path:
        """What an engine's worker says on its standard error, beside its log."""
        return self.logs / f"worker-{engine}.err"

    @property
    def crashes(self) -> Path:
        """Made with the first crash."""
        return crashes_below(self.root)

    @property
    def run(self) -> Path:
        """May be missing; nothing depends on it."""
        return self.root / "run"

    @property
    def minutes(self) -> Path:
        """The monitor's roll-ups; may be missing."""
        return self.root / "monitor.db"

    @property
    def reports(self) -> Path:
        """Made with the first one."""
        return self.root / "reports"

    @property
    def power_limits(self) -> Path:
        """What cards had before; there only while their power is limited."""
        return self.root / "power-limits.json"

    @property
    def voices(self) -> Path:
        """Made with the first recording."""
        return recordings_below(self.root)

    @property
    def cache(self) -> Path:
        """Made with the first entry."""
        return self.root / "cache"

    def job(self, job_id: str) -> Path:
        return self.root / "jobs" / job_id

    def job_log(self, job_id: str) -> Path | None:
        """Where the log of a job lies; None when it has no folder, or is being deleted: a log makes none anew."""
        folder = self.job(job_id)
        is_there = _JOB_ID.fullmatch(job_id) and folder.is_dir() and not (folder / FORGOTTEN).exists()
        return folder / JOB_LOG if is_there else None

    def passages(self, job_id: str) -> Path:
        return self.job(job_id) / "passages"

    def stretch(self, job_id: str, index: int, number: int, token: int) -> Path:
        """The token in the name: a worker that was thought dead can only write under its own."""
        return self.passages(job_id) / f"{index:06d}.{number:04d}-{token}.pcm"

    def part(self, job_id: str, token: int, suffix: str) -> Path:
        """The growing file of one claim. The token keeps a frozen worker that wakes up out of its successor's file."""
        return self.job(job_id) / f"part-{token}{suffix}"

    def finished(self, job_id: str, token: int, suffix: str) -> Path:
        """Where the part of a claim goes when it is finished; the row names it afterwards."""
        return self.job(job_id) / f"audio-{token}{suffix}"

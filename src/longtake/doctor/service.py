"""longtake itself: its port, its job store, how it ended before, and whether its engines speak."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from pathlib import Path

from longtake.config import Settings
from longtake.core.errors import InputError, LongtakeError
from longtake.core.units import format_bytes, seconds_of
from longtake.doctor.finding import Check
from longtake.intake import JobRequest
from longtake.jobs.backups import backups
from longtake.jobs.folder import DataFolder
from longtake.jobs.paths import crashes_below
from longtake.jobs.repair import set_aside
from longtake.jobs.states import ENDED, State
from longtake.supervise.crashes import CrashFolder
from longtake.wiring import Host, open_host, repair_data

SPEAK_TIMEOUT_S = 60.0
_RECENT_S = 7 * 86_400.0


def port(settings: Settings) -> str:
    """
    Raises:
        InputError: Something else listens there.
    """
    host, number = settings.server.host, settings.server.port
    if number == 0:
        return "a free one is taken at the start"
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            folder = DataFolder(settings.data, floor_bytes=settings.disk_floor_mib << 20)
            if not folder.lock():
                return f"{host}:{number} is taken, as it must be while longtake (process {folder.host_pid()}) serves"
            folder.unlock()
            raise InputError(
                f"Cannot listen on {host}:{number}: {os.strerror(error.errno or 0)}.",
                code="cannot_listen",
                param="port",
            ) from error
    return f"{host}:{number} is free"


def crashes(settings: Settings) -> Check:
    """What died of late. It is no fault of now, so all is well; but whoever looks for a cause finds it here."""
    folder = CrashFolder(crashes_below(settings.data))
    recent = [crash for crash in folder.newest() if time.time() - crash.at < _RECENT_S]
    if not recent:
        return Check("crashes", True, "none in the last seven days")
    last = recent[0]
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(last.at))
    told = f"{len(recent)} in the last seven days; the last: {last.process} at {when}, {last.how}"
    told += f"; {last.memory}" if last.memory else ""
    return Check("crashes", True, told, f"{folder.root / last.id}.json has its stacks and its last lines.")


def repair(settings: Settings) -> str:
    done = repair_data(settings)
    if done.found is None:
        return "the job store is whole; nothing was done"
    told = [f"the job store was damaged ({done.found}); {done.jobs} jobs are saved"]
    if done.backup is not None:
        told.append(f"they are those of the backup {done.backup.name}, nothing else could be read")
    for ids, what in (
        (done.paused, "paused, because not all that was spoken of them is known; `longtake resume JOB` goes on"),
        (done.failed, "failed, because passages of them are lost; submit their scripts again"),
        (done.bare, "done with their audio, but subtitles and `longtake resume --from` are not to be had any more"),
        (done.lost, "lost but for the files in the jobs folder, which stay as they are"),
    ):
        if ids:
            told.append(f"{len(ids)} {what}: {', '.join(ids)}")
    if done.set_aside is not None:
        told.append(f"the damaged file is {done.set_aside}")
    return "\n      ".join(told)


def job_store(settings: Settings) -> str:
    with open_host(settings, workers=False) as host:
        host.db.check(is_thorough=True)
        path = host.folder.database
        told = [f"whole, {format_bytes(path.stat().st_size)}"]
        for what, files in (("backup", backups(path)), ("set aside", set_aside(path))):
            told += [f"{what}: {', '.join(file.name for file in files)}"] if files else []
        return "; ".join(told)


def speak(engine: str, settings: Settings) -> str:
    """A word through the real path, in a folder of its own so that a running server is not disturbed."""
    with tempfile.TemporaryDirectory(prefix="longtake-doctor-") as folder:
        settings = settings.model_copy(update={"data": Path(folder), "engines": (engine,)})
        with open_host(settings, workers=True) as host:
            start_s = time.monotonic()
            job, _ = host.intake.submit(JobRequest("One, two, three."))
            while (job := host.store.job(job.id)).state not in ENDED:
                if time.monotonic() - start_s > SPEAK_TIMEOUT_S:
                    raise LongtakeError(f"no word after {SPEAK_TIMEOUT_S:.0f} s; {_why(host)}")
                time.sleep(0.02)
            if job.state is not State.DONE:
                raise LongtakeError((job.error or {}).get("message", f"the job is {job.state}"))
            return f"{seconds_of(job.audio_samples):.1f} s of audio in {time.monotonic() - start_s:.1f} s"


def _why(host: Host) -> str:
    return "; ".join(f"{status.engine} is {status.state}: {status.reason}" for status in host.statuses())

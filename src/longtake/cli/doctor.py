"""``doctor``: can this machine speak? Found out by looking and by speaking."""

from __future__ import annotations

import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import click

from longtake.cache import PassageCache
from longtake.cli.exits import EXIT_DONE, EXIT_ENGINE_FAILED
from longtake.cli.options import data_option, json_option
from longtake.config import Settings, load_settings
from longtake.core.errors import LongtakeError
from longtake.core.units import format_bytes, seconds_of
from longtake.intake import JobRequest
from longtake.jobs.backups import backups
from longtake.jobs.folder import DataFolder
from longtake.jobs.repair import set_aside
from longtake.jobs.states import ENDED, State
from longtake.wiring import Host, open_host, repair_data

SPEAK_TIMEOUT_S = 60.0
ROOMY_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; `remedy` is empty when it is well."""

    name: str
    is_ok: bool
    found: str
    remedy: str = ""


@click.command()
@click.option("--repair", is_flag=True, help="First mend a damaged job store; the damaged file is set aside.")
@data_option
@json_option
def doctor(repair: bool, data: Path | None, as_json: bool) -> None:
    """Check that this machine can speak, by speaking. Exit code 4 when something is wrong."""
    settings = load_settings(data=data)
    checks = []
    for check in _checks(settings, repair=repair):
        checks.append(check)
        if not as_json:
            click.secho("ok    " if check.is_ok else "WRONG ", fg="green" if check.is_ok else "red", nl=False)
            click.echo(f"{check.name:<14} {check.found}" + (f"\n      → {check.remedy}" if check.remedy else ""))
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], ensure_ascii=False, indent=2))
    sys.exit(EXIT_DONE if all(check.is_ok for check in checks) else EXIT_ENGINE_FAILED)


def _checks(settings: Settings, *, repair: bool) -> Iterator[Check]:
    yield Check("python", sys.version_info >= (3, 11), f"{platform.python_version()} on {platform.platform()}")
    yield _tried("ffmpeg", _ffmpeg, "Install longtake again: its audio library does not load.")
    if repair:
        yield _tried("repair", partial(_repair, settings), "See the message; nothing was changed.")
    yield _tried("data folder", partial(_data_folder, settings), "Name another folder with --data.")
    yield _tried("job store", partial(_job_store, settings), "Keep the file as it is until it is mended.")
    for engine in settings.engines:
        yield _tried(f"speak {engine}", partial(_speak, engine), "See the message; try again after mending it.")


def _tried(name: str, look: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, look())
    except LongtakeError as error:
        return Check(name, False, error.message, remedy)
    except (ImportError, OSError) as error:
        return Check(name, False, str(error), remedy)


def _ffmpeg() -> str:
    import av  # here: a broken library is what this check is for

    return ", ".join(
        f"{name} {'.'.join(map(str, version))}" for name, version in sorted(av.library_versions.items())[:3]
    )


def _repair(settings: Settings) -> str:
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


def _data_folder(settings: Settings) -> str:
    folder = DataFolder(settings.data, floor_bytes=settings.disk_floor_mib << 20)
    free = folder.free_bytes()
    # A job gets the cache's room, too; but a check makes no use of it.
    folder.require_room(max(0, ROOMY_BYTES - PassageCache(folder.cache).usage().used_bytes), "A long job")
    return f"{folder.root}, {format_bytes(free)} free"


def _job_store(settings: Settings) -> str:
    with open_host(settings, workers=False) as host:
        host.db.check(is_thorough=True)
        path = host.folder.database
        told = [f"whole, {format_bytes(path.stat().st_size)}"]
        for what, files in (("backup", backups(path)), ("set aside", set_aside(path))):
            told += [f"{what}: {', '.join(file.name for file in files)}"] if files else []
        return "; ".join(told)


def _speak(engine: str) -> str:
    """A word through the real path, in a folder of its own so that a running server is not disturbed."""
    with tempfile.TemporaryDirectory(prefix="longtake-doctor-") as folder:
        settings = load_settings(data=Path(folder), engines=(engine,))
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

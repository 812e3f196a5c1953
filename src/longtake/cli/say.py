"""``say`` and ``resume``: the same job path as the server's, hosted by this process for one job."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from longtake.cli import interrupts
from longtake.cli.again import read_again, told_again
from longtake.cli.casting import voices_from_files
from longtake.cli.exits import EXIT_DOES_NOT_FIT, EXIT_INTERRUPTED, exit_code_of_failed_job
from longtake.cli.follow import follow, show_for
from longtake.cli.options import (
    data_option,
    engine_options,
    existing_data_option,
    given,
    json_option,
    limit_options,
    model_options,
    parse_voices,
    read_script,
    script_options,
)
from longtake.cli.target import (
    default_target,
    deliver,
    format_of,
    is_standard_output,
    require_same_format,
    require_writable,
    target_of,
)
from longtake.config import EngineSettings, Settings, load_settings
from longtake.core.errors import EngineError, InputError, LongtakeError
from longtake.core.units import format_duration, seconds_of
from longtake.delivery import Again, audio_path, is_bare, speak_again
from longtake.intake import JobRequest
from longtake.jobs.records import Job
from longtake.jobs.states import ENDED, State
from longtake.script import check_size, decode_script
from longtake.supervise import WorkerState
from longtake.supervise.supervisor import RESTART
from longtake.wiring import Host, logging_as, open_host

MAX_SEED = 2**63 - 1  # as over HTTP
NO_WORKER_S = 30.0  # longer than a worker of another process is away between two starts


@click.command()
@click.argument("script", metavar="SCRIPT")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The audio file.  [default: SCRIPT.mp3, here]")
@script_options
@click.option("--format", "audio_format", metavar="F", help="wav, mp3, opus, aac, flac, pcm.  [default: from OUT]")
@click.option(
    "--loudness", default="podcast", show_default=True, metavar="L", help="off, podcast (−16 LUFS), audiobook (−19)."
)
@click.option("--subtitles", type=click.Choice(["srt", "vtt"]), multiple=True, help="Write them beside the audio, too.")
@click.option("--seed", type=click.IntRange(0, MAX_SEED), default=0, show_default=True)
@click.option("--turn-silence", type=float, default=0.45, show_default=True, help="Between turns, in seconds.")
@click.option("--sentence-silence", type=float, default=0.15, show_default=True, help="Between sentences, in seconds.")
@model_options
@engine_options
@limit_options
@data_option
@json_option
def say(
    script: str,
    out: Path | None,
    engine: str | None,
    voices: tuple[str, ...],
    speed: float,
    audio_format: str | None,
    loudness: str,
    subtitles: tuple[str, ...],
    seed: int,
    turn_silence: float,
    sentence_silence: float,
    speaking: dict[str, Any],
    engine_settings: dict[str, Any],
    limits: dict[str, Any],
    data: Path | None,
    as_json: bool,
) -> None:
    """Speak SCRIPT (a file, or - for standard input) into an audio file.

    Ctrl-C leaves a job that `longtake resume` finishes; what was spoken is never spoken again.
    """
    settings = load_settings(
        data=data,
        engines=(engine,) if engine else None,
        engine=engine_settings,
        limits=limits,
    )
    out = out or default_target(script, audio_format)
    require_writable(out, subtitles)
    with _opened(settings) as host:
        raw = read_script(script)
        check_size(raw, host.intake.limits)
        request = JobRequest(
            script=decode_script(raw),
            voices=voices_from_files(parse_voices(voices), host.intake, is_kept=True),
            response_format=str(format_of(out, audio_format)),
            loudness=loudness,
            speed=speed,
            seed=seed,
            settings=given(speaking),
            turn_silence_s=turn_silence,
            sentence_silence_s=sentence_silence,
        )
        with interrupts.noted():  # from here on there is a job to name
            job, _ = host.intake.submit(request, out_path=str(out.absolute()), out_subtitles=subtitles)
            interrupts.will_tell(_interrupted(job, settings))
        _speak(host, job, Path(str(job.out_path)), subtitles, as_json=as_json)


@click.command()
@click.argument("job_id", metavar="JOB", required=False)
@click.option("--from", "again_from", metavar="TIME", help="Speak JOB again from the turn at TIME (12:30) on.")
@click.option("--seed", type=click.IntRange(0, MAX_SEED), help="With --from.  [default: a fresh one]")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The audio file.  [default: as first asked]")
@click.option("--subtitles", type=click.Choice(["srt", "vtt"]), multiple=True, help="Write them beside the audio, too.")
@engine_options
@existing_data_option
@json_option
def resume(
    job_id: str | None,
    again_from: str | None,
    seed: int | None,
    out: Path | None,
    subtitles: tuple[str, ...],
    engine_settings: dict[str, Any],
    data: Path | None,
    as_json: bool,
) -> None:
    """Go on with JOB where it stopped: paused, interrupted, failed, or done and not delivered.

    The newest unfinished one if none is named. It is looked for in one data folder: give the --data that say was given.

    With --from, whatever its state, JOB is cut back to the last turn that begins at or before TIME (as its subtitles
    show it) and spoken on from there: the answer to a bad take. What it was stays until that is done.
    """
    from_s = read_again(job_id, again_from, seed)
    settings = load_settings(
        data=data,
        engine=engine_settings,
    )
    with _opened(settings) as host:
        host.free_orphans()
        job = host.store.job(job_id) if job_id else _newest_unfinished(host)
        if job.state is State.CANCELLED:
            raise InputError(f"The job {job.id} was cancelled. Say its script again.", code="job_is_cancelled")
        target, wanted = out or target_of(job), subtitles or job.out_subtitles
        require_same_format(target, job)
        require_writable(target, wanted)
        interrupts.will_tell(_interrupted(job, settings))
        again = None
        if from_s is not None:
            again = speak_again(host.store, host.folder, job.id, from_s, seed=seed)
            job = again.job
            if not as_json:
                click.echo(told_again(again), err=True)
        elif job.state is not State.DONE:
            job = host.store.resume(job.id)
        elif audio_path(host.folder, job) is None:
            job = host.store.reopen(job.id)
        elif wanted and is_bare(host.store, job):
            click.echo(
                f"No {' and '.join(wanted)}: the passages of {job.id} are lost. Only its audio is put there.", err=True
            )
            wanted = ()
        _speak(host, job, target, wanted, as_json=as_json, again=again)


@contextmanager
def _opened(settings: Settings) -> Iterator[Host]:
    """A host to speak with. An interrupt is told before the host is closed, because that may take seconds."""
    with logging_as("say", settings), open_host(settings, workers=False) as host:
        try:
            host.check_store()  # a job is not put into a store that this process would then refuse to host
            yield host
        except KeyboardInterrupt:
            interrupts.tell()
            sys.exit(EXIT_INTERRUPTED)


def _speak(
    host: Host, job: Job, target: Path, subtitles: tuple[str, ...], *, as_json: bool, again: Again | None = None
) -> None:
    """Host the job until it ends, or watch another process do so; then deliver."""
    with interrupts.noted() as check:
        ended = follow(_look_at(host, job, check), show_for(quiet=as_json), lambda: _note(host))
    if ended.state is not State.DONE:
        _report_unfinished(ended, host.settings)
    deliver(host, ended, target, subtitles, remedy=_go_on(ended, host.settings, "-o", "FILE"))
    interrupts.will_tell()  # there is nothing to go on with any more
    with suppress(LongtakeError):  # the next host does it
        host.forget_earlier_versions()
    _report_done(ended, target, as_json=as_json, again=again)


def _look_at(host: Host, job: Job, check: Callable[[], None]) -> Callable[[], Job]:
    """How the job is now. Looking also takes care that somebody speaks it, and gives up when nobody can."""
    silent_since_s = math.inf

    def look() -> Job:
        nonlocal silent_since_s
        check()
        current = host.store.job(job.id)
        if current.state in ENDED:
            return current
        # The other host may have been the command line, with eyes for its own job alone: take over when it has gone.
        if not host.is_hosting and host.folder.lock():
            host.start_workers(only_job=job)
        if host.is_hosting:
            _require_unbroken(host, job)
        elif host.has_living_worker(job.spec.engine):
            silent_since_s = math.inf
        else:
            now_s = host.clock.monotonic_s()
            silent_since_s = min(silent_since_s, now_s)
            if now_s - silent_since_s >= NO_WORKER_S:
                raise _nobody_speaks(host, job)
        return current

    return look


def _require_unbroken(host: Host, job: Job) -> None:
    """
    Raises:
        EngineError: Our own worker cannot speak.
    """
    for status in host.statuses():
        if status.state is WorkerState.BROKEN:
            raise EngineError(
                f"{status.engine} cannot speak: {status.reason} The job is kept; when the cause is mended: "
                f"{_go_on(job, host.settings)}"
            )


def _nobody_speaks(host: Host, job: Job) -> EngineError:
    engine, pid = job.spec.engine, host.folder.host_pid() or "unknown"
    return EngineError(
        f"The longtake process {pid} uses this data folder, and for {NO_WORKER_S:.0f} s it has had no living worker "
        f"for {engine}. Restart that worker (a server does so on POST {RESTART}?engine={engine}), stop the process or "
        f"wait for its end. The job is kept; then go on with: {_go_on(job, host.settings)}",
        code="no_worker",
    )


def _note(host: Host) -> str:
    """What the job waits for."""
    if not host.is_hosting:
        return f"waiting for longtake process {host.folder.host_pid()}, which uses this data folder"
    status = host.statuses()[0]
    return f"{status.state}: {status.reason}" if status.reason else ""


def _report_done(job: Job, path: Path, *, as_json: bool, again: Again | None) -> None:
    seconds = seconds_of(job.audio_samples)
    told = f"{path}  ({format_duration(seconds)})"
    if as_json:
        fields = {"id": job.id, "state": str(job.state), "path": str(path), "seconds": round(seconds, 3)}
        if again is not None:
            fields["again"] = {"from_seconds": round(again.from_s, 3), "seed": again.seed}
        told = json.dumps(fields)
    if job.reason:
        click.echo(job.reason, err=True)
    click.echo(told, err=is_standard_output(path))


def _report_unfinished(job: Job, settings: Settings) -> NoReturn:
    go_on = _go_on(job, settings)
    if job.state is State.FAILED:
        message = (job.error or {}).get("message", "for an unknown reason")
        click.echo(f"The job failed: {message}\nWhat was spoken is kept. Try again with: {go_on}", err=True)
        sys.exit(exit_code_of_failed_job(job.error))
    if job.state is State.PAUSED and job.reason:
        click.echo(f"The job is paused: {job.reason}\nNothing is lost. Go on with: {go_on}", err=True)
        sys.exit(EXIT_DOES_NOT_FIT)
    click.echo(
        f"The job was {job.state} by someone else." + (f" Go on with: {go_on}" if job.state is State.PAUSED else ""),
        err=True,
    )
    sys.exit(EXIT_INTERRUPTED)


def _newest_unfinished(host: Host) -> Job:
    before = None
    while page := host.store.jobs(before=before, limit=100):
        for job in page:
            if job.earlier_of is not None:
                continue  # its job is meant
            if job.is_undelivered or job.state not in (State.DONE, State.CANCELLING, State.CANCELLED):
                return job
        before = page[-1].number
    raise InputError("There is no unfinished job.", code="nothing_to_resume", param="job")


def _interrupted(job: Job, settings: Settings) -> str:
    return f"Interrupted; nothing is lost. Go on with: {_go_on(job, settings)}"


def _go_on(job: Job, settings: Settings, *more: str) -> str:
    """The command that goes on with the job, in the same data folder and with the same engine."""
    words = ["longtake", "resume", job.id, *more]
    if settings.data != Settings.model_fields["data"].get_default(call_default_factory=True):
        words += ["--data", str(settings.data)]
    usual = EngineSettings().model_dump()
    for name, value in settings.engine.model_dump().items():
        if value != usual[name]:
            words += [f"--{name.replace('_', '-')}", value]
    return shlex.join(words)

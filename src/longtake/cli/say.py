"""``say`` and ``resume``: the same job path as the server's, hosted by this process for one job."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import click

from longtake.audio import AudioFormat, commit_file, parse_format
from longtake.cli.exits import EXIT_DOES_NOT_FIT, EXIT_INTERRUPTED, exit_code_of_failed_job
from longtake.cli.follow import follow, show_for
from longtake.cli.options import (
    data_option,
    engine_options,
    json_option,
    limit_options,
    parse_voices,
    read_script,
    script_options,
)
from longtake.config import Settings, load_settings
from longtake.core.errors import EngineError, InputError
from longtake.core.units import format_duration, seconds_of
from longtake.delivery import subtitles_of
from longtake.intake import JobRequest
from longtake.jobs.records import Job
from longtake.jobs.states import ENDED, State
from longtake.script import check_size, decode_script
from longtake.supervise import WorkerState
from longtake.wiring import Host


@click.command()
@click.argument("script", metavar="SCRIPT")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The audio file.  [default: SCRIPT.mp3, here]")
@script_options
@click.option("--format", "audio_format", metavar="F", help="wav, mp3, opus, aac, flac, pcm.  [default: from OUT]")
@click.option(
    "--loudness", default="podcast", show_default=True, metavar="L", help="off, podcast (−16 LUFS), audiobook (−19)."
)
@click.option("--subtitles", type=click.Choice(["srt", "vtt"]), multiple=True, help="Write them beside the audio, too.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--turn-silence", type=float, default=0.45, show_default=True, help="Between turns, in seconds.")
@click.option("--sentence-silence", type=float, default=0.15, show_default=True, help="Between sentences, in seconds.")
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
    model: str | None,
    device: str | None,
    dtype: str | None,
    memory_budget: str | None,
    max_characters: int | None,
    max_minutes: float | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Speak SCRIPT (a file, or - for standard input) into an audio file.

    Ctrl-C leaves a job that `longtake resume` finishes; what was spoken is never spoken again.
    """
    settings = load_settings(
        data=data,
        engines=(engine,) if engine else None,
        engine={"model": model, "device": device, "dtype": dtype, "memory_budget": memory_budget},
        limits={"max_characters": max_characters, "max_minutes": max_minutes},
    )
    out = out or _default_out(script, audio_format)
    _require_folder(out)
    host = Host(settings)
    try:
        raw = read_script(script)
        check_size(raw, host.intake.limits)
        request = JobRequest(
            script=decode_script(raw),
            voices=parse_voices(voices),
            response_format=str(_format_of(out, audio_format)),
            loudness=loudness,
            speed=speed,
            seed=seed,
            turn_silence_s=turn_silence,
            sentence_silence_s=sentence_silence,
        )
        job, _ = host.intake.submit(request, out_path=str(out.absolute()))
        _speak(host, job, as_json=as_json, subtitles=subtitles)
    finally:
        host.close()


@click.command()
@click.argument("job_id", metavar="JOB", required=False)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The audio file.  [default: as first asked]")
@click.option("--subtitles", type=click.Choice(["srt", "vtt"]), multiple=True, help="Write them beside the audio, too.")
@engine_options
@data_option
@json_option
def resume(
    job_id: str | None,
    out: Path | None,
    subtitles: tuple[str, ...],
    model: str | None,
    device: str | None,
    dtype: str | None,
    memory_budget: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Go on with JOB (the newest unfinished one if none is named) where it stopped: paused, interrupted or failed."""
    settings = load_settings(
        data=data, engine={"model": model, "device": device, "dtype": dtype, "memory_budget": memory_budget}
    )
    host = Host(settings)
    try:
        job = host.store.job(job_id) if job_id else _newest_unfinished(host)
        if job.state is State.CANCELLED:
            raise InputError(f"The job {job.id} was cancelled. Say its script again.", code="job_is_cancelled")
        if out is not None:
            _require_folder(out)
        if job.state is not State.DONE:
            _free_if_orphaned(host)
            job = host.store.resume(job.id)
        _speak(host, job, as_json=as_json, subtitles=subtitles, out=out)
    finally:
        host.close()


def _speak(host: Host, job: Job, *, as_json: bool, subtitles: Iterable[str], out: Path | None = None) -> None:
    """Host the job until it ends, or watch another process do so; then deliver."""
    signal.signal(signal.SIGTERM, _interrupt)

    def look() -> Job:
        # The other host may have been the command line, with eyes for its own job alone: take over when it has gone.
        current = host.store.job(job.id)
        if current.state not in ENDED and not host.is_hosting and host.folder.lock():
            host.start_workers(only_job=job)
        broken = [status for status in host.statuses() if status.state is WorkerState.BROKEN]
        if broken and current.state not in ENDED:
            raise EngineError(
                f"{broken[0].engine} cannot speak: {broken[0].reason} The job is kept; when the cause is mended: "
                f"longtake resume {job.id}{_data_hint(host.settings)}"
            )
        return current

    def note() -> str:
        if not host.is_hosting:
            return f"waiting for longtake process {host.folder.host_pid()}, which uses this data folder"
        status = host.statuses()[0]
        return f"{status.state}: {status.reason}" if status.reason else ""

    try:
        ended = follow(look, show_for(quiet=as_json), note)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, _leave_at_once)
        host.close()
        click.echo(
            f"\nInterrupted; nothing is lost. Go on with: longtake resume {job.id}{_data_hint(host.settings)}", err=True
        )
        sys.exit(EXIT_INTERRUPTED)
    if ended.state is not State.DONE:
        _report_unfinished(ended, host.settings)
    path = _deliver(host, ended, out, subtitles)
    _report_done(ended, path, as_json=as_json)


def _deliver(host: Host, job: Job, out: Path | None, subtitles: Iterable[str]) -> Path:
    """Copy the finished file to where it was asked for, whole or not at all."""
    assert job.audio_file is not None  # noqa: S101  (it is done)
    source = host.folder.job(job.id) / job.audio_file
    target = out or (Path(job.out_path) if job.out_path else Path(source.name))
    tmp = target.with_name(f".{target.name}.tmp")
    try:
        shutil.copyfile(source, tmp)
        commit_file(tmp, target)
        for kind in subtitles:
            target.with_suffix(f".{kind}").write_text("".join(subtitles_of(host.store, job, kind)), encoding="utf-8")
    except OSError as error:
        tmp.unlink(missing_ok=True)
        raise InputError(
            f"{target} cannot be written: {error.strerror}. The audio is safe; deliver it elsewhere with: "
            f"longtake resume {job.id} -o FILE",
            code="cannot_write",
            param="out",
        ) from error
    return target


def _report_done(job: Job, path: Path, *, as_json: bool) -> None:
    seconds = seconds_of(job.audio_samples)
    if as_json:
        click.echo(json.dumps({"id": job.id, "state": str(job.state), "path": str(path), "seconds": round(seconds, 3)}))
    else:
        click.echo(f"{path}  ({format_duration(seconds)})")


def _report_unfinished(job: Job, settings: Settings) -> NoReturn:
    go_on = f"longtake resume {job.id}{_data_hint(settings)}"
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
    for job in host.store.jobs(limit=1000):
        if job.state not in (State.DONE, State.CANCELLED):
            return job
    raise InputError("There is no unfinished job.", code="nothing_to_resume", param="job")


def _free_if_orphaned(host: Host) -> None:
    """A job that a killed process left running is nobody's: free it at once rather than when its lease runs out."""
    if host.folder.lock():
        host.store.release_all()


def _format_of(out: Path, asked: str | None) -> AudioFormat:
    if asked is not None:
        return parse_format(asked)
    by_suffix = {audio_format.suffix: audio_format for audio_format in AudioFormat} | {".ogg": AudioFormat.OPUS}
    found = by_suffix.get(out.suffix.lower())
    if found is None:
        raise InputError(
            f"The format cannot be told from {out.name!r}. End it in {', '.join(sorted(by_suffix))}, or give --format.",
            code="unknown_format",
            param="out",
        )
    return found


def _default_out(script: str, audio_format: str | None) -> Path:
    suffix = parse_format(audio_format).suffix if audio_format else ".mp3"
    return Path(("speech" if script == "-" else Path(script).stem) + suffix)


def _require_folder(out: Path) -> None:
    folder = out.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(
            f"{out} cannot be written: {folder} is no folder that you may write to.", code="cannot_write", param="out"
        )
    if out.is_dir():
        raise InputError(f"{out} is a folder. Name a file.", code="cannot_write", param="out")


def _data_hint(settings: Settings) -> str:
    is_default = settings.data == Settings.model_fields["data"].get_default(call_default_factory=True)
    return "" if is_default else f" --data {settings.data}"


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _leave_at_once(*_: object) -> NoReturn:
    os._exit(EXIT_INTERRUPTED)

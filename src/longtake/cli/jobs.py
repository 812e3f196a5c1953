"""``jobs``: look at the store and ask; whoever hosts the data folder carries it out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from longtake.cli.options import data_option, json_option
from longtake.config import load_settings
from longtake.core.units import format_bytes, format_duration, seconds_of
from longtake.delivery import audio_path
from longtake.jobs.records import Job
from longtake.wiring import open_host


@click.group(invoke_without_command=True)
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, the newest first."
)
@data_option
@json_option
@click.pass_context
def jobs(ctx: click.Context, limit: int, data: Path | None, as_json: bool) -> None:
    """List the jobs of the data folder; or show, pause, cancel, delete one."""
    ctx.obj = data
    if ctx.invoked_subcommand is not None:
        return
    with open_host(load_settings(data=data), workers=False) as host:
        found = host.store.jobs(limit=limit)
    if as_json:
        click.echo(json.dumps([_to_dict(job) for job in found], ensure_ascii=False, indent=2))
        return
    if not found:
        click.echo("No jobs yet. `longtake say SCRIPT` makes one.")
        return
    table = Table(box=None, header_style="bold")
    for column in ("job", "state", "spoken", "of", "size", "title"):
        table.add_column(column, no_wrap=column != "title")
    for job in found:
        table.add_row(
            job.id,
            str(job.state),
            format_duration(seconds_of(job.audio_samples)),
            format_duration(job.estimated_s),
            format_bytes(job.audio_bytes) if job.audio_bytes else "",
            job.spec.title,
        )
    Console().print(table)


@jobs.command()
@click.argument("job_id", metavar="JOB")
@json_option
@click.pass_obj
def show(data: Path | None, job_id: str, as_json: bool) -> None:
    """Everything about one job, with its events."""
    with open_host(load_settings(data=data), workers=False) as host:
        job = host.store.job(job_id)
        events = host.store.events(job_id)
        path = audio_path(host.folder, job)
    details = _to_dict(job) | {"audio": str(path) if path else None}
    if as_json:
        story = [{"number": e.number, "at": e.at, "kind": e.kind, "data": dict(e.data)} for e in events]
        click.echo(json.dumps(details | {"events": story}, ensure_ascii=False, indent=2))
        return
    for name, value in details.items():
        if value is not None:
            click.echo(f"{name:<16} {value}")
    for event in events:
        if event.kind == "state":
            reason = f": {event.data['reason']}" if event.data.get("reason") else ""
            click.echo(f"  {event.number:>5}  {event.data['from'] or 'new'} → {event.data['to']}{reason}")


def _asking(name: str, help_text: str) -> None:
    @jobs.command(name, help=help_text)
    @click.argument("job_id", metavar="JOB")
    @click.pass_obj
    def ask(data: Path | None, job_id: str) -> None:
        with open_host(load_settings(data=data), workers=False) as host:
            job = getattr(host.store, name)(job_id)
        click.echo(f"{job.id} is {job.state}")


_asking("pause", "Stop speaking it for now; what was spoken is kept.")
_asking("cancel", "Give it up for good.")


@jobs.command("delete")
@click.argument("job_id", metavar="JOB")
@click.pass_obj
def delete(data: Path | None, job_id: str) -> None:
    """Delete an ended job with its audio."""
    with open_host(load_settings(data=data), workers=False) as host:
        host.store.forget(job_id)
        host.folder.remove_job(job_id)
    click.echo(f"{job_id} is deleted")


def _to_dict(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": str(job.state),
        "reason": job.reason,
        "error": job.error and dict(job.error),
        "title": job.spec.title,
        "engine": job.spec.engine,
        "voices": dict(job.spec.voices),
        "passages_done": job.passages_done,
        "passages_total": job.passages_total,
        "audio_seconds": round(seconds_of(job.audio_samples), 3),
        "estimated_seconds": round(job.estimated_s, 3),
        "created_at": job.created_at,
        "ended_at": job.ended_at,
        "out": job.out_path,
    }

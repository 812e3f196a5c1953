"""``jobs``: look at the store and ask; whoever hosts the data folder carries it out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from longtake.cli.options import existing_data_option, json_option
from longtake.config import load_settings
from longtake.core.units import format_bytes, format_duration, seconds_of
from longtake.delivery import audio_path
from longtake.jobs.records import Job
from longtake.jobs.removal import remove_job
from longtake.wiring import Host, open_host


@dataclass(frozen=True, slots=True)
class _Asked:
    """What stood before the verb: `jobs --data D show JOB` and `jobs show JOB --data D` mean the same."""

    data: Path | None
    as_json: bool


@contextmanager
def _opened(asked: _Asked, data: Path | None, *, frees: bool = False) -> Iterator[Host]:
    """
    Args:
        frees: First free what a killed host left, so that a wish is carried out at once: there is nobody else to do it.
    """
    with open_host(load_settings(data=data or asked.data), workers=False) as host:
        if frees:
            host.free_orphans()
        yield host


@click.group(invoke_without_command=True)
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, the newest first."
)
@existing_data_option
@json_option
@click.pass_context
def jobs(ctx: click.Context, limit: int, data: Path | None, as_json: bool) -> None:
    """List the jobs of the data folder; or show, pause, cancel, delete one."""
    ctx.obj = asked = _Asked(data, as_json)
    if ctx.invoked_subcommand is not None:
        return
    with _opened(asked, None) as host:
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
            escape(job.spec.title),
        )
    Console().print(table)


@jobs.command()
@click.argument("job_id", metavar="JOB")
@existing_data_option
@json_option
@click.pass_obj
def show(asked: _Asked, job_id: str, data: Path | None, as_json: bool) -> None:
    """Everything about one job, with its events."""
    with _opened(asked, data) as host:
        job = host.store.job(job_id)
        events = host.store.events(job_id)
        path = audio_path(host.folder, job)
    details = _to_dict(job) | {"audio": str(path) if path else None}
    if as_json or asked.as_json:
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
    @existing_data_option
    @json_option
    @click.pass_obj
    def ask(asked: _Asked, job_id: str, data: Path | None, as_json: bool) -> None:
        with _opened(asked, data, frees=True) as host:
            job = getattr(host.store, name)(job_id)
        if as_json or asked.as_json:
            click.echo(json.dumps(_to_dict(job), ensure_ascii=False, indent=2))
        else:
            click.echo(f"{job.id} is {job.state}")


_asking("pause", "Stop speaking it for now; what was spoken is kept.")
_asking("cancel", "Give it up for good.")


@jobs.command("delete")
@click.argument("job_id", metavar="JOB")
@existing_data_option
@json_option
@click.pass_obj
def delete(asked: _Asked, job_id: str, data: Path | None, as_json: bool) -> None:
    """Delete an ended job with its audio."""
    with _opened(asked, data, frees=True) as host:
        remove_job(host.store, host.folder, job_id)
    if as_json or asked.as_json:
        click.echo(json.dumps({"id": job_id, "deleted": True}))
    else:
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
        "subtitles": list(job.out_subtitles),
        "delivered_at": job.delivered_at,
        "earlier_of": job.earlier_of,
    }

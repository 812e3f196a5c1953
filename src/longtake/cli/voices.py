"""``voices``: what scripts can be spoken with; recordings come and go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from longtake.cli.options import ENGINES, data_option, existing_data_option, json_option
from longtake.config import load_settings
from longtake.core.records import Voice
from longtake.engines.registry import about, engine_names
from longtake.intake.casting import voices_of
from longtake.jobs.paths import recordings_below
from longtake.script.language import primary
from longtake.voices import VoiceStore
from longtake.wiring import open_host


@click.group(invoke_without_command=True)
@click.option("--engine", metavar="E", help=f"Only this engine's: {ENGINES}.")
@click.option("--language", metavar="L", help="Only voices of this language, such as en, zh (or cmn), ja.")
@data_option
@json_option
@click.pass_context
def voices(ctx: click.Context, engine: str | None, language: str | None, data: Path | None, as_json: bool) -> None:
    """List the voices that scripts can use, the recommended ones first; or add and remove recordings.

    espeak voices take a variant: en-gb+f3 is en-gb spoken by the woman f3.
    """
    ctx.obj = data
    if ctx.invoked_subcommand is not None:
        return
    # Only looked at: nothing is made where no recording was added yet.
    recordings = VoiceStore(recordings_below(load_settings(data=data).data))
    found = [
        voice
        for name in ([engine] if engine else engine_names())
        for voice in voices_of(about(name), recordings)
        if language is None or _language(voice.language) == _language(language)
    ]
    if as_json:
        click.echo(json.dumps([_to_dict(voice) for voice in found], ensure_ascii=False, indent=2))
        return
    table = Table(box=None, header_style="bold")
    for column in ("id", "name", "language", "engine"):
        table.add_column(column)
    for voice in found:
        table.add_row(*_to_row(voice))
    Console().print(table)


@voices.command(short_help="Add a recording as a voice.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--name", metavar="N", help="Who it is; the id is made of it.  [default: the file's name]")
@click.option("--language", metavar="L", help="What is spoken in it: en, zh.  [default: as in en-Alice.wav]")
@data_option
@json_option
@click.pass_obj
def add(
    outer_data: Path | None, file: Path, name: str | None, language: str | None, data: Path | None, as_json: bool
) -> None:
    """Add the recording FILE as a voice: 10 to 30 s of clean speech by one person, in any usual sound format.

    Use it with: longtake say SCRIPT --voice 1=ID
    """
    with open_host(load_settings(data=data or outer_data), workers=False) as host:
        voice = host.intake.recordings.add(file, file_name=file.name, name=name, language=language)
    if as_json:
        row = {"id": voice.id, "name": voice.name, "language": voice.language, "recording_seconds": voice.seconds}
        click.echo(json.dumps(row, ensure_ascii=False))
    else:
        click.echo(f"{voice.id}  ({voice.name}, {voice.language}, {voice.seconds:.1f} s)")


@voices.command(short_help="Remove a recording.")
@click.argument("voice_id", metavar="ID")
@existing_data_option
@click.pass_obj
def remove(outer_data: Path | None, voice_id: str, data: Path | None) -> None:
    """Remove the recording ID, if no job that has not ended speaks with it."""
    with open_host(load_settings(data=data or outer_data), workers=False) as host:
        host.intake.recordings.remove(voice_id)
    click.echo(f"{voice_id} is removed")


def _language(tag: str) -> str:
    """Without its region; Mandarin has two names, and voices say ``zh``."""
    name = primary(tag)
    return "zh" if name == "cmn" else name


def _to_dict(voice: Voice) -> dict[str, Any]:
    row: dict[str, Any] = {"id": voice.id, "name": voice.name, "language": voice.language, "engine": voice.engine}
    return row if voice.recording_s is None else row | {"recording_seconds": round(voice.recording_s, 3)}


def _to_row(voice: Voice) -> Iterator[str]:
    yield from (voice.id, voice.name, voice.language)
    yield voice.engine if voice.recording_s is None else f"{voice.engine} (recording, {voice.recording_s:.1f} s)"

"""``voices``: what scripts can be spoken with."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from longtake.cli.options import json_option
from longtake.engines.registry import about, engine_names


@click.command()
@click.option("--engine", metavar="E", help="Only this engine's.")
@click.option("--language", metavar="L", help="Only voices of this language, such as en, cmn, ja.")
@json_option
def voices(engine: str | None, language: str | None, as_json: bool) -> None:
    """List the voices that scripts can use, the recommended ones first.

    espeak voices take a variant: en-gb+f3 is en-gb spoken by the woman f3.
    """
    found = [
        voice
        for name in ([engine] if engine else engine_names())
        for voice in about(name).voices()
        if language is None or voice.language.lower().split("-")[0] == language.lower().split("-")[0]
    ]
    if as_json:
        rows = [{"id": v.id, "name": v.name, "language": v.language, "engine": v.engine} for v in found]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    table = Table(box=None, header_style="bold")
    for column in ("id", "name", "language", "engine"):
        table.add_column(column)
    for voice in found:
        table.add_row(voice.id, voice.name, voice.language, voice.engine)
    Console().print(table)

"""``doctor``: can this machine speak? Found out by looking and by speaking."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from longtake.cli.exits import EXIT_DONE, EXIT_ENGINE_FAILED
from longtake.cli.options import data_option, json_option
from longtake.config import load_settings
from longtake.doctor import examine


@click.command()
@click.option("--repair", is_flag=True, help="First mend a damaged job store; the damaged file is set aside.")
@click.option("--deep", is_flag=True, help="Also read every byte of the weights, and compare checksums.")
@click.option("--engine", "engines", multiple=True, metavar="E", help="Engine to look at.  [default: espeak]")
@click.option("--model", metavar="M", help="Folder or hub id of the weights to look at.")
@click.option("--device", metavar="D", help="What it shall run on: auto, cpu, cuda.")
@data_option
@json_option
def doctor(
    repair: bool,
    deep: bool,
    engines: tuple[str, ...],
    model: str | None,
    device: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Check that this machine can speak, by speaking. Exit code 4 when something is wrong."""
    settings = load_settings(data=data, engines=engines, engine={"model": model, "device": device})
    checks = []
    for check in examine(settings, repair=repair, is_thorough=deep):
        checks.append(check)
        if not as_json:
            click.secho("ok    " if check.is_ok else "WRONG ", fg="green" if check.is_ok else "red", nl=False)
            click.echo(f"{check.name:<14} {check.found}" + (f"\n      → {check.remedy}" if check.remedy else ""))
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], ensure_ascii=False, indent=2))
    sys.exit(EXIT_DONE if all(check.is_ok for check in checks) else EXIT_ENGINE_FAILED)

"""``lint``: judges a script as a submit would, and keeps nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from longtake.cli.casting import voices_from_files
from longtake.cli.exits import EXIT_BAD_INPUT
from longtake.cli.options import (
    data_option,
    given,
    json_option,
    limit_options,
    model_options,
    parse_voices,
    read_script,
    script_options,
)
from longtake.config import load_settings
from longtake.core.units import format_duration
from longtake.intake import JobRequest, Judged
from longtake.script import check_size, decode_script
from longtake.wiring import open_intake

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


@click.command()
@click.argument("script", metavar="SCRIPT")
@script_options
@model_options
@limit_options
@data_option
@json_option
def lint(
    script: str,
    engine: str | None,
    voices: tuple[str, ...],
    speed: float,
    speaking: dict[str, Any],
    limits: dict[str, Any],
    data: Path | None,
    as_json: bool,
) -> None:
    """Check SCRIPT (a file, or - for standard input) and estimate its length, without speaking it.

    Exit code 0 when it can be spoken (warnings allowed), 2 when it cannot.
    """
    settings = load_settings(
        data=data,
        engines=(engine,) if engine else None,
        limits=limits,
    )
    with open_intake(settings) as intake:
        raw = read_script(script)
        check_size(raw, intake.limits)
        request = JobRequest(
            decode_script(raw),
            voices=voices_from_files(parse_voices(voices), intake, is_kept=False),
            speed=speed,
            settings=given(speaking),
        )
        judged = intake.judge(request)
    if as_json:
        click.echo(json.dumps(judged.to_dict(), ensure_ascii=False, indent=2))
    else:
        _print(script, judged)
    if not judged.report.is_ok:
        sys.exit(EXIT_BAD_INPUT)


def _print(name: str, judged: Judged) -> None:
    report = judged.report
    for finding in report.findings:
        place = f"{name}:{finding.line or 1}:{finding.column or 1}"
        click.secho(f"{place}: ", nl=False, bold=True)
        click.secho(f"{finding.severity}: ", nl=False, fg=_COLOURS[str(finding.severity)])
        click.echo(f"{finding.message} [{finding.code}]")
    for speaker in report.speakers:
        voice = judged.voices.get(speaker.number, "no voice")
        click.echo(f"Speaker {speaker.number}  {speaker.label:<16} {speaker.turns} turns  {voice}")
    click.echo(
        f"{report.characters:,} characters, {report.turns} turns, {len(judged.passages)} passages; "
        f"about {format_duration(judged.estimate.seconds)} of audio with {judged.engine.info.name}."
    )

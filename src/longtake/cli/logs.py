"""``logs``: what happened in a data folder, from its files; a server need not run."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from longtake.cli.options import data_option
from longtake.config import load_settings
from longtake.core.errors import InputError
from longtake.logs import Filter, Level, Source, process_sources, read_back, read_on
from longtake.logs.clean import escape

LOOK_S = 0.25
_LEVELS = [level.value for level in Level]
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_COLOURS = {"debug": "bright_black", "warning": "yellow", "error": "red", "critical": "red"}
_SHOWN = ("time", "level", "event", "process", "logger", "pid", "trace")


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with lines as they are written, until Ctrl-C.")
@click.option("--job", metavar="JOB", help="Lines about this job.")
@click.option("--level", type=click.Choice(_LEVELS), default=Level.DEBUG.value, help="This and what matters more.")
@click.option("--text", help="Lines with these letters anywhere, in capitals or not.")
@click.option("--since", metavar="AGO", help="Lines of the last 90s, 10m, 2h, 7d.")
@click.option("-n", "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Lines at most.")
@click.option("--json", "as_json", is_flag=True, help="Lines as they lie in the files.")
@data_option
def logs(
    follow: bool,
    job: str | None,
    level: str,
    text: str | None,
    since: str | None,
    limit: int,
    as_json: bool,
    data: Path | None,
) -> None:
    """Show the newest lines of all logs of the data folder."""
    folder = load_settings(data=data).data.expanduser().absolute() / "logs"
    wanted = Filter(Level(level), job, text, None if since is None else time.time() - _seconds(since))
    lines, position = _newest(process_sources(folder), wanted, limit)
    for raw in lines:
        _show(raw, as_json)
    while follow:
        time.sleep(LOOK_S)
        batch = read_on(process_sources(folder), position)
        position = batch.position
        if batch.has_gap:
            click.echo("… very much was written: some lines are left out …", err=True)
        for found in batch.lines:
            if wanted.admits(found.time, found.raw):
                _show(found.raw, as_json)


def _newest(sources: list[Source], wanted: Filter, limit: int) -> tuple[list[bytes], Any]:
    """The newest lines, the oldest first, and the position behind them; looks through as much as it takes."""
    page = read_back(sources, wanted, limit=limit)
    lines, newest = page.lines, page.newest
    while len(lines) < limit and page.older is not None:
        page = read_back(sources, wanted, limit=limit - len(lines), before=page.older)
        lines += page.lines
    return lines[::-1], newest


def _show(raw: bytes, as_json: bool) -> None:
    if as_json:
        click.echo(raw)
        return
    try:
        line = json.loads(raw)
    except ValueError:  # it only looked like a line
        return
    fields = " ".join(f"{name}={value}" for name, value in line.items() if name not in _SHOWN)
    level = str(line.get("level", ""))
    click.echo(f"{line.get('time', '')} ", nl=False)
    click.secho(f"{level:<8} ", fg=_COLOURS.get(level), nl=False)
    click.echo(escape(f"{line.get('process', '')}: {line.get('event', '')}  {fields}".rstrip()))
    for each in str(line.get("trace", "")).splitlines():
        click.echo(f"    │ {escape(each)}")
    sys.stdout.flush()


def _seconds(ago: str) -> float:
    """
    Raises:
        InputError: It is no span of time.
    """
    number, unit = ago.strip()[:-1], ago.strip()[-1:]
    if unit not in _UNITS_S or not number.isdecimal() or len(number) > 9:
        raise InputError(
            f"--since is {ago[:20]!a}; write a number and a unit, such as 90s, 10m, 2h or 7d.", param="since"
        )
    return int(number) * _UNITS_S[unit]

"""``report``: what was, in figures and advice. Reads the data folder, whether a server runs or not."""

from __future__ import annotations

from pathlib import Path

import click

from longtake.cli.options import existing_data_option, json_option
from longtake.config import load_settings
from longtake.core.errors import InputError
from longtake.report import LANGUAGES, gather, parse_since, render
from longtake.wiring import open_host
from longtake.wiring.report import report_sources


@click.command()
@click.option("--since", default="24h", show_default=True, metavar="WHEN", help="24h, 7d, or a date: 2026-11-20.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write it with pictures, in one file.")
@click.option("--lang", type=click.Choice(LANGUAGES), default="en", show_default=True)
@existing_data_option
@json_option
def report(since: str, html: Path | None, lang: str, data: Path | None, as_json: bool) -> None:
    """Load, speed, memory, heat, failures with their causes, the slowest jobs, and what to do: as Markdown."""
    settings = load_settings(data=data)
    with open_host(settings, workers=False) as host:
        until_s = host.clock.wall_s()
        since_s = parse_since(since, until_s)
        found = gather(report_sources(host.store, host.folder, settings), since_s, until_s)
    if html is not None:
        _write(html, render(found, "html", lang))
    if as_json or html is None:
        click.echo(render(found, "json" if as_json else "md", lang), nl=as_json)
    else:
        click.echo(f"The report is in {html}.")


def _write(path: Path, text: str) -> None:
    """
    Raises:
        InputError: It cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}. Name another file with --html.",
            code="cannot_write",
            param="html",
        ) from error

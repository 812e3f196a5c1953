"""``cache``: look at the passages that were spoken before, and forget them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from longtake.cli.options import existing_data_option, json_option
from longtake.config import load_settings
from longtake.core.units import format_bytes
from longtake.wiring import open_host


@click.group()
def cache() -> None:
    """Look at the passages that were spoken before, or forget them.

    They are kept so that a script that was edited need not be spoken anew. Deleting a job does not delete them.
    """


@cache.command()
@existing_data_option
@json_option
def show(data: Path | None, as_json: bool) -> None:
    """How much is kept, and how often it was of use."""
    settings = load_settings(data=data)
    with open_host(settings, workers=False) as host:
        usage, counts = host.cache.usage(), host.store.cache_counts()
        folder = host.cache.folder
    bound_bytes = settings.worker.cache_mib << 20
    if as_json:
        told = {
            "folder": str(folder),
            "entries": usage.entries,
            "used_bytes": usage.used_bytes,
            "bound_bytes": bound_bytes,
            "engines": {
                name: {"hits": hits, "misses": misses, "hit_ratio": _ratio(hits, misses)}
                for name, (hits, misses) in counts.items()
            },
        }
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    bound = format_bytes(bound_bytes) if bound_bytes else "nothing: worker.cache_mib is 0"
    click.echo(f"{folder}: {usage.entries:,} passages, {format_bytes(usage.used_bytes)} of at most {bound}")
    for name, (hits, misses) in counts.items():
        ratio = _ratio(hits, misses)
        if ratio is not None:
            click.echo(f"{name}: {hits:,} of {hits + misses:,} passages were found in it ({ratio:.0%})")


@cache.command()
@existing_data_option
@json_option
def clear(data: Path | None, as_json: bool) -> None:
    """Forget every passage; no job loses anything, and a running server need not be stopped."""
    with open_host(load_settings(data=data), workers=False) as host:
        gone = host.cache.clear()
    if as_json:
        click.echo(json.dumps({"entries": gone.entries, "freed_bytes": gone.used_bytes}))
    else:
        click.echo(f"{gone.entries:,} passages are forgotten, {format_bytes(gone.used_bytes)} are free")


def _ratio(hits: int, misses: int) -> float | None:
    return hits / (hits + misses) if hits + misses else None

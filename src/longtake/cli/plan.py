"""``plan``: what jobs of some length take in memory, part by part, and whether it fits. Loads nothing, no torch."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace

import click

from longtake.cli.exits import EXIT_DOES_NOT_FIT
from longtake.cli.options import DTYPES, json_option
from longtake.core.memory import free_host_bytes
from longtake.core.units import format_bytes, parse_size
from longtake.engines.vibevoice.network.quantization import KV_DTYPES, fitting, read_dtype
from longtake.engines.vibevoice.planning.footprint import float_parameters
from longtake.engines.vibevoice.planning.memory_plan import (
    MemoryPlan,
    Wish,
    max_jobs,
    max_minutes,
    plan_memory,
    remedies,
)
from longtake.engines.vibevoice.weights.dtypes import host_dtype
from longtake.engines.vibevoice.weights.hub import random_name
from longtake.engines.vibevoice.weights.shapes import config_of


@click.command()
@click.option(
    "--model",
    default="vibevoice-1.5b",
    show_default=True,
    metavar="M",
    help="vibevoice-1.5b, vibevoice-7b, random:NAME, or the folder of a checkpoint.",
)
@click.option("--minutes", type=click.FloatRange(0, 600, min_open=True), default=90.0, show_default=True, metavar="N")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Side by side.")
@click.option("--memory", metavar="SIZE", help="Of the device, such as 24GiB.  [default: what is free of the host's]")
@click.option("--dtype", metavar="T", default="auto", show_default=True, help=DTYPES)
@click.option("--kv-dtype", type=click.Choice(KV_DTYPES), default="auto", show_default=True, help="Of keys and values.")
@click.option(
    "--device",
    type=click.Choice(["cuda", "cpu"]),
    help="[default: cuda if --memory is given, else cpu]",
)
@click.option(
    "--context",
    type=click.Choice(["full", "window"]),
    help="All in view at once, or passage by passage.  [default: full as far as the window reaches]",
)
@json_option
def plan(
    model: str,
    minutes: float,
    jobs: int,
    memory: str | None,
    dtype: str,
    kv_dtype: str,
    device: str | None,
    context: str | None,
    as_json: bool,
) -> None:
    """Tell how much memory VibeVoice takes for jobs of some length, and whether it fits. Nothing is loaded.

    Exit code 0 when it fits, 3 when it does not; then it says what to change.
    """
    config = config_of(model)
    on_host = device == "cpu" or (device is None and memory is None)
    memory_bytes = parse_size(memory, "memory") if memory is not None else free_host_bytes()
    quantization, kind = read_dtype(dtype)
    config = replace(config, quantization=fitting(config.quantization, quantization, model))
    if kind == "auto":
        kind = host_dtype(float_parameters(config), memory_bytes) if on_host else "bf16"
    wish = Wish(
        config=config,
        minutes=minutes,
        jobs=jobs,
        memory_bytes=memory_bytes,
        on_host=on_host,
        dtype=kind,
        context=context,
        is_bytes=random_name(model) is not None,
        has_int8_kv=kv_dtype == "int8",
    )
    planned = plan_memory(wish)
    if as_json:
        click.echo(json.dumps({"model": model, "device": "cpu" if on_host else "cuda"} | planned.to_dict(), indent=2))
    else:
        for line in _lines(model, planned):
            click.echo(line)
    if not planned.fits:
        sys.exit(EXIT_DOES_NOT_FIT)


def _lines(model: str, planned: MemoryPlan) -> Iterator[str]:
    wish = planned.wish
    how = "all in view at once" if planned.context == "full" else "passage by passage"
    room = format_bytes(wish.memory_bytes)
    yield f"{model} in {wish.types}, {wish.jobs} × {wish.minutes:g} minutes, {how}, in {room}"
    yield ""
    for part, count in planned.resident.items():
        yield _row(part, count)
    yield _row("weights that stay", planned.weights_bytes, "=")
    each = f"{wish.jobs} × "
    yield _row(
        "keys and values, positive", wish.jobs * planned.positive_bytes, f"{each}{planned.rows.positive:,} places"
    )
    yield _row(
        "keys and values, negative", wish.jobs * planned.negative_bytes, f"{each}{planned.rows.negative:,} places"
    )
    yield _row("states of the coders", planned.state_bytes)
    yield _row("workspace", planned.workspace_bytes, "the largest of these, one at a time; libraries; graphs")
    yield _row("  reading a prompt", planned.prefill_bytes)
    yield _row("  making frames", planned.coding_bytes)
    yield _row("  encoding a new voice", planned.voice_bytes, "with the acoustic encoder, dropped otherwise")
    if planned.elsewhere_bytes:
        yield _row("embedding", planned.elsewhere_bytes, "in the host's memory, not counted here")
    yield _row("at the most", planned.peak_bytes, "=")
    yield ""
    yield _row("room for keys and values", planned.room_bytes, "what admission has to give away")
    yield f"Jobs of {wish.minutes:g} minutes that fit side by side: {max_jobs(wish)}"
    yield f"Longest that is in view at once, {wish.jobs} side by side: {max_minutes(wish):g} minutes"
    for reason in planned.reasons:
        yield f"It does not fit: {reason}."
    for remedy in remedies(planned):
        yield f"  → {remedy}"
    if planned.fits:
        yield "It fits."


def _row(name: str, count: int, remark: str = "") -> str:
    return f"{name:<28} {format_bytes(count):>10}  {remark}".rstrip()

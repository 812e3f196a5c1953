"""``quantize``: a VibeVoice checkpoint in 8 or 4 bits, written into a folder that ``--model`` takes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import click

from longtake.cli.options import json_option
from longtake.core.errors import InputError
from longtake.core.units import format_bytes


@click.command()
@click.argument("model")
@click.option("--dtype", required=True, metavar="T", help="int8, int4; with +head the diffusion head, too.")
@click.option("--lora", metavar="L", help="Folder or hub id of a LoRA adapter, which is merged before.")
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder that is made; --model takes it then."
)
@json_option
def quantize(model: str, dtype: str, lora: str | None, out: Path, as_json: bool) -> None:
    """Write the checkpoint MODEL, a folder or a hub id, with its large matrices in 8 or 4 bits.

    It then loads as it is, without the room that the whole one takes on disk, or in memory while it is loaded.
    """
    try:
        # By name: commands load no torch, this one alone has to.
        saved = importlib.import_module("longtake.engines.vibevoice.weights.save").save_quantized(
            model, out, dtype=dtype, adapter=lora
        )
    except ModuleNotFoundError as error:
        raise InputError(
            f"This needs {error.name}, which is not installed. Install it with: pip install 'longtake[vibevoice]'",
            code="not_installed",
        ) from error
    except OSError as error:
        raise InputError(
            f"{out} cannot be written: {error.strerror or error}. What is there of it is no checkpoint; remove it.",
            code="cannot_write",
            param="out",
        ) from error
    if as_json:
        told = {"folder": str(out), "dtype": str(saved.quantization), "files": saved.files}
        click.echo(json.dumps(told | {"bytes_before": saved.bytes_before, "bytes_after": saved.bytes_after}, indent=2))
        return
    before, after = format_bytes(saved.bytes_before), format_bytes(saved.bytes_after)
    click.echo(f"{out}: {saved.quantization}, {after} instead of {before}. Speak with it: --model {out}")

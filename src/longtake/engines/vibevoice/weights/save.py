"""Writes a checkpoint whose matrices are quantized, from one in full. Knows safetensors; loads no model.

The new folder has the names, the layout and the files of the old one: each matrix that is quantized is stored as
numbers under its own name and as scales under ``…weight_scale``, ``config.json`` says how (``quantization_config``),
and everything else is copied bit by bit. What is held is one shard.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from longtake.core.errors import InputError
from longtake.engines.vibevoice.network.model import build_meta
from longtake.engines.vibevoice.network.names import CONTROL_HEAD, LM_HEAD, Place, to_original
from longtake.engines.vibevoice.network.quantization import Quantization, read_dtype
from longtake.engines.vibevoice.weights.checkpoint import (
    INDEX,
    Merge,
    by_parameter,
    check_names,
    open_files,
    read_info,
    weight_files,
)
from longtake.engines.vibevoice.weights.config_file import CONFIG, load_config
from longtake.engines.vibevoice.weights.hub import fetch_adapter, fetch_model, random_name
from longtake.engines.vibevoice.weights.lora import open_lora
from longtake.nn.quantized import quantize

SHARD_BYTES = 2 << 30
_COPIED = ("*.json", "merges.txt", "LICENSE*")


@dataclass(frozen=True, slots=True)
class Saved:
    """What was written."""

    folder: Path
    quantization: Quantization
    files: int
    bytes_before: int
    bytes_after: int


def save_quantized(model: str, folder: Path, *, dtype: str, adapter: str | None = None) -> Saved:
    """Quantize the checkpoint that `model` names into a new folder.

    Args:
        model: A folder, or a hub id.
        folder: Where it goes; made here.
        dtype: As `read_dtype` reads it, without a type for all else.
        adapter: Folder or hub id of a LoRA adapter, which is merged before.

    Raises:
        InputError: The checkpoint or the adapter cannot be read, is quantized already, or the folder is not empty (code
            ``folder_not_empty``).
        OSError: The disk is full, or may not be written.
    """
    quantization, rest = read_dtype(dtype)
    if quantization is None or rest != "auto" or random_name(model) is not None:
        raise InputError(
            f"{model} cannot be saved as {dtype}. Give int8 or int4, perhaps with +head: all else stays as it is in a "
            "checkpoint. A random model has none: it is quantized while it is made, with --dtype.",
            code="cannot_quantize",
            param="dtype",
        )
    source = fetch_model(model)
    if load_config(source).quantization is not None:
        raise InputError(f"{model} is quantized already.", code="cannot_quantize", param="model")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder} is there already, and not an empty folder. Name another.", code="folder_not_empty", param="out"
        )
    paths = weight_files(source)
    with ExitStack() as stack:
        files = open_files(paths, stack)
        network = build_meta(load_config(source))
        plan = check_names(network, {name: read_info(file, name) for name, file in files.items()}, where=str(source))
        merge = None if adapter is None else open_lora(network, fetch_adapter(adapter), stack)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = _quantized(by_parameter(plan), files, quantization, merge)
        shards = _write_shards(tensors, folder)
    for path in sorted({path for pattern in _COPIED for path in source.glob(pattern)} - {source / INDEX}):
        shutil.copyfile(path, folder / path.name)
    # Last: a folder without it is no checkpoint, if this ends before.
    config = json.loads((source / CONFIG).read_text(encoding="utf-8"))
    config["quantization_config"] = quantization.to_config()
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    before, after = (sum(path.stat().st_size for path in some) for some in (paths, shards))
    return Saved(folder, quantization, len(shards), before, after)


@torch.no_grad()
def _quantized(
    plan: dict[str, list[tuple[str, Place]]], files: dict[str, Any], quantization: Quantization, merge: Merge | None
) -> Iterator[tuple[str, Tensor]]:
    """All tensors of the new checkpoint under their names, one matrix after the other."""
    for parameter, parts in plan.items():
        if parameter == CONTROL_HEAD:  # all of its rows, as they are; a tied one is the embedding
            yield from ((name, files[name].get_tensor(name)) for name, _ in parts if to_original(name) == LM_HEAD)
            continue
        is_covered = parameter.endswith(".weight") and quantization.covers(parameter.removesuffix(".weight"))
        tensors = [files[name].get_tensor(name) for name, _ in parts]
        if merge is not None:
            _merge(merge, parameter, tensors, parts, in_full=is_covered)
        for (name, _), tensor in zip(parts, tensors, strict=True):
            if not is_covered:
                yield name, tensor
                continue
            weight, scale = quantize(tensor, quantization.scheme)
            if not scale.isfinite().all():
                raise InputError(f"{name} is not finite. Fetch the checkpoint again.", code="bad_checkpoint")
            yield name, weight
            yield f"{name}_scale", scale


def _merge(
    merge: Merge, parameter: str, tensors: list[Tensor], parts: list[tuple[str, Place]], *, in_full: bool
) -> None:
    """Merge into a parameter of which these are the rows; in float32 if it is quantized then."""
    if in_full:
        tensors[:] = [tensor.float() for tensor in tensors]
    if len(tensors) == 1:
        merge(parameter, tensors[0])
        return
    order = sorted(range(len(parts)), key=lambda each: parts[each][1].rows or (0, 0))
    whole = torch.cat([tensors[each] for each in order])
    merge(parameter, whole)
    for each in order:
        first, last = parts[each][1].rows or (0, len(whole))
        tensors[each] = whole[first:last].clone()


def _write_shards(tensors: Iterator[tuple[str, Tensor]], folder: Path) -> list[Path]:
    """Into files of about `SHARD_BYTES`, with the index that names them."""
    names: list[list[str]] = []
    shard: dict[str, Tensor] = {}

    def write() -> None:
        try:
            save_file(shard, folder / f"{len(names)}.part", metadata={"format": "pt"})
        except SafetensorError as error:  # what the disk says comes as text
            raise OSError(str(error)) from error
        names.append(list(shard))
        shard.clear()

    for name, tensor in tensors:
        shard[name] = tensor.contiguous()
        if sum(each.nbytes for each in shard.values()) >= SHARD_BYTES:
            write()
    if shard:
        write()
    paths = [folder / f"model-{number:05}-of-{len(names):05}.safetensors" for number in range(1, len(names) + 1)]
    for number, path in enumerate(paths):
        (folder / f"{number}.part").rename(path)
    weight_map = {name: path.name for path, some in zip(paths, names, strict=True) for name in some}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}), encoding="utf-8")
    return paths

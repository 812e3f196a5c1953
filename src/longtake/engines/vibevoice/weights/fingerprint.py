"""Tells weights apart by eight bytes, in well under a second. Knows no network and no device.

What is spoken follows from the weights: keys and values of one model mean nothing to another. The fingerprint covers
what the checkpoint is (configuration, names, shapes, types, and a sample of each tensor's numbers, since fine-tunes
differ in nothing else), its adapter, and how it is quantized: what comes of that is another model. How it is run
(device, type, shards) is not in it: a job may change that on its way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from longtake.engines.vibevoice.network.quantization import Quantization
from longtake.engines.vibevoice.trace import FINGERPRINT_BYTES

_SAMPLE_BYTES = 512
_LENGTH_BYTES = 8
_RULE = "splitmix64, fan-in, 1"  # of `random_model`: another one gives other weights under the same name


def of_random(name: str, adapter: Path | None = None, *, quantization: Quantization | None = None) -> bytes:
    """Of ``random:NAME``; the rest as in `of_checkpoint`."""
    return _digest([f"random:{name} by {_RULE}".encode(), *_adapter(adapter), *_quantization(quantization)])


def of_checkpoint(
    config: Path, files: list[Path], adapter: Path | None = None, *, quantization: Quantization | None = None
) -> bytes:
    """Of a checkpoint.

    Args:
        config: Its ``config.json``.
        files: Its safetensors files, which have been read before.
        adapter: Folder of the LoRA adapter that is merged into it.
        quantization: How its matrices are quantized while they are loaded.
    """
    shape = json.dumps(json.loads(config.read_bytes()), sort_keys=True).encode()
    return _digest(
        [
            shape,
            *sorted(tensor for file in files for tensor in _tensors(file)),
            *_adapter(adapter),
            *_quantization(quantization),
        ]
    )


def _quantization(quantization: Quantization | None) -> Iterator[bytes]:
    if quantization is not None:
        yield f"quantized: {quantization.to_config()}".encode()


def _adapter(folder: Path | None) -> Iterator[bytes]:
    if folder is None:
        return
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".safetensors":
            yield path.relative_to(folder).as_posix().encode()
            yield from _tensors(path)
        elif path.name == "adapter_config.json":
            yield path.read_bytes()


def _tensors(path: Path) -> Iterator[bytes]:
    """Of each tensor of a safetensors file: its name, shape and type, and some bytes from its middle."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(_LENGTH_BYTES), "little")))
        begin = file.tell()
        for name, about in header.items():
            if name == "__metadata__":
                continue
            first, end = about["data_offsets"]
            file.seek(begin + max(first, (first + end - _SAMPLE_BYTES) // 2))
            sample = file.read(min(_SAMPLE_BYTES, end - first))
            yield f"{name} {about['dtype']} {about['shape']} ".encode() + sample


def _digest(parts: list[bytes]) -> bytes:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(_LENGTH_BYTES, "little") + part)
    return whole.digest()[:FINGERPRINT_BYTES]

"""What memory allows at best: the bytes that a frame of one stream must read, and what a device reads in a second."""

from __future__ import annotations

import time

import torch
from torch import nn

from benchmarks.rival import STEPS
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.nn.affine import Packable

_COPIED_BYTES = 1 << 28
_TURNS = 8


def frame_bytes(model: VibeVoiceModel) -> int:
    """Weights that a frame reads: all once, but for the diffusion head, which is read in each step, without its
    modulation, which is made for all steps at once; of the embedding nothing. Keys and values come on top."""
    head = held_bytes(model.prediction_head)
    modulation = sum(held_bytes(part) for name, part in _children(model.prediction_head) if "adaLN" in name)
    parts: tuple[nn.Module, ...] = (
        model.language_model.layers,
        model.acoustic_tokenizer.decoder,
        model.semantic_tokenizer.encoder,
        model.acoustic_connector,
        model.semantic_connector,
    )
    once = sum(map(held_bytes, parts))
    return once + STEPS * (head - modulation) + modulation


def read_bytes_per_s(device: torch.device) -> float:
    """Measured: the best of some copies within the device, each of which reads and writes."""
    source = torch.ones(_COPIED_BYTES // 4, device=device)
    target = torch.empty_like(source)
    best_s = float("inf")
    for _ in range(_TURNS):
        _wait(device)
        begun = time.perf_counter()
        target.copy_(source)
        _wait(device)
        best_s = min(best_s, time.perf_counter() - begun)
    return 2 * _COPIED_BYTES / best_s


def held_bytes(module: nn.Module) -> int:
    packed = sum(part.packed_bytes for part in module.modules() if isinstance(part, Packable))
    buffers = sum(buffer.nbytes for buffer in module.buffers())
    return int(packed + buffers + sum(parameter.nbytes for parameter in module.parameters()))


def _children(module: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, part) for name, part in module.named_modules() if name.endswith("adaLN_modulation")]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

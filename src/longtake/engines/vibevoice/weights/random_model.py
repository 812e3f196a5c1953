"""Models with random weights: for tests, demos and measurements without a download. Knows no file.

    random:tiny    the toy of the golden data        16 M parameters, most of them the embedding
    random:small   the real depth, narrow            114 M
    random:1.5b    the real shapes                   2.7 G
    random:7b      the real shapes                   9.3 G

The weights follow from the parameter's name and place alone: the same on every machine, in every type up to rounding.
What comes out is noise of a bounded level, for as long as one likes: all that is fed back passes a norm.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from longtake.engines.vibevoice.network.codec import Encoder
from longtake.engines.vibevoice.network.model import ENCODER, VibeVoiceModel, allocate, build_meta
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS
from longtake.engines.vibevoice.network.quantization import Quantization
from longtake.engines.vibevoice.network.quantized import written
from longtake.engines.vibevoice.weights.checkpoint import Merge
from longtake.engines.vibevoice.weights.shapes import CONFIGS, random_config
from longtake.nn.shapes import shapes_only

_AUDIO = "acoustic_tokenizer.decoder.head.conv.conv."
# As in the golden data less of the condition, and audio well below full scale: -22 dBFS, peaks below -5 (measured).
_GAINS = {"prediction_head.cond_proj.weight": 0.5, f"{_AUDIO}weight": 0.02}
_EMBEDDING = "language_model.embed_tokens.weight"
_BYTES = 256
_BLOCK = 1_048_573  # a prime, so that no row length divides it


@torch.no_grad()
def build_random(
    name: str,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    codec_dtype: torch.dtype | None = None,
    quantization: Quantization | None = None,
    merge: Merge | None = None,
) -> VibeVoiceModel:
    """A model with random weights.

    Its choice of tokens means nothing: they are to be planned (`tokens.plan_tokens`). Arguments as in
    `checkpoint.load_model`.

    Raises:
        NotFoundError: There is no such size (code ``unknown_model``).
        CapacityError: The device has no room for the weights.
    """
    config = random_config(name)
    in_full, model = build_meta(config), build_meta(replace(config, quantization=quantization))
    allocate(model, dtype=dtype, device=device, codec_dtype=codec_dtype)
    blocks = torch.from_numpy(_stream(_BLOCK)).to(device).repeat(2)
    for parameter in in_full.state_dict():
        with written(model, parameter) as tensor:
            if parameter == _EMBEDDING:
                # Of 152,000 rows the byte tokenizer reaches 256 and the loop four; pages never written take no memory.
                _fill(tensor[:_BYTES], parameter, blocks)
                _fill(tensor[min(CONTROL_TOKENS) : max(CONTROL_TOKENS) + 1], parameter, blocks)
            else:
                _fill(tensor, parameter, blocks)
            if merge is not None:
                merge(parameter, tensor)
    model.speech_scaling_factor.fill_(0.7)
    model.speech_bias_factor.fill_(0.1)
    return model


@torch.no_grad()
def build_random_encoder(name: str, *, dtype: torch.dtype, device: torch.device | str) -> Encoder:
    """The acoustic encoder of `build_random`, alone."""
    with shapes_only():
        encoder = Encoder(CONFIGS[name].acoustic).to(dtype).requires_grad_(False)
    encoder.to_empty(device=device)
    blocks = torch.from_numpy(_stream(_BLOCK)).to(device).repeat(2)
    for parameter, tensor in encoder.state_dict(keep_vars=True).items():
        _fill(tensor, f"{ENCODER}.{parameter}", blocks)
    return encoder


def _fill(tensor: Tensor, name: str, blocks: Tensor) -> None:
    """offset + scale · u, where u is the block (given twice), begun at a place that the name says, and repeated."""
    offset, scale = _offset_and_scale(name, tuple(tensor.shape))
    # Some parameters lie in memory in another order than they are numbered; those are small enough for a copy.
    ordered = tensor if tensor.is_contiguous() else torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
    flat = ordered.view(-1)
    start = zlib.crc32(name.encode()) % _BLOCK
    values = (blocks[start : start + min(len(flat), _BLOCK)] * scale + offset).to(tensor.dtype)
    for first in range(0, len(flat), _BLOCK):
        piece = flat[first : first + _BLOCK]
        piece.copy_(values[: len(piece)])
    if ordered is not tensor:
        tensor.copy_(ordered)


def _offset_and_scale(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Mean and deviation of a parameter: the rule of the golden data (tests/golden/vibevoice/README.md)."""
    last = name.rsplit(".", 1)[-1]
    if last in ("gamma", "ffn_gamma"):
        return 0.5, 0.1
    if last == "bias":
        return 0.0, 0.01 if name.startswith(_AUDIO) else 0.1
    if len(shape) < 2:
        return 1.0, 0.1
    if name.endswith("embed_tokens.weight"):
        return 0.0, 0.25
    # A transposed convolution is [in, out, 2 * stride], and two of its taps meet in a sample.
    fan_in = 2 * shape[0] if ".convtr." in name else int(np.prod(shape[1:]))
    return 0.0, _GAINS.get(name, 1.0) / float(np.sqrt(fan_in))


def _stream(count: int) -> NDArray[np.float32]:
    """Uniform numbers of mean 0 and variance 1 from integers alone (splitmix64): the same everywhere."""
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        keys = (z ^ (z >> np.uint64(31))) >> np.uint64(40)
    unit = (2 * keys.astype(np.float64) + 1 - 2**24) / 2**24
    values: NDArray[np.float32] = (unit * np.sqrt(3.0)).astype(np.float32)
    return values

"""A model whose matrices are quantized: made so, and written one matrix at a time. Knows no file.

What is never there is the model in full: the peak while it is loaded is what stays and one matrix in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from longtake.engines.vibevoice.network.quantization import Quantization
from longtake.nn.affine import Affine
from longtake.nn.quantized import QuantizedAffine


def quantize_modules(model: nn.Module, quantization: Quantization) -> None:
    """Put quantized modules without numbers in the places of those that `quantization` covers. On the meta device, and
    within `shapes_only`."""
    for name, module in list(model.named_modules()):
        if isinstance(module, Affine) and quantization.covers(name):
            before, _, last = name.rpartition(".")
            bias = module.bias
            made = QuantizedAffine(module.in_features, module.out_features, quantization.scheme, bias=bias)
            setattr(model.get_submodule(before), last, made)


@contextmanager
def written(model: nn.Module, parameter: str, *, is_stored: bool = False) -> Iterator[Tensor]:
    """A tensor to write a parameter's numbers into: the parameter itself, or, of a matrix that is to be quantized, one
    in float32, from which that is done at the end of the block.

    Args:
        is_stored: What will be written is quantized already.
    """
    before, _, last = parameter.rpartition(".")
    module = model.get_submodule(before)
    if is_stored or last != "weight" or not isinstance(module, QuantizedAffine):
        yield getattr(module, last)
        return
    device = module.weight.device
    matrix_DC = torch.empty(module.out_features, module.in_features, dtype=torch.float32, device=device)
    yield matrix_DC
    module.quantize_from(matrix_DC)

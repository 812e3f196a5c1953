"""What of a model is quantized, and how it is asked for and written down. Imports no torch; knows no tensor.

Only matrices of the decoder are, and of the diffusion head's feed-forward if it is asked for. Whatever else is, costs
more than it saves: coders and connectors in 8 bits make noise of speech (research/vibevoice.md, section 6), and the
embedding is read one row at a time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from longtake.core.errors import InputError
from longtake.nn.scheme import SCHEMES, Scheme

FLOATS = ("fp32", "fp16", "bf16")
KV_DTYPES = ("auto", "int8")
HEAD = "head"
METHOD = "longtake"
_DECODER = re.compile(r"language_model\.layers\.\d+\.(self_attn\.(qkv|o)|mlp\.(gate_up|down))_proj")
_HEAD = re.compile(r"prediction_head\.layers\.\d+\.ffn\.(gate_up|down)_proj")


@dataclass(frozen=True, slots=True)
class Quantization:
    """How matrices are written.

    Attributes:
        has_head: The feed-forward of the diffusion head is, too.
    """

    scheme: Scheme
    has_head: bool = False

    def __str__(self) -> str:
        """As in ``--dtype``."""
        return f"{self.scheme.name}+{HEAD}" if self.has_head else self.scheme.name

    def covers(self, module: str) -> bool:
        """Whether the matrix of that module of ours is quantized."""
        return bool(_DECODER.fullmatch(module) or (self.has_head and _HEAD.fullmatch(module)))

    def to_config(self) -> dict[str, Any]:
        """For a checkpoint's ``config.json``, as its ``quantization_config``."""
        scheme = self.scheme
        return {"quant_method": METHOD, "scheme": scheme.name, "group_size": scheme.group, "head": self.has_head}


def read_config(written: Mapping[str, Any]) -> Quantization | None:
    """Of a ``quantization_config``; None: it is not one of ours, or of another version."""
    scheme, has_head = SCHEMES.get(str(written.get("scheme"))), written.get("head")
    if scheme is None or not isinstance(has_head, bool):
        return None
    found = Quantization(scheme, has_head)
    return found if dict(written) == found.to_config() else None


def fitting(saved: Quantization | None, asked: Quantization | None, name: str) -> Quantization | None:
    """How a model comes to be quantized: as it is saved, or as it is asked for.

    Raises:
        InputError: It is saved in another way than is asked for (code ``other_dtype``).
    """
    if saved is not None and asked not in (None, saved):
        raise InputError(
            f"{name} is quantized as {saved}, and --dtype asks for {asked}. Leave --dtype out, or give the checkpoint "
            "that it was made of.",
            code="other_dtype",
            param="dtype",
        )
    return saved or asked


def check_kv_dtype(asked: str) -> None:
    """
    Raises:
        InputError: Keys and values cannot be kept so (code ``unknown_dtype``).
    """
    if asked not in KV_DTYPES:
        raise InputError(
            f"Keys and values cannot be kept in {asked!r}. Give {' or '.join(KV_DTYPES)}.",
            code="unknown_dtype",
            param="kv_dtype",
        )


def read_dtype(asked: str) -> tuple[Quantization | None, str]:
    """What ``--dtype`` asks for: ``auto``, ``bf16``, ``int8``, ``int4+head``, ``int8+bf16``, ``int8+head+fp32``.

    Returns:
        How matrices are quantized, and the type of all else: ``auto``, or one of `FLOATS`.

    Raises:
        InputError: It cannot be read (code ``unknown_dtype``).
    """
    first, *more = asked.split("+")
    scheme = SCHEMES.get(first)
    if scheme is None:
        if (first == "auto" or first in FLOATS) and not more:
            return None, first
    else:
        has_head = more[:1] == [HEAD]
        rest = more[has_head:] or ["auto"]
        if len(rest) == 1 and (rest[0] in FLOATS or rest == ["auto"]):
            return Quantization(scheme, has_head), rest[0]
    raise InputError(
        f"There is no dtype {asked!r}. Give auto, {', '.join(FLOATS)}, {', '.join(SCHEMES)}; behind the last two +head "
        f"quantizes the diffusion head, too, and +fp32, +fp16, +bf16 is the type of all else, as in int8+head+bf16.",
        code="unknown_dtype",
        param="dtype",
    )

"""A Qwen2 decoder over a KV store. Knows no vocabulary head, no sampling, no checkpoint; keeps nothing between calls.

Shape suffixes: N tokens of the flattened batch, H hidden size, A query heads, K key/value heads, D size of a head,
P = D / 2 pairs that the rotary embedding turns.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from longtake.nn.affine import Affine
from longtake.nn.decoder_config import DecoderConfig
from longtake.nn.kv import KVStore, Segment
from longtake.nn.mirror import to_device
from longtake.nn.norm import RMSNorm

# From the number of a layer, heads of queries, keys and values that are not rotated yet, (N, A + 2 K, D), and the
# tables of `rotary_tables` to what the queries found, (N, A, D). It stores the keys and values.
Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class Decoder(nn.Module):
    """Qwen2: pre-norm, rotary positions, grouped queries, SwiGLU (`Qwen2Model` of transformers is the reference).

    Parameters are named as in the checkpoint, except that two groups of matrices are stored as one, rows one after the
    other: `self_attn.qkv_proj` (q, k, v) and `mlp.gate_up_proj` (gate, up). They are made for inference: no gradients.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.requires_grad_(False)

    def forward(
        self, x_NH: Tensor, segments: Sequence[Segment], kv: KVStore, position_N: Tensor | None = None
    ) -> Tensor:
        """Run the embeddings through all layers; their keys and values stay in `kv`.

        Args:
            x_NH: Embeddings in the type of the weights.
            segments: Where the N tokens stand in the store, in their order.
            position_N: Rotary positions, integers on the device of `x_NH`; absent: those of the segments.

        Returns:
            Hidden states after the final norm, (N, H), type and device of `x_NH`.

        Raises:
            InvariantError: The segments do not fit the batch or the store (see `KVStore.attend`).
        """
        if position_N is None:
            position_N = _positions(segments, x_NH.device)
        heads, kv_heads = self.config.num_attention_heads, self.config.num_key_value_heads

        def attend(layer: int, qkv_NXD: Tensor, cos_NP: Tensor, sin_NP: Tensor) -> Tensor:
            qk, v_NKD = torch.split(qkv_NXD, [heads + kv_heads, kv_heads], dim=1)
            q_NAD, k_NKD = torch.split(rotate(qk, cos_NP, sin_NP), [heads, kv_heads], dim=1)
            return kv.attend(layer, q_NAD, k_NKD, v_NKD, segments)

        return self.run(x_NH, position_N, attend)

    def run(self, x_NH: Tensor, position_N: Tensor, attend: Attend) -> Tensor:
        """`forward` with any way to store keys and values and to attend to them."""
        cos_NP, sin_NP = rotary_tables(position_N, self.config.rope_theta, self.config.head_dim)
        for index, layer in enumerate(self.layers):
            x_NH = layer(x_NH, cos_NP, sin_NP, index, attend)
        h_NH: Tensor = self.norm(x_NH)
        return h_NH


class _Layer(nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = _Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = _Mlp(config)

    def forward(self, x_NH: Tensor, cos_NP: Tensor, sin_NP: Tensor, index: int, attend: Attend) -> Tensor:
        attended_NH: Tensor = x_NH + self.self_attn(self.input_layernorm(x_NH), cos_NP, sin_NP, index, attend)
        out_NH: Tensor = attended_NH + self.mlp(self.post_attention_layernorm(attended_NH))
        return out_NH


class _Attention(nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.qkv_proj = Affine(config.hidden_size, (heads + 2 * kv_heads) * self.head_dim, is_narrow=True)
        self.o_proj = Affine(heads * self.head_dim, config.hidden_size, bias=False, is_narrow=True)

    def forward(self, x_NH: Tensor, cos_NP: Tensor, sin_NP: Tensor, index: int, attend: Attend) -> Tensor:
        qkv_NXD = self.qkv_proj(x_NH).view(len(x_NH), -1, self.head_dim)
        out_NH: Tensor = self.o_proj(attend(index, qkv_NXD, cos_NP, sin_NP).flatten(1))
        return out_NH


class _Mlp(nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate_up_proj = Affine(config.hidden_size, 2 * config.intermediate_size, bias=False, is_narrow=True)
        self.down_proj = Affine(config.intermediate_size, config.hidden_size, bias=False, is_narrow=True)

    def forward(self, x_NH: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(x_NH).chunk(2, dim=-1)
        out_NH: Tensor = self.down_proj(F.silu(gate).mul_(up))
        return out_NH


def rotary_tables(position_N: Tensor, theta: float, head_dim: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary angles at these positions, each (N, P) float32."""
    angle_NP = position_N[:, None].float() * _frequencies(theta, head_dim, position_N.device)
    return angle_NP.cos(), angle_NP.sin()


def rotate(heads: Tensor, cos_NP: Tensor, sin_NP: Tensor) -> Tensor:
    """Turn the pairs (i, i + P) of every head, (N, heads, D); in float32, returned in the type they came in."""
    a, b = heads.float().chunk(2, dim=-1)
    cos, sin = cos_NP[:, None], sin_NP[:, None]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(heads.dtype)


@functools.cache
def _frequencies(theta: float, head_dim: int, device: torch.device) -> Tensor:
    # Made on the CPU whatever the device: at position 65,535 a last bit that differs here is 0.004 rad.
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device="cpu") / head_dim
    return (1.0 / theta**exponents).to(device)


def _positions(segments: Sequence[Segment], device: torch.device) -> Tensor:
    places = [place for segment in segments for place in range(segment.start, segment.end)]
    return to_device(torch.tensor(places, device="cpu"), device)

"""The diffusion head: from a noisy latent and a condition to a velocity. Knows no solver, no guidance, no schedule.

Shape suffixes: B rows, S steps of a solver, H hidden size, 64 the latent, M = (3 · layers + 2) · H modulation: of
each layer shift, gain and gate, of the last shift and gain. A gain is that of the norm times (1 + scale).
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from longtake.engines.vibevoice.network.config import HeadConfig
from longtake.nn.affine import Affine
from longtake.nn.norm import RMSNorm, rms_norm

TIME_FEATURES = 256
_MAX_PERIOD = 10_000


class DiffusionHead(nn.Module):
    """Feed-forward layers whose norm is shifted, scaled and gated by condition and time; no attention.

    The modulation depends on condition and time only, not on the latent: `modulate` makes that of all steps before the
    loop, so its matrices (27 % of the head) are read once a frame and not once a step.

    Parameters are named as in the checkpoint below `model.prediction_head.`, except that `ffn.gate_up_proj` holds the
    rows of gate_proj, then those of up_proj. They are made for inference: no gradients.
    """

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.config = config
        self.noisy_images_proj = Affine(config.latent_dim, hidden, bias=False, is_narrow=True)
        self.cond_proj = Affine(hidden, hidden, bias=False, is_narrow=True)
        self.t_embedder = _TimeEmbedder(hidden)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.final_layer = _FinalLayer(config)
        self.requires_grad_(False)

    @property
    def device(self) -> torch.device:
        return self.layers[0].norm.weight.device  # type: ignore[union-attr,return-value]

    def time_embedding(self, t_N: Tensor) -> Tensor:
        """Embeddings of timesteps 0 … 999, (N, H), in the type of the weights. The sinusoids are made in float32."""
        embed_NH: Tensor = self.t_embedder(time_features(t_N))
        return embed_NH

    def modulate(self, cond_BH: Tensor, t_embeds_SH: Tensor) -> Tensor:
        """Modulation of every row at every step, one product per layer for all of them: (S, B, M).

        Args:
            cond_BH: Conditions in the type of the weights.
            t_embeds_SH: `time_embedding` of the steps.
        """
        return self._modulation(self.cond_proj(cond_BH) + t_embeds_SH[:, None])

    def forward(self, x_B64: Tensor, modulation_BM: Tensor) -> Tensor:
        """Velocity (B, 64) of noisy latents at one step, in the type of the modulation, which is that of the weights.

        Args:
            x_B64: Latents; any float type, brought to that of the weights.
            modulation_BM: One step of what `modulate` returns.
        """
        h_BH = self.noisy_images_proj(x_B64.to(modulation_BM.dtype))
        parts = torch.split(modulation_BM, self.config.hidden_size, -1)
        for index, layer in enumerate(self.layers):
            h_BH = layer(h_BH, *parts[3 * index : 3 * index + 3])
        v_B64: Tensor = self.final_layer(h_BH, *parts[-2:])
        return v_B64

    def predict(self, x_B64: Tensor, t_B: Tensor, cond_BH: Tensor) -> Tensor:
        """`forward` for rows that each have a timestep of their own."""
        v_B64: Tensor = self(x_B64, self._modulation(self.cond_proj(cond_BH) + self.time_embedding(t_B)))
        return v_B64

    def _modulation(self, c: Tensor) -> Tensor:
        activated = F.silu(c)
        layers = (*self.layers, self.final_layer)
        return torch.cat([layer.modulation(activated) for layer in layers], dim=-1)


class _TimeEmbedder(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(TIME_FEATURES, hidden, bias=False), nn.SiLU(), nn.Linear(hidden, hidden, bias=False)
        )

    def forward(self, features: Tensor) -> Tensor:
        embed_NH: Tensor = self.mlp(features.to(next(self.parameters()).dtype))
        return embed_NH


class _Layer(nn.Module):
    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.norm_eps = config.norm_eps
        self.ffn = _Ffn(config)
        self.adaLN_modulation = _modulator(config.hidden_size, parts=3)

    def modulation(self, activated: Tensor) -> Tensor:
        modulation: Tensor = self.adaLN_modulation[1](activated)
        modulation.chunk(3, dim=-1)[1].add_(1).mul_(self.norm.weight)
        return modulation

    def forward(self, h_BH: Tensor, shift_BH: Tensor, gain_BH: Tensor, gate_BH: Tensor) -> Tensor:
        out_BH: Tensor = self.ffn(torch.addcmul(shift_BH, rms_norm(h_BH, self.norm_eps), gain_BH))
        return torch.addcmul(h_BH, gate_BH, out_BH)


class _FinalLayer(nn.Module):
    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.norm_eps = config.norm_eps  # and no gain
        self.linear = Affine(config.hidden_size, config.latent_dim, bias=False, is_narrow=True)
        self.adaLN_modulation = _modulator(config.hidden_size, parts=2)

    def modulation(self, activated: Tensor) -> Tensor:
        modulation: Tensor = self.adaLN_modulation[1](activated)
        modulation.chunk(2, dim=-1)[1].add_(1)
        return modulation

    def forward(self, h_BH: Tensor, shift_BH: Tensor, gain_BH: Tensor) -> Tensor:
        v_B64: Tensor = self.linear(torch.addcmul(shift_BH, rms_norm(h_BH, self.norm_eps), gain_BH))
        return v_B64


class _Ffn(nn.Module):
    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.gate_up_proj = Affine(config.hidden_size, 2 * config.ffn_size, bias=False, is_narrow=True)
        self.down_proj = Affine(config.ffn_size, config.hidden_size, bias=False, is_narrow=True)

    def forward(self, x_BH: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(x_BH).chunk(2, dim=-1)
        out_BH: Tensor = self.down_proj(F.silu(gate).mul_(up))
        return out_BH


def _modulator(hidden: int, *, parts: int) -> nn.Sequential:
    # The activation is there for the checkpoint's numbering: `_modulation` applies it once for all layers.
    return nn.Sequential(nn.SiLU(), Affine(hidden, parts * hidden, bias=False))


def time_features(t_N: Tensor) -> Tensor:
    """Sinusoids of timesteps, (N, 256) float32: 128 cosines, then 128 sines."""
    angle = t_N[:, None].float() * _frequencies(t_N.device)
    return torch.cat((angle.cos(), angle.sin()), dim=-1)


@functools.cache
def _frequencies(device: torch.device) -> Tensor:
    # Made on the CPU whatever the device: a last bit that differs here moves a feature by 6e-5 at t = 999.
    half = TIME_FEATURES // 2
    return torch.exp(-math.log(_MAX_PERIOD) * torch.arange(half, dtype=torch.float32, device="cpu") / half).to(device)

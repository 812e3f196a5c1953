"""The codec networks: waveform to latents (acoustic and semantic), latents to waveform. Knows no prompt and no voice.

All of them are causal and run on streams: see `longtake.nn.streaming` for the state. Parameters are named as in the
original checkpoint, from below ``encoder.`` or ``decoder.`` on. Float32 and bfloat16; norms take their statistics in
float32 either way.

Shape suffixes: B rows of a batch, T time in samples or inner steps, C channels, F frames, D latent channels.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from longtake.core.errors import InvariantError
from longtake.engines.vibevoice.network.config import CoderConfig
from longtake.nn.affine import Affine, Packable, can_pack
from longtake.nn.norm import rms_scale
from longtake.nn.streaming import (
    Rows,
    Shape,
    Streaming,
    StreamingChain,
    StreamingConv1d,
    StreamingConvTranspose1d,
    StreamState,
    nest,
)

_KERNEL = 7  # of every convolution that does not change the rate
_FFN_EXPANSION = 4


class Encoder(StreamingChain):
    """Waveform to latents: acoustic (the mean, to which a voice adds noise) or semantic."""

    def __init__(self, config: CoderConfig) -> None:
        widths = _widths(config)
        strides = config.ratios[::-1]  # from the waveform inwards
        convs: list[Streaming] = [StreamingConv1d(1, widths[0], _KERNEL)]
        convs += [
            StreamingConv1d(outer, inner, 2 * stride, stride)
            for outer, inner, stride in zip(widths, widths[1:], strides, strict=False)
        ]
        downsamples = [nest("0.conv.conv", conv) for conv in convs]
        stages = _stages(widths, config.depths, config.norm_eps)
        head = nest("conv.conv", StreamingConv1d(widths[-1], config.latent_dim, _KERNEL))
        super().__init__(
            {"downsample_layers": nn.ModuleList(downsamples), "stages": nn.ModuleList(stages), "head": head},
            [*_alternately(downsamples, stages), head],
        )
        self.config = config

    def step(self, wave_B1T: torch.Tensor, state: StreamState, rows: Rows = None, last: bool = False) -> torch.Tensor:
        """Encode the next piece of some streams; otherwise as `Streaming.step`.

        Args:
            wave_B1T: Samples at 24 kHz: a multiple of 3200, or any number when ``last``. Then each strided convolution
                pads its own input with zeros, as the reference does. To pad the waveform is another thing: the last
                latent differs by far.

        Returns:
            Latents [B, F, D], F the number of frames begun.
        """
        if wave_B1T.ndim != 3 or wave_B1T.shape[1] != 1:
            raise InvariantError(f"A waveform must be [B, 1, T], not {tuple(wave_B1T.shape)}.")
        frame = self.config.samples_per_frame
        if not last and wave_B1T.shape[2] % frame:  # the convolutions would notice, but after others have moved on
            raise InvariantError(
                f"{wave_B1T.shape[2]} samples are not whole frames of {frame}, nor said to be the last."
            )
        return super().step(wave_B1T.transpose(1, 2), state, rows, last)


class AcousticDecoder(StreamingChain):
    """Latents to waveform."""

    def __init__(self, config: CoderConfig) -> None:
        widths = _widths(config)[::-1]
        upsamples = [nest("0.conv.conv", StreamingConv1d(config.latent_dim, widths[0], _KERNEL))]
        upsamples += [
            nest("0.convtr.convtr", StreamingConvTranspose1d(inner, outer, stride))
            for inner, outer, stride in zip(widths, widths[1:], config.ratios, strict=False)
        ]
        stages = _stages(widths, config.depths[::-1], config.norm_eps)
        head = nest("conv.conv", StreamingConv1d(widths[-1], 1, _KERNEL))
        super().__init__(
            {"upsample_layers": nn.ModuleList(upsamples), "stages": nn.ModuleList(stages), "head": head},
            [*_alternately(upsamples, stages), head],
        )
        self.config = config

    def step(self, latent_BFD: torch.Tensor, state: StreamState, rows: Rows = None, last: bool = False) -> torch.Tensor:
        """Decode the next frames of some streams, one or more; otherwise as `Streaming.step`.

        Args:
            latent_BFD: In the encoder's space, that is ``latent / scaling - bias``.
            last: Of no effect: a decoder takes any number of frames.

        Returns:
            Samples [B, 1, 3200 F] at 24 kHz, not clipped.
        """
        return super().step(latent_BFD, state, rows, last).transpose(1, 2)


class _Block(Streaming, Packable):
    """Mixes time channel by channel, then channels at each place of time; each with norm, layer scale and residual.

    Packed in float32, gains and layer scales are folded into the weights beside them, and are ones from then on.
    """

    def __init__(self, width: int, norm_eps: float) -> None:
        super().__init__()
        self.norm_eps = norm_eps
        self.norm = _Gain(width)
        conv = StreamingConv1d(width, width, _KERNEL, groups=width)
        self.mixer = nest("conv.conv.conv", conv)
        self.gamma = nn.Parameter(torch.empty(width))
        self.ffn_norm = _Gain(width)
        self.ffn = _FeedForward(width)
        self.ffn_gamma = nn.Parameter(torch.empty(width))
        self._conv = (conv,)  # in a tuple, so that it is no child by this name, too
        self._is_folded = False

    def state_shapes(self) -> list[Shape]:
        return self.mixer.state_shapes()

    def run(self, x_BTC: torch.Tensor, parts: Iterator[torch.Tensor], last: bool = False) -> torch.Tensor:
        if self._is_folded:
            x_BTC = self._conv[0].add_scaled(x_BTC, rms_scale(x_BTC, self.norm_eps), parts)
            return self.ffn.add_to(x_BTC, x_BTC * rms_scale(x_BTC, self.norm_eps))
        mixed_BTC = self.mixer.run(self._normalise(x_BTC, self.norm), parts, last)
        x_BTC = torch.addcmul(x_BTC, mixed_BTC, self.gamma)
        return torch.addcmul(x_BTC, self.ffn.run(self._normalise(x_BTC, self.ffn_norm)), self.ffn_gamma)

    @torch.no_grad()
    def pack(self) -> None:
        conv, ffn = self._conv[0], self.ffn
        # In bfloat16 each weight would be rounded once more.
        if self._is_folded or conv.weight.dtype != torch.float32 or not can_pack(conv.weight):
            return
        conv.weight.mul_((self.norm.weight * self.gamma)[:, None, None])
        conv.bias.mul_(self.gamma)
        ffn.linear1.weight.mul_(self.ffn_norm.weight)
        ffn.linear2.weight.mul_(self.ffn_gamma[:, None])
        ffn.linear2.bias.mul_(self.ffn_gamma)
        for gain in (self.norm.weight, self.gamma, self.ffn_norm.weight, self.ffn_gamma):
            gain.fill_(1)
        self._is_folded = True

    def _normalise(self, x_BTC: torch.Tensor, gain: _Gain) -> torch.Tensor:
        return F.rms_norm(x_BTC, gain.weight.shape, gain.weight, self.norm_eps)


class _Gain(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))


class _FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1 = Affine(width, _FFN_EXPANSION * width)
        self.linear2 = Affine(_FFN_EXPANSION * width, width)

    def run(self, x_BTC: torch.Tensor) -> torch.Tensor:
        y_BTC: torch.Tensor = self.linear2(self.linear1.gelu(x_BTC))  # by erf, not the tanh approximation
        return y_BTC

    def add_to(self, other_BTC: torch.Tensor, x_BTC: torch.Tensor) -> torch.Tensor:
        """``other + run(x)``."""
        return self.linear2.add_to(other_BTC, self.linear1.gelu(x_BTC))


def _widths(config: CoderConfig) -> list[int]:
    """Channels of each stage, from the waveform inwards."""
    if len(config.depths) != len(config.ratios) + 1:
        raise InvariantError(f"A codec with {len(config.ratios)} ratios has one stage more, not {len(config.depths)}.")
    return [config.filters << stage for stage in range(len(config.depths))]


def _stages(widths: list[int], depths: tuple[int, ...], norm_eps: float) -> list[Streaming]:
    return [
        StreamingChain({str(number): _Block(width, norm_eps) for number in range(depth)})
        for width, depth in zip(widths, depths, strict=True)
    ]


def _alternately(resamples: list[Streaming], stages: list[Streaming]) -> Iterator[Streaming]:
    for resample, stage in zip(resamples, stages, strict=True):
        yield from (resample, stage)

"""How many numbers each part of a model holds, and how many bytes a stream of speech takes. Imports no torch.

What the networks really allocate is held against these by tests, part by part, for every size there is: the memory
plan, the engine's budget and admission all count with them.

Letters as in the networks: H hidden, W channels of a stage, K kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from longtake.engines.vibevoice.network.config import SAMPLES_PER_FRAME, CoderConfig, HeadConfig, VibeVoiceConfig
from longtake.engines.vibevoice.network.quantization import Quantization
from longtake.nn.decoder_config import DecoderConfig

# The parts, by the names under which people know them.
EMBEDDING = "embedding"
DECODER = "decoder"
DIFFUSION_HEAD = "diffusion head"
ACOUSTIC_DECODER = "acoustic decoder"
SEMANTIC_ENCODER = "semantic encoder"
CONNECTORS = "connectors"
ACOUSTIC_ENCODER = "acoustic encoder"
CODERS = (ACOUSTIC_DECODER, SEMANTIC_ENCODER, ACOUSTIC_ENCODER)  # in the coders' type, which may be another one

_KERNEL = 7
_CONTROL_TOKENS = 4
_TIME_FEATURES = 256
_SCALE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Dtypes:
    """Bytes of a number.

    Attributes:
        model: Of decoder, diffusion head, connectors; of keys and values, too, if they are not in int8.
        codec: Of the coders and of their states.
    """

    model: int
    codec: int


SIZES: Mapping[str, Dtypes] = {
    "fp32": Dtypes(4, 4),
    # fp16 ends at 65,504, and the coders' inner values pass that with some voices.
    "fp16": Dtypes(2, 4),
    "bf16": Dtypes(2, 2),
}
"""Name of a type in ``--dtype`` → sizes."""


def parameters(config: VibeVoiceConfig) -> dict[str, int]:
    """Part → how many numbers. The two factors of the latents are left out: they are two."""
    decoder = config.decoder
    hidden = decoder.hidden_size
    return {
        EMBEDDING: decoder.vocab_size * hidden,
        DECODER: _decoder(decoder) + _CONTROL_TOKENS * hidden,
        DIFFUSION_HEAD: _head(config.head),
        ACOUSTIC_DECODER: _acoustic_decoder(config.acoustic),
        SEMANTIC_ENCODER: _encoder(config.semantic),
        CONNECTORS: _connector(config.acoustic.latent_dim, hidden) + _connector(config.semantic.latent_dim, hidden),
        ACOUSTIC_ENCODER: _encoder(config.acoustic),
    }


def float_parameters(config: VibeVoiceConfig) -> int:
    """How many numbers in float32 take as much as the model does in that type, with what of it is quantized."""
    return sum(weights(config, SIZES["fp32"]).values()) // SIZES["fp32"].model


def weights(config: VibeVoiceConfig, sizes: Dtypes) -> dict[str, int]:
    """Part → bytes, with the scales of what is quantized."""
    found = {
        part: count * (sizes.codec if part in CODERS else sizes.model) for part, count in parameters(config).items()
    }
    if (quantization := config.quantization) is not None:
        for part, matrices in _matrices(config, quantization).items():
            for rows, columns in matrices:
                found[part] += quantization.scheme.bytes(rows, columns) - rows * columns * sizes.model
    return found


def largest_matrix_bytes(config: VibeVoiceConfig) -> int:
    """In float32, of those that are quantized one by one; 0: none is."""
    if config.quantization is None:
        return 0
    matrices = [each for some in _matrices(config, config.quantization).values() for each in some]
    return 4 * max(rows * columns for rows, columns in matrices)


def _matrices(config: VibeVoiceConfig, quantization: Quantization) -> dict[str, list[tuple[int, int]]]:
    """Part → rows and columns of each matrix that is quantized."""
    decoder, head = config.decoder, config.head
    hidden, width = decoder.hidden_size, decoder.num_attention_heads * decoder.head_dim
    fused = width + 2 * decoder.num_key_value_heads * decoder.head_dim
    layer = [(fused, hidden), (hidden, width), *_feed_forward(hidden, decoder.intermediate_size)]
    found = {DECODER: layer * decoder.num_hidden_layers}
    if quantization.has_head:
        found[DIFFUSION_HEAD] = _feed_forward(hidden, head.ffn_size) * head.layers
    return found


def _feed_forward(hidden: int, width: int) -> list[tuple[int, int]]:
    return [(2 * width, hidden), (hidden, width)]


def kv_bytes(decoder: DecoderConfig, positions: int, itemsize: int) -> int:
    """Keys and values of so many positions of a row, in all layers.

    Args:
        itemsize: Bytes of a number; 1: int8, and a scale for each key and each value.
    """
    vector = decoder.head_dim * itemsize + (_SCALE_BYTES if itemsize == 1 else 0)
    return 2 * decoder.num_hidden_layers * decoder.num_key_value_heads * vector * positions


def state_bytes(config: VibeVoiceConfig, streams: int, sizes: Dtypes) -> int:
    """Of so many streams, and of the spare slot: what the convolutions of acoustic decoder and semantic encoder
    remember, and what the parts of a step hand to each other (`board`)."""
    convolutions = sizes.codec * (_decoder_state(config.acoustic) + _encoder_state(config.semantic))
    hidden, latent = config.decoder.hidden_size, config.acoustic.latent_dim
    features = latent + config.semantic.latent_dim
    place = sizes.model * (5 * hidden + _CONTROL_TOKENS) + sizes.codec * SAMPLES_PER_FRAME
    place += 4 * (1 + features + latent) + 8 * 2 + 2 * SAMPLES_PER_FRAME
    return (streams + 1) * (convolutions + place) + sizes.model * _CONTROL_TOKENS * hidden


def _decoder(config: DecoderConfig) -> int:
    hidden, width = config.hidden_size, config.num_attention_heads * config.head_dim
    fused = width + 2 * config.num_key_value_heads * config.head_dim
    layer = 2 * hidden + fused * (hidden + 1) + hidden * width + 3 * hidden * config.intermediate_size
    return config.num_hidden_layers * layer + hidden


def _head(config: HeadConfig) -> int:
    hidden = config.hidden_size
    ends = 2 * config.latent_dim * hidden + hidden * hidden  # latents in and out, the condition
    time = _TIME_FEATURES * hidden + hidden * hidden
    layer = hidden + 3 * config.ffn_size * hidden + 3 * hidden * hidden
    return ends + time + config.layers * layer + 2 * hidden * hidden


def _connector(features: int, hidden: int) -> int:
    return features * hidden + hidden + hidden + hidden * hidden + hidden


def _encoder(coder: CoderConfig) -> int:
    widths = widths_of(coder)
    count = _KERNEL * widths[0] + widths[0]
    count += sum(
        outer * inner * 2 * stride + inner
        for outer, inner, stride in zip(widths, widths[1:], coder.ratios[::-1], strict=False)
    )
    return count + _stages(coder) + coder.latent_dim * (widths[-1] * _KERNEL + 1)


def _acoustic_decoder(coder: CoderConfig) -> int:
    widths = widths_of(coder)[::-1]
    count = widths[0] * (coder.latent_dim * _KERNEL + 1)
    count += sum(
        inner * outer * 2 * stride + outer
        for inner, outer, stride in zip(widths, widths[1:], coder.ratios, strict=False)
    )
    return count + _stages(coder) + _KERNEL * widths[-1] + 1


def _stages(coder: CoderConfig) -> int:
    # Of a block: two norms and two gains, a convolution channel by channel, and a feed-forward of four widths.
    return sum(
        depth * (4 * width + width * (_KERNEL + 1) + 8 * width * width + 5 * width)
        for depth, width in zip(coder.depths, widths_of(coder), strict=True)
    )


def _encoder_state(coder: CoderConfig) -> int:
    widths, past = widths_of(coder), _KERNEL - 1
    strided = sum(stride * width for width, stride in zip(widths, coder.ratios[::-1], strict=False))
    return past * 1 + strided + _mixers_state(coder) + past * widths[-1]


def _decoder_state(coder: CoderConfig) -> int:
    widths, past = widths_of(coder)[::-1], _KERNEL - 1
    overlaps = sum(stride * width for width, stride in zip(widths[1:], coder.ratios, strict=True))
    return past * coder.latent_dim + overlaps + _mixers_state(coder) + past * widths[-1]


def _mixers_state(coder: CoderConfig) -> int:
    return sum((_KERNEL - 1) * depth * width for depth, width in zip(coder.depths, widths_of(coder), strict=True))


def widths_of(coder: CoderConfig) -> list[int]:
    """Channels of each stage, from the waveform inwards."""
    return [coder.filters << stage for stage in range(len(coder.depths))]

"""What a beat holds for a moment, beside weights, keys and values, and the states of the coders. Knows no device.

An upper estimate: it is what admission leaves free on a device of its own.
"""

from __future__ import annotations

from longtake.engines.vibevoice.codec import Encoder
from longtake.engines.vibevoice.config import SAMPLES_PER_FRAME, CoderConfig, VibeVoiceConfig
from longtake.nn.shapes import shapes_only

# Copies of its widest layer that a network holds at once, counted while it ran (tests/unit/.../test_workspace.py).
_READER_COPIES = 2
_CODER_COPIES = 4
_FEED_FORWARD = 4  # a coder's inner width, in its channels
_SLACK_BYTES = 64 << 20  # libraries' own: cuBLAS takes 32 MiB at its first product, cuDNN about as much


def workspace_bytes(
    config: VibeVoiceConfig, *, itemsize: int, codec_itemsize: int, positions: int, streams: int, frames: int
) -> int:
    """The most of what reading a prompt, a step of all streams and the encoding of a voice take, one after the other.

    Args:
        itemsize: Bytes of a number of the decoder.
        codec_itemsize: Of the coders.
        positions: Read at once.
        streams: That speak at once, a frame each.
        frames: Of a voice encoded at once, or of a past replayed.
    """
    decoder = config.decoder
    # Gate and up, their product, and the residual; and a mask over the window, as truth and as numbers to be added.
    widest = 3 * decoder.intermediate_size + 4 * decoder.hidden_size
    reading = positions * (_READER_COPIES * widest * itemsize + config.window * (1 + itemsize))
    speaking = max(streams, frames) * max(_of_frame(config.acoustic), _of_frame(config.semantic)) * codec_itemsize
    return max(reading, speaking) + _SLACK_BYTES


def _of_frame(coder: CoderConfig) -> int:
    """Numbers of one frame next to the waveform, where a coder is widest: later stages halve time and double channels
    at most."""
    return SAMPLES_PER_FRAME * coder.filters * _FEED_FORWARD * _CODER_COPIES


def encoder_bytes(coder: CoderConfig, itemsize: int) -> int:
    """Weights of the acoustic encoder, which is loaded again for as long as a new voice is encoded."""
    with shapes_only():
        return sum(parameter.numel() for parameter in Encoder(coder).parameters()) * itemsize

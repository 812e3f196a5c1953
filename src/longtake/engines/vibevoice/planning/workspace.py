"""What a beat holds for a moment, and what is then left for keys and values. Knows no device, imports no torch.

An upper estimate of what lies beside weights, keys and values, and the states of the coders: it is what admission
leaves free on a device of its own. What a beat does it does one after the other: a voice is encoded, or a piece of a
prompt is read, or frames are made.
"""

from __future__ import annotations

from itertools import count, takewhile

from longtake.core.memory import SHARE_OF_FREE
from longtake.engines.vibevoice.network.config import SAMPLES_PER_FRAME, CoderConfig, VibeVoiceConfig
from longtake.engines.vibevoice.planning.footprint import ACOUSTIC_ENCODER, Dtypes, weights
from longtake.nn.decoder_config import MASK_CELLS

READ_AT_ONCE = 512  # positions of one beat
FRAMES_AT_ONCE = 8  # the most of a voice encoded at once, or of a past replayed
DEVICE_SHARE = 0.95  # of what is free on a device of its own: rows are rounded up, and others may use it, too

_RECORDED_PARTS = ("decode", "diffuse", "code")
# Copies of its widest layer that a network holds at once, counted while it ran (tests/unit/.../test_workspace.py).
_READER_COPIES = 2
_CODER_COPIES = 4
_GRAPH_BYTES = 8 << 20  # of a recorded part of a step: some 8 KiB for each of its operations; not measured yet
_FEED_FORWARD = 4  # a coder's inner width, in its channels
_SLACK_BYTES = 64 << 20  # libraries' own: cuBLAS takes 32 MiB at its first product, cuDNN about as much
# On the host: what loading an encoder takes beside it, and what the C library keeps of what was freed: 32 to 40 MB were
# seen, whatever the model (ADR 25).
_HOST_SLACK_BYTES = 40 << 20
_HOST_CODEC_ITEMSIZE = 4  # at least: the kernels of narrower types compute in float32
_BLOCK_BYTES = 64 << 20  # some rows of a quantized matrix, in full; four copies, two of them in float32


def workspace_bytes(
    config: VibeVoiceConfig,
    *,
    itemsize: int,
    codec_itemsize: int,
    positions: int,
    streams: int,
    frames: int,
    encoder: int = 0,
    on_host: bool = False,
) -> int:
    """The most of what reading a prompt, a step of all streams and the encoding of a voice take, one after the other.

    Args:
        itemsize: Bytes of a number of the decoder.
        codec_itemsize: Of the coders.
        positions: Read at once.
        streams: That speak at once, a frame each.
        frames: Of a voice encoded at once, or of a past replayed.
        encoder: Bytes of the weights that are there while a voice is encoded.
        on_host: Memory is the host's, and libraries keep less of it.
    """
    reading = reading_bytes(config, itemsize=itemsize, positions=positions)
    speaking = coding_bytes(config, codec_itemsize=codec_itemsize, frames=streams)
    encoding = encoder + coding_bytes(config, codec_itemsize=codec_itemsize, frames=frames)
    return max(reading, speaking, encoding) + (_HOST_SLACK_BYTES if on_host else _SLACK_BYTES)


def beat_bytes(config: VibeVoiceConfig, sizes: Dtypes, streams: int, *, on_host: bool = False) -> int:
    """`workspace_bytes` of an engine for so many streams, which loads the acoustic encoder for a new voice."""
    needed = workspace_bytes(
        config,
        itemsize=sizes.model,
        codec_itemsize=codec_itemsize(sizes, on_host=on_host),
        positions=READ_AT_ONCE,
        streams=streams,
        frames=FRAMES_AT_ONCE,
        encoder=encoder_bytes(config, sizes),
        on_host=on_host,
    )
    return needed if config.quantization is None else needed + _BLOCK_BYTES


def reading_bytes(config: VibeVoiceConfig, *, itemsize: int, positions: int = READ_AT_ONCE) -> int:
    """What a piece of a prompt takes while it is read."""
    decoder = config.decoder
    # Gate and up, their product, and the residual; and the mask, as truth and as numbers to be added.
    widest = 3 * decoder.intermediate_size + 4 * decoder.hidden_size
    cells = min(positions * config.window, MASK_CELLS)
    return positions * _READER_COPIES * widest * itemsize + cells * (1 + itemsize)


def coding_bytes(config: VibeVoiceConfig, *, codec_itemsize: int, frames: int = FRAMES_AT_ONCE) -> int:
    """What so many frames take while they are made, heard, or encoded as a voice."""
    return frames * max(_of_frame(config.acoustic), _of_frame(config.semantic)) * codec_itemsize


def _of_frame(coder: CoderConfig) -> int:
    """Numbers of one frame next to the waveform, where a coder is widest: later stages halve time and double channels
    at most."""
    return SAMPLES_PER_FRAME * coder.filters * _FEED_FORWARD * _CODER_COPIES


def graph_bytes(config: VibeVoiceConfig, sizes: Dtypes, streams: int) -> int:
    """What CUDA graphs hold of a device: each itself, and a pool of their own for what passes between operations."""
    pool = coding_bytes(config, codec_itemsize=sizes.codec, frames=streams)
    return pool + len(_RECORDED_PARTS) * len(batch_sizes(streams)) * _GRAPH_BYTES


def batch_sizes(streams: int) -> list[int]:
    """For which batches a step is recorded: 1, 2, 4 … and the most, so that none is filled up to twice its size."""
    return [*takewhile(lambda size: size < streams, (1 << exponent for exponent in count())), streams]


def codec_itemsize(sizes: Dtypes, *, on_host: bool) -> int:
    """Bytes of a number that the coders compute with."""
    return max(sizes.codec, _HOST_CODEC_ITEMSIZE) if on_host else sizes.codec


def encoder_bytes(config: VibeVoiceConfig, sizes: Dtypes) -> int:
    """Weights of the acoustic encoder, which is loaded again for as long as a new voice is encoded."""
    return weights(config, sizes)[ACOUSTIC_ENCODER]


def requests_room(free_bytes: int, config: VibeVoiceConfig, sizes: Dtypes, streams: int) -> int:
    """What requests may hold of a device's own memory.

    Args:
        free_bytes: Beside the resident model and its states.
    """
    return max(0, int((free_bytes - device_workspace(config, sizes, streams)) * DEVICE_SHARE))


def device_workspace(config: VibeVoiceConfig, sizes: Dtypes, streams: int) -> int:
    """What is left free on a device of its own beside the resident model, its states, keys and values."""
    return beat_bytes(config, sizes, streams) + graph_bytes(config, sizes, streams)


def host_workspace(config: VibeVoiceConfig, sizes: Dtypes, streams: int) -> int:
    """The same of host memory, where no graphs are."""
    return beat_bytes(config, sizes, streams, on_host=True)


def host_room(free_bytes: int) -> int:
    """The same of host memory, where the encoder, the store and everyone else on the machine live, too."""
    return max(0, int(free_bytes * SHARE_OF_FREE))

"""The shapes of the models that are known by name. Imports no torch; knows no weights.

vibevoice-1.5b, random:1.5b    2.7 G parameters
vibevoice-7b, random:7b        9.3 G
random:small                   114 M
random:tiny                    16 M
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from longtake.core.errors import NotFoundError
from longtake.engines.vibevoice.network.config import CoderConfig, HeadConfig, VibeVoiceConfig
from longtake.engines.vibevoice.weights.config_file import load_config
from longtake.engines.vibevoice.weights.hub import random_name
from longtake.nn.decoder_config import DecoderConfig

_REAL_DEPTHS = (3, 3, 3, 3, 3, 3, 8)


def _config(decoder: DecoderConfig, *, filters: int, depths: tuple[int, ...]) -> VibeVoiceConfig:
    return VibeVoiceConfig(
        decoder=decoder,
        acoustic=CoderConfig(64, filters, depths),
        semantic=CoderConfig(128, filters, depths),
        head=HeadConfig(decoder.hidden_size),
    )


# DecoderConfig(hidden, layers, heads, key heads, feed-forward, vocabulary, window)
CONFIGS: Mapping[str, VibeVoiceConfig] = MappingProxyType(
    {
        "tiny": _config(DecoderConfig(64, 3, 4, 2, 160, 151_936, 65_536), filters=4, depths=(1, 1, 1, 1, 1, 1, 2)),
        "small": _config(DecoderConfig(256, 6, 4, 2, 1024, 151_936, 65_536), filters=8, depths=_REAL_DEPTHS),
        "1.5b": _config(DecoderConfig(1536, 28, 12, 2, 8960, 151_936, 65_536), filters=32, depths=_REAL_DEPTHS),
        "7b": _config(DecoderConfig(3584, 28, 28, 4, 18_944, 152_064, 32_768), filters=32, depths=_REAL_DEPTHS),
    }
)
"""NAME of ``random:NAME`` → shape."""

_SIZES = {"1.5b": "1.5b", "7b": "7b", "large": "7b"}  # what the names of published checkpoints hold


def random_config(name: str) -> VibeVoiceConfig:
    """
    Raises:
        NotFoundError: There is no such size (code ``unknown_model``).
    """
    if name not in CONFIGS:
        known = ", ".join(f"random:{size}" for size in CONFIGS)
        raise NotFoundError(f"There is no model random:{name}. Known: {known}.", code="unknown_model", param="model")
    return CONFIGS[name]


def config_of(model: str | None) -> VibeVoiceConfig:
    """The shape of what ``--model`` names, without a download: a folder is read, a published name is known.

    Args:
        model: None: what is loaded when nothing is named.

    Raises:
        InputError: The folder holds no configuration of ours, or the name tells no size.
    """
    if model is None:
        return CONFIGS["1.5b"]
    if (random := random_name(model)) is not None:
        return random_config(random)
    folder = Path(model).expanduser()
    if model and folder.is_dir():
        return load_config(folder)
    name = model.lower().rpartition("/")[2]
    for word, size in _SIZES.items():
        if word in name:
            return CONFIGS[size]
    raise NotFoundError(
        f"The size of {model!r} is not known without loading it. Give vibevoice-1.5b, vibevoice-7b, random:NAME, or "
        "the folder of the checkpoint.",
        code="unknown_model",
        param="model",
    )

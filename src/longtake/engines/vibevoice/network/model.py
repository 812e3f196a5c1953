"""A whole VibeVoice model: its parts under the names of the checkpoint. Knows no file and no loop."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from longtake.core.errors import CapacityError
from longtake.engines.vibevoice.network.codec import AcousticDecoder, Encoder
from longtake.engines.vibevoice.network.config import CoderConfig, VibeVoiceConfig
from longtake.engines.vibevoice.network.connector import Connector
from longtake.engines.vibevoice.network.head import DiffusionHead
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS
from longtake.engines.vibevoice.network.quantized import quantize_modules
from longtake.nn.affine import Packable
from longtake.nn.decoder import Decoder
from longtake.nn.shapes import shapes_only

ENCODER = "acoustic_tokenizer.encoder"


class VibeVoiceModel(nn.Module):
    """The parts; `checkpoint.load_model` and `random_model.build_random` make one with weights.

    Names are the original ones below ``model.``; `names` has the exceptions.

    | buffer                  | shape | |
    |-------------------------|-------|-----------------------------------------------------------------|
    | speech_scaling_factor   | ()    | float32; latents in scaled space are (z + bias) · scaling         |
    | speech_bias_factor      | ()    | float32                                                         |
    """

    speech_scaling_factor: Tensor
    speech_bias_factor: Tensor

    def __init__(self, config: VibeVoiceConfig) -> None:
        super().__init__()
        hidden = config.decoder.hidden_size
        self.config = config
        self.language_model = Decoder(config.decoder)
        self.acoustic_tokenizer = AcousticTokenizer(config.acoustic)
        self.semantic_tokenizer = SemanticTokenizer(config.semantic)
        self.acoustic_connector = Connector(config.acoustic.latent_dim, hidden)
        self.semantic_connector = Connector(config.semantic.latent_dim, hidden)
        self.prediction_head = DiffusionHead(config.head)
        self.control_head = nn.Linear(hidden, len(CONTROL_TOKENS), bias=False)
        self.register_buffer("speech_scaling_factor", torch.ones((), dtype=torch.float32))
        self.register_buffer("speech_bias_factor", torch.zeros((), dtype=torch.float32))
        self.requires_grad_(False)

    @property
    def dtype(self) -> torch.dtype:
        """Of decoder, diffusion head and connectors."""
        return self.control_head.weight.dtype

    @property
    def codec_dtype(self) -> torch.dtype:
        """Of the acoustic and semantic coders."""
        return next(self.acoustic_tokenizer.parameters()).dtype

    @property
    def device(self) -> torch.device:
        return self.control_head.weight.device

    @property
    def weights_bytes(self) -> int:
        """Bytes of all parameters, on whatever device, packed or not."""
        own = sum(part.packed_bytes for part in self.modules() if isinstance(part, Packable))
        return own + sum(parameter.nbytes for parameter in self.parameters())


class AcousticTokenizer(nn.Module):
    """Samples to latents (voices only; the encoder may be shed) and back."""

    encoder: Encoder | None

    def __init__(self, config: CoderConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.decoder = AcousticDecoder(config)


class SemanticTokenizer(nn.Module):
    """Samples to what is said in them."""

    def __init__(self, config: CoderConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)


def build_meta(config: VibeVoiceConfig) -> VibeVoiceModel:
    """The model without memory, in milliseconds: names and shapes only."""
    with shapes_only():
        model = VibeVoiceModel(config)
        if config.quantization is not None:
            quantize_modules(model, config.quantization)
    return model


def allocate(
    model: VibeVoiceModel, *, dtype: torch.dtype, device: torch.device | str, codec_dtype: torch.dtype | None = None
) -> None:
    """Give a model from `build_meta` its memory, to be written by the caller, in place.

    The embedding stays on the host where the device has memory of its own: of 0.5 to 1.1 GB, speaking reads four rows,
    of which the board has a copy; a prompt's rows are gathered on the host.

    Args:
        codec_dtype: Of the acoustic and semantic coders; absent: `dtype`. The two factors are float32 always.

    Raises:
        CapacityError: The device has no room.
    """
    for name, part in model.named_children():
        part.to(dtype if codec_dtype is None or not name.endswith("_tokenizer") else codec_dtype)
    try:
        # A tensor born in inference mode could not be written to outside of it.
        with torch.inference_mode(False):
            for module in model.modules():
                module.to_empty(device=_home(module, torch.device(device)), recurse=False)
    except RuntimeError as error:
        # On the CPU torch has no error of its own for this.
        if not isinstance(error, torch.OutOfMemoryError) and "not enough memory" not in str(error):
            raise
        raise CapacityError(
            f"The model's weights take {model.weights_bytes / 1e9:.2f} GB, and {device} has no room for them. Free "
            "memory there, take a smaller model, or half precision.",
            code="model_does_not_fit",
        ) from error


def _home(module: nn.Module, device: torch.device) -> torch.device:
    return torch.device("cpu") if device.type == "cuda" and isinstance(module, nn.Embedding) else device

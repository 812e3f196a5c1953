"""Reads the ``config.json`` of a VibeVoice checkpoint, in either layout. Knows no weights.

Two layouts are about: the original one (``decoder_config``, ``acoustic_tokenizer_config``, …) and that of transformers
(``text_config``, ``audio_config``, …; the checkpoints whose names end with ``-hf``). A value that our network does not
implement is refused here: ignored, it would turn speech into noise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from longtake.core.errors import InputError, NotFoundError
from longtake.engines.vibevoice.network.config import (
    LATENT_DIM,
    SAMPLES_PER_FRAME,
    CoderConfig,
    HeadConfig,
    VibeVoiceConfig,
)
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS
from longtake.engines.vibevoice.network.quantization import Quantization, read_config
from longtake.nn.decoder_config import DecoderConfig

CONFIG = "config.json"
_NOISE_SHARE = 0.8  # the reference draws a voice's noise with fix_std / 0.8


def load_config(folder: Path) -> VibeVoiceConfig:
    """The shape of the model in that folder.

    Raises:
        NotFoundError: The folder has no ``config.json`` (code ``no_checkpoint``).
        InputError: The file is not a VibeVoice text-to-speech configuration, lacks a size, or asks for something that
            is not implemented (code ``bad_config``).
    """
    path = folder / CONFIG
    if not path.is_file():
        raise NotFoundError(
            f"{folder} is no VibeVoice checkpoint: it has no config.json. Give a folder with config.json and "
            "*.safetensors, or the id of such a repository.",
            code="no_checkpoint",
            param="model",
        )
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise _bad(path, f"cannot be read as JSON ({error}); fetch it again") from error
    if not isinstance(raw, dict):
        raise _bad(path, f"holds a {type(raw).__name__}, not an object")
    whole = _Section(path, "", raw)
    if raw.get("model_type") != "vibevoice":
        raise _bad(
            path,
            f"has model_type {raw.get('model_type')!r}; only 'vibevoice' (VibeVoice 1.5B and 7B, text to speech) can "
            "speak here, not the streaming and the recognition models",
        )
    config = _from_hf(whole) if "text_config" in raw else _from_original(whole)
    return replace(config, quantization=_quantization(whole))


def _quantization(whole: _Section) -> Quantization | None:
    written = whole.values.get("quantization_config")
    if not written:
        return None
    found = read_config(written) if isinstance(written, dict) else None
    if found is None:
        raise _bad(
            whole.path,
            f"describes quantized weights that are not read here (quantization_config {written!r}); take the "
            "checkpoint in bfloat16, float16 or float32, or one that `longtake quantize` has made of it",
        )
    return found


class _Section:
    """A JSON object that knows its place, for messages."""

    def __init__(self, path: Path, name: str, values: Mapping[str, Any]) -> None:
        self.path = path
        self.name = name
        self.values = values

    def section(self, key: str) -> _Section:
        value = self.values.get(key)
        if not isinstance(value, dict):
            raise _bad(self.path, f"has no section {self._full(key)}")
        return _Section(self.path, self._full(key), value)

    def size(self, key: str) -> int:
        """A whole number of at least 1."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise _bad(self.path, f"has {self._full(key)} = {value!r}, which must be a whole number from 1")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise _bad(self.path, f"has {self._full(key)} = {value!r}, which must be a number from 0")
        return float(value)

    def sizes(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers, or a string of them such as ``3-3-8``."""
        value = self.values.get(key)
        parts: Sequence[Any] = value if isinstance(value, list) else str(value).split("-")
        try:
            numbers = tuple(int(part) for part in parts)
        except (TypeError, ValueError):
            numbers = ()
        if not numbers or min(numbers) < 1:
            raise _bad(self.path, f"has {self._full(key)} = {value!r}, which must be a list such as 3-3-3-3-3-3-8")
        return numbers

    def only(self, key: str, *allowed: Any) -> None:
        """Absent, or one of the values that are implemented."""
        if key in self.values and self.values[key] not in allowed:
            wanted = " or ".join(repr(value) for value in allowed)
            raise _bad(self.path, f"has {self._full(key)} = {self.values[key]!r}; only {wanted} is implemented")

    def _full(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key


def _from_original(whole: _Section) -> VibeVoiceConfig:
    decoder = _decoder(whole.section("decoder_config"))
    acoustic_section = whole.section("acoustic_tokenizer_config")
    acoustic = _original_coder(acoustic_section, whole.values.get("acoustic_vae_dim", LATENT_DIM))
    semantic = _original_coder(whole.section("semantic_tokenizer_config"), whole.values.get("semantic_vae_dim", 128))
    _same_decoder_side(acoustic_section, acoustic)
    head_section = whole.section("diffusion_head_config")
    head_section.only("prediction_type", "v_prediction")
    head_section.only("ddpm_beta_schedule", "cosine")
    head_section.only("ddpm_num_steps", 1000)
    head_section.only("hidden_size", decoder.hidden_size)
    head_section.only("latent_size", acoustic.latent_dim)
    head = HeadConfig(
        hidden_size=decoder.hidden_size,
        layers=head_section.size("head_layers"),
        ffn_ratio=head_section.number("head_ffn_ratio"),
        latent_dim=acoustic.latent_dim,
        norm_eps=head_section.number("rms_norm_eps", 1e-5),
    )
    return VibeVoiceConfig(decoder, acoustic, semantic, head, acoustic_section.number("fix_std") / _NOISE_SHARE)


def _from_hf(whole: _Section) -> VibeVoiceConfig:
    decoder = _decoder(whole.section("text_config"))
    audio = whole.section("audio_config")
    acoustic = _hf_coder(audio)
    semantic = _hf_coder(whole.section("semantic_model_config"))
    head_section = whole.section("diffusion_head_config")
    head_section.only("hidden_act", "silu")
    head_section.only("mlp_bias", False)
    head_section.only("frequency_embedding_size", 256)
    head_section.only("diffusion_max_period", 10000)
    head_section.only("hidden_size", decoder.hidden_size)
    head_section.only("latent_size", acoustic.latent_dim)
    # Its own width is not hidden * ratio but a number; the ratio is chosen so that rounding down gives it back.
    ffn_size = head_section.size("intermediate_size")
    head = HeadConfig(
        hidden_size=decoder.hidden_size,
        layers=head_section.size("num_hidden_layers"),
        ffn_ratio=_ratio(ffn_size, decoder.hidden_size),
        latent_dim=acoustic.latent_dim,
        norm_eps=head_section.number("rms_norm_eps", 1e-5),
    )
    return VibeVoiceConfig(decoder, acoustic, semantic, head, audio.number("vae_std", 0.625))


def _decoder(section: _Section) -> DecoderConfig:
    section.only("model_type", "qwen2")
    section.only("hidden_act", "silu")
    section.only("use_sliding_window", False)
    section.only("rope_scaling", None)
    rope = section
    if isinstance(section.values.get("rope_parameters"), dict):  # transformers 5
        rope = section.section("rope_parameters")
        rope.only("rope_type", "default")
    config = DecoderConfig(
        hidden_size=section.size("hidden_size"),
        num_hidden_layers=section.size("num_hidden_layers"),
        num_attention_heads=section.size("num_attention_heads"),
        num_key_value_heads=section.size("num_key_value_heads"),
        intermediate_size=section.size("intermediate_size"),
        vocab_size=section.size("vocab_size"),
        max_position_embeddings=section.size("max_position_embeddings"),
        rope_theta=rope.number("rope_theta"),
        rms_norm_eps=section.number("rms_norm_eps", 1e-6),
    )
    if config.hidden_size % config.num_attention_heads or config.num_attention_heads % config.num_key_value_heads:
        raise _bad(
            section.path,
            f"has {config.hidden_size} channels, {config.num_attention_heads} heads and {config.num_key_value_heads} "
            "key heads; each must be a multiple of the next",
        )
    section.only("head_dim", config.head_dim)
    if config.vocab_size <= max(CONTROL_TOKENS):
        raise _bad(
            section.path, f"has a vocabulary of {config.vocab_size}; the control tokens reach {max(CONTROL_TOKENS)}"
        )
    return config


def _original_coder(section: _Section, latent_dim: object) -> CoderConfig:
    section.only("causal", True)
    section.only("channels", 1)
    section.only("conv_bias", True)
    section.only("conv_norm", "none")
    section.only("disable_last_norm", True)
    section.only("layernorm", "RMSNorm")
    section.only("layernorm_elementwise_affine", True)
    section.only("mixer_layer", "depthwise_conv")
    section.only("pad_mode", "constant")
    section.only("vae_dim", latent_dim)
    return _coder(
        section,
        latent_dim=section.size("vae_dim"),
        filters=section.size("encoder_n_filters"),
        depths=section.sizes("encoder_depths"),
        ratios=section.sizes("encoder_ratios"),
        norm_eps=section.number("layernorm_eps", 1e-5),
    )


def _same_decoder_side(section: _Section, coder: CoderConfig) -> None:
    """One `CoderConfig` describes encoder and decoder: the decoder must be the encoder's mirror image."""
    section.only("decoder_n_filters", None, coder.filters)
    section.only("decoder_ratios", None, list(coder.ratios))
    if section.values.get("decoder_depths") is not None and section.sizes("decoder_depths") != coder.depths[::-1]:
        raise _bad(
            section.path,
            f"has decoder_depths {section.values['decoder_depths']!r}; only the encoder's in reverse is implemented",
        )


def _hf_coder(section: _Section) -> CoderConfig:
    section.only("channels", 1)
    section.only("kernel_size", 7)
    section.only("ffn_expansion", 4)
    section.only("hidden_act", "gelu")
    return _coder(
        section,
        latent_dim=section.size("hidden_size"),
        filters=section.size("num_filters"),
        depths=section.sizes("depths"),
        ratios=section.sizes("downsampling_ratios")[::-1],  # there from the waveform inwards, here outwards
        norm_eps=section.number("rms_norm_eps", 1e-5),
    )


def _coder(
    section: _Section,
    *,
    latent_dim: int,
    filters: int,
    depths: tuple[int, ...],
    ratios: tuple[int, ...],
    norm_eps: float,
) -> CoderConfig:
    if len(depths) != len(ratios) + 1:
        raise _bad(
            section.path,
            f"has {len(depths)} depths and {len(ratios)} ratios in {section.name}; there is one stage more than ratios",
        )
    coder = CoderConfig(latent_dim, filters, depths, ratios, norm_eps)
    if coder.samples_per_frame != SAMPLES_PER_FRAME:
        raise _bad(
            section.path,
            f"has {coder.samples_per_frame} samples a frame in {section.name}; only {SAMPLES_PER_FRAME} is implemented",
        )
    return coder


def _ratio(ffn_size: int, hidden_size: int) -> float:
    ratio = ffn_size / hidden_size
    return ratio if int(hidden_size * ratio) == ffn_size else math.nextafter(ratio, math.inf)


def _bad(path: Path, what: str) -> InputError:
    return InputError(f"{path} {what}.", code="bad_config", param="model")

"""How a checkpoint's tensors are called, and where each goes in our model. Knows no file and no tensor.

    transformers name  ->  original name  ->  our parameter, and its rows

Ours are the original names without ``model.``, except that some projections lie in one parameter, one below the other:

| parameter                                    | rows, in this order        |
|----------------------------------------------|----------------------------|
| ``…self_attn.qkv_proj.weight`` / ``.bias``   | q_proj, k_proj, v_proj     |
| ``language_model…mlp.gate_up_proj.weight``   | gate_proj, up_proj         |
| ``prediction_head…ffn.gate_up_proj.weight``  | gate_proj, up_proj         |
| ``control_head.weight``                      | the four `CONTROL_TOKENS`  |

Proven against the released models' manifests and the one-to-one maps in tests/golden/vibevoice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from longtake.engines.vibevoice.network.config import VibeVoiceConfig

START, END, DIFFUSION, EOS = 151652, 151653, 151654, 151643
CONTROL_TOKENS = (START, END, DIFFUSION, EOS)
"""The tokens that the model may choose, in the order of `control_head`'s rows."""

EMBEDDING = "model.language_model.embed_tokens.weight"
LM_HEAD = "lm_head.weight"
CONTROL_HEAD = "control_head.weight"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a checkpoint's tensor goes.

    Attributes:
        parameter: Name in our model.
        rows: First row and the one after the last; None is the whole parameter (of `CONTROL_HEAD`: the rows of
            `CONTROL_TOKENS` are taken from the tensor).
    """

    parameter: str
    rows: tuple[int, int] | None = None


def to_original(name: str) -> str:
    """The original name of a tensor that transformers (4.57 to 5.23) wrote; an original name stays what it is."""
    for old, new in _HF_PREFIXES:
        if name.startswith(old):
            name = new + name[len(old) :]
            break
    for pattern, replace in _HF_RULES:
        name = pattern.sub(replace, name)
    return name


def places(parameters: Iterable[str], config: VibeVoiceConfig) -> dict[str, Place]:
    """Original name → place, for every tensor that fills these parameters of ours.

    `LM_HEAD` fills ``control_head.weight``; where a checkpoint has none (tied), `EMBEDDING` does.
    """
    found: dict[str, Place] = {}
    for parameter in parameters:
        if parameter == CONTROL_HEAD:
            found[LM_HEAD] = Place(parameter)
            continue
        for fused, rows in _FUSED:
            if match := fused.fullmatch(parameter):
                for part, place in rows(config).items():
                    found[f"model.{match['before']}{part}.{match['kind']}"] = Place(parameter, place)
                break
        else:
            found[f"model.{parameter}"] = Place(parameter)
    return found


def is_ignored(name: str) -> bool:
    """True for tensors that some checkpoints carry and no model needs: constants that follow from the configuration."""
    return _IGNORED.search(name) is not None


_HF_PREFIXES = (
    ("model.latent_scaling_factor", "model.speech_scaling_factor"),
    ("model.latent_bias_factor", "model.speech_bias_factor"),
    ("model.audio_tower.", "model.acoustic_tokenizer."),
    ("model.semantic_tokenizer_encoder.", "model.semantic_tokenizer.encoder."),
    ("model.multi_modal_projector.", "model.acoustic_connector."),
    ("model.diffusion_head.", "model.prediction_head."),
)


def _next_stage(found: re.Match[str]) -> str:
    """The stem is stage 0, so ``conv_layers.0`` is stage 1."""
    return _stage(found, int(found["index"]) + 1)


def _stage(found: re.Match[str], stage: int = 0) -> str:
    coder, rest = found["coder"], found["rest"]
    if rest.startswith("stage."):
        return f"{coder}stages.{stage}.{rest.removeprefix('stage.')}"
    sampling = "upsample_layers" if coder.endswith("decoder.") else "downsample_layers"
    return f"{coder}{sampling}.{stage}.0.{rest}"


_CODER = r"(?P<coder>model\.(?:acoustic|semantic)_tokenizer\.(?:en|de)coder\.)"
_HF_RULES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(rf"^{_CODER}stem\.(?P<rest>.*)$"), _stage),
    (re.compile(rf"^{_CODER}conv_layers\.(?P<index>\d+)\.(?P<rest>.*)$"), _next_stage),
    (re.compile(r"(\.stages\.\d+\.\d+\.mixer)\.conv\.(weight|bias)$"), r"\1.conv.conv.conv.\2"),
    (re.compile(r"(\.(?:en|de)coder\.head)\.conv\.(weight|bias)$"), r"\1.conv.conv.\2"),
    (re.compile(r"(_connector)\.linear_(\d)\."), r"\1.fc\2."),
    (re.compile(r"(_connector)\.act\."), r"\1.norm."),
    # The time embedder was called timestep_embedder.layer_1/2 before it became timestep_proj.fc1/fc2.
    (re.compile(r"\.(?:timestep_proj\.fc|timestep_embedder\.layer_)1\."), ".t_embedder.mlp.0."),
    (re.compile(r"\.(?:timestep_proj\.fc|timestep_embedder\.layer_)2\."), ".t_embedder.mlp.2."),
    (re.compile(r"(prediction_head\.layers\.\d+)\.linear\."), r"\1.adaLN_modulation.1."),
    (re.compile(r"(prediction_head\.final_layer)\.linear_1\."), r"\1.adaLN_modulation.1."),
    (re.compile(r"(prediction_head\.final_layer)\.linear_2\."), r"\1.linear."),
)
_IGNORED = re.compile(r"\.rotary_emb\.inv_freq$|_tokenizer\.fix_std$")


def _qkv_rows(config: VibeVoiceConfig) -> dict[str, tuple[int, int]]:
    decoder = config.decoder
    q = decoder.num_attention_heads * decoder.head_dim
    kv = decoder.num_key_value_heads * decoder.head_dim
    return {"q_proj": (0, q), "k_proj": (q, q + kv), "v_proj": (q + kv, q + 2 * kv)}


def _gate_up_rows(size: int) -> dict[str, tuple[int, int]]:
    return {"gate_proj": (0, size), "up_proj": (size, 2 * size)}


_FUSED: tuple[tuple[re.Pattern[str], Callable[[VibeVoiceConfig], dict[str, tuple[int, int]]]], ...] = (
    (re.compile(r"(?P<before>language_model\..*\.)qkv_proj\.(?P<kind>weight|weight_scale|bias)"), _qkv_rows),
    (
        re.compile(r"(?P<before>language_model\..*\.)gate_up_proj\.(?P<kind>weight|weight_scale)"),
        lambda config: _gate_up_rows(config.decoder.intermediate_size),
    ),
    (
        re.compile(r"(?P<before>prediction_head\..*\.)gate_up_proj\.(?P<kind>weight|weight_scale)"),
        lambda config: _gate_up_rows(config.head.ffn_size),
    ),
)

"""transformers' own VibeVoice with the very weights of our model, and its `generate` as what ours is measured against.

Weights are shared wherever both store them alike; matrices that we keep fused are views of ours. What lies in memory in
another order with us (convolutions) and the embedding, of which our random models write only the rows that they need,
are copies: the rival reads each weight in the order in which it was written for it.

`generate` wants diffusers for its solver. Where that is not installed, `TableSolver` stands in for it: the same numbers
with a few operations a step, so the rival is faster with it than as shipped (measured: README).
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from longtake.engines.vibevoice.decoding.solver import Solver, SolverTable, solver_table
from longtake.engines.vibevoice.network.config import CoderConfig, VibeVoiceConfig
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS, DIFFUSION, EMBEDDING, LM_HEAD, places, to_original

GUIDANCE = 1.3
STEPS = 10


@dataclass(slots=True)
class Spoken:
    """What a call of `generate` gave.

    Attributes:
        frame_s, cpu_s: Seconds of each whole round of its loop, wall and CPU: from one choice of a token to the next.
        audio: One tensor of samples for each stream.
    """

    frame_s: list[float]
    cpu_s: list[float]
    audio: list[Tensor]


class Rival:
    """`VibeVoiceForConditionalGeneration` with our weights.

    Args:
        model: Ours, on the CPU or a GPU, its acoustic encoder shed or not: nothing here encodes a voice.
        use_diffusers: Solve with diffusers, which must be installed.
    """

    def __init__(self, model: VibeVoiceModel, *, use_diffusers: bool = False) -> None:
        from transformers import VibeVoiceForConditionalGeneration

        config = _to_transformers(model.config)
        with torch.device("meta"):
            self._network: Any = VibeVoiceForConditionalGeneration(config)
        _share_weights(model, self._network)
        self._network.train(False)
        self._steps = 0
        self._use_diffusers = use_diffusers

    def speak(
        self,
        ids: Tensor,
        frames: int,
        *,
        steps: int = STEPS,
        has_third_forward: bool = True,
        guidance: float = GUIDANCE,
    ) -> Spoken:
        """So many frames after a prompt without voices, whatever the weights would choose.

        Args:
            ids: Prompt, (streams, tokens).
            has_third_forward: As shipped: the guidance of the diffusion is taken for one of the tokens' logits, too,
                which costs a third forward of the decoder with the whole output head. False: that is switched off, and
                the diffusion is guided all the same.
        """
        network = self._network
        forced = _Forced()
        processors = type(network)._get_logits_processor

        def without_guidance(generation_config: Any, *args: Any, **kwargs: Any) -> Any:
            kept, generation_config.guidance_scale = generation_config.guidance_scale, None
            try:
                return processors(network, generation_config, *args, **kwargs)
            finally:
                generation_config.guidance_scale = kept

        if not has_third_forward:
            network._get_logits_processor = without_guidance
        try:
            audio = network.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=frames + 1,
                guidance_scale=guidance,
                do_sample=False,
                num_diffusion_steps=steps,
                logits_processor=[forced],
                **({} if self._use_diffusers else {"noise_scheduler": TableSolver()}),
            )
        finally:
            network.__dict__.pop("_get_logits_processor", None)
        return Spoken(
            [later - before for before, later in itertools.pairwise(forced.moments_s)],
            [later - before for before, later in itertools.pairwise(forced.cpu_s)],
            [stream.flatten()[: frames * 3200] for stream in audio],
        )


@dataclass(slots=True)
class _Forced:
    """Makes every choice a frame, and notes when it was asked."""

    moments_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if scores.device.type == "cuda":
            torch.cuda.synchronize()
        self.moments_s.append(time.perf_counter())
        self.cpu_s.append(time.thread_time())
        scores[:, DIFFUSION] = 1e9
        return scores


class TableSolver:
    """The part of a diffusers scheduler that `generate` calls, from our table of constants."""

    def __init__(self) -> None:
        self._table: SolverTable = solver_table(STEPS, Solver.ODE)
        self._previous: Tensor | None = None
        self._index = 0
        self.timesteps = torch.tensor(self._table.timesteps)

    def set_timesteps(self, num_inference_steps: int) -> None:
        if num_inference_steps != self._table.steps:
            self._table = solver_table(num_inference_steps, Solver.ODE)
            self.timesteps = torch.tensor(self._table.timesteps)
        self._index = 0

    def step(self, velocity: Tensor, timestep: Tensor, x: Tensor) -> SimpleNamespace:
        (from_x, from_v), (keep, gain, again, _) = (
            self._table.x0_coefs[self._index],
            self._table.step_coefs[self._index],
        )
        clean = from_x * x + from_v * velocity
        out = keep * x + gain * clean
        if again and self._previous is not None:
            out = out + again * self._previous
        self._previous = clean
        self._index += 1
        return SimpleNamespace(prev_sample=out)


def _to_transformers(config: VibeVoiceConfig) -> Any:
    from transformers import VibeVoiceConfig as TransformersConfig

    decoder, head = config.decoder, config.head
    return TransformersConfig(
        text_config={
            "model_type": "qwen2",
            "hidden_size": decoder.hidden_size,
            "intermediate_size": decoder.intermediate_size,
            "num_hidden_layers": decoder.num_hidden_layers,
            "num_attention_heads": decoder.num_attention_heads,
            "num_key_value_heads": decoder.num_key_value_heads,
            "max_position_embeddings": decoder.max_position_embeddings,
            "rms_norm_eps": decoder.rms_norm_eps,
            "rope_parameters": {"rope_theta": decoder.rope_theta, "rope_type": "default"},
            "vocab_size": decoder.vocab_size,
            "tie_word_embeddings": True,
        },
        audio_config=_coder(config.acoustic) | {"model_type": "vibevoice_acoustic_tokenizer"},
        semantic_model_config=_coder(config.semantic) | {"model_type": "vibevoice_acoustic_tokenizer_encoder"},
        diffusion_head_config={
            "model_type": "vibevoice_diffusion",
            "hidden_size": head.hidden_size,
            "intermediate_size": head.ffn_size,
            "num_hidden_layers": head.layers,
            "rms_norm_eps": head.norm_eps,
        },
        tie_word_embeddings=True,  # type: ignore[call-arg]
    )


def _coder(config: CoderConfig) -> dict[str, Any]:
    return {
        "hidden_size": config.latent_dim,
        "num_filters": config.filters,
        "depths": list(config.depths),
        "downsampling_ratios": list(config.ratios[::-1]),
        "rms_norm_eps": config.norm_eps,
    }


@torch.no_grad()
def _share_weights(model: VibeVoiceModel, network: nn.Module) -> None:
    ours = model.state_dict()
    wanted = places(ours, model.config)
    tensors: dict[str, Tensor] = {}
    for name, theirs in network.state_dict().items():
        original = to_original(name)
        if original in (EMBEDDING, LM_HEAD):
            continue
        if (place := wanted.get(original)) is None:  # of the acoustic encoder, if ours was shed
            tensors[name] = torch.zeros(theirs.shape, dtype=model.codec_dtype, device=model.device)
            continue
        tensor = ours[place.parameter]
        tensor = tensor if place.rows is None else tensor[slice(*place.rows)]
        tensors[name] = tensor.reshape(theirs.shape).contiguous()
    tensors[EMBEDDING] = tensors[LM_HEAD] = _embedding(model)
    network.load_state_dict(tensors, strict=True, assign=True)
    # Constants that no checkpoint holds were born without memory.
    for module in network.modules():
        if hasattr(module, "original_inv_freq"):
            rotary: Any = type(module)(module.config)
            module.inv_freq, module.original_inv_freq = rotary.inv_freq, rotary.original_inv_freq
        elif hasattr(module, "compute_default_freq"):
            module.freq = module.compute_default_freq(module.config)  # type: ignore[operator]
    network.to(model.device)


def _embedding(model: VibeVoiceModel) -> Tensor:
    """Ours, with noise in the rows that our random models leave unwritten; the control rows are those of our head."""
    ours = model.language_model.embed_tokens.weight
    noise = torch.randn(4096, ours.shape[1], generator=torch.Generator().manual_seed(0)).to(ours) / 4
    whole = noise.repeat(-(-len(ours) // len(noise)), 1)[: len(ours)]
    for rows in (slice(256), slice(min(CONTROL_TOKENS), max(CONTROL_TOKENS) + 1)):
        whole[rows] = ours[rows]
    return whole

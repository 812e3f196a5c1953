"""What the decoder reads before it speaks on: prompt, voices, and the steps that are behind it, as embeddings.

Shape suffixes: N positions, H hidden size, V frames of voices, F frames spoken before.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.network.names import DIFFUSION, START
from longtake.engines.vibevoice.prompting.prompt import Prompt
from longtake.engines.vibevoice.trace import Trace
from longtake.nn.mirror import to_device

LATENTS = slice(0, 64)
SEMANTICS = slice(64, None)


class Feed:
    """The inputs of both branches up to the step that comes next; embedded piece by piece, so that little is held.

    Positive branch: the prompt, then the result of each step behind it: a frame's embedding, or a token's.
    Negative branch: the inputs of the frame steps since the latest START, and nothing else: the reference's rule
    (golden README, behaviour 2). A frame step's input is the result of the step before it, at first the prompt's START.

    Args:
        voices: Speaker number → latents in scaled space, (K, 64) float32; as many as the prompt has places.
    """

    def __init__(self, model: VibeVoiceModel, prompt: Prompt, voices: Mapping[int, Tensor], past: Trace) -> None:
        self._model = model
        ids = torch.tensor([*prompt.token_ids, *past.tokens])
        self._speech = ids == DIFFUSION
        latents = torch.cat([torch.empty(0, 64), *(voices[speaker] for speaker in prompt.voice_places)])
        features_F192 = torch.from_numpy(past.features_F192)
        self._voice_frames = len(latents)
        self._latents = torch.cat([latents, features_F192[:, LATENTS]])
        self._semantics_F128 = features_F192[:, SEMANTICS]
        self._ids = ids
        self._frame_numbers = self._speech.cumsum(0) - 1  # of a speech position: its row in `_latents`
        self.negative = _negative_places(len(prompt.token_ids), past.tokens)

    def __len__(self) -> int:
        return len(self._ids)

    def embed(self, places_N: Tensor) -> Tensor:
        """Embeddings at these places, (N, H), in the decoder's type on its device.

        Args:
            places_N: int64, on the CPU.
        """
        model = self._model
        table = model.language_model.embed_tokens.weight  # may lie on the host: see `model.allocate`
        x_NH = to_device(table[self._ids[places_N].to(table.device)], model.device)
        speech = self._speech[places_N].nonzero()[:, 0]
        if len(speech):
            frames = self._frame_numbers[places_N[speech]]
            latents = self._latents[frames].to(model.device, model.dtype)
            embeds = model.acoustic_connector(latents)
            spoken = frames >= self._voice_frames
            if spoken.any():
                semantics = self._semantics_F128[frames[spoken] - self._voice_frames].to(model.device, model.dtype)
                embeds[spoken.to(model.device)] += model.semantic_connector(semantics)
            x_NH[speech.to(model.device)] = embeds
        return x_NH


def _negative_places(prompt_tokens: int, past: tuple[int, ...]) -> list[int]:
    """Where the inputs stand that the negative branch has seen."""
    places: list[int] = []
    for step, token in enumerate(past):
        if token == DIFFUSION:
            places.append(prompt_tokens - 1 + step)
        elif token == START:
            places.clear()
    return places

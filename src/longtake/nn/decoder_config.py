"""The shape of a Qwen2 decoder, and of the mask with which it reads. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

# Cells of the mask of a piece of a prompt: queries × positions that they may see. More queries are taken in pieces, so
# that what reading takes does not grow with what stands before.
MASK_CELLS = 1 << 20


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Sizes of a Qwen2 decoder; the names are those of its ``config.json``."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int
    rope_theta: float = 1_000_000.0
    rms_norm_eps: float = 1e-6

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

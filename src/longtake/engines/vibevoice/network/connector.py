"""From a codec's features to an embedding of the decoder. Knows not where the features come from.

Shape suffixes: N rows, C features of the codec, H hidden size of the decoder.
"""

from __future__ import annotations

from torch import Tensor, nn

from longtake.nn.affine import Affine
from longtake.nn.norm import RMSNorm

_NORM_EPS = 1e-6  # fixed in the reference, unlike the head's and the codecs' 1e-5


class Connector(nn.Module):
    """Two linear maps with an RMS norm between them, no activation. Made for inference: no gradients.

    Args:
        in_dim: Features of the codec: 64 acoustic, 128 semantic.
        hidden: Hidden size of the decoder.
    """

    def __init__(self, in_dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Affine(in_dim, hidden, is_narrow=True)
        self.norm = RMSNorm(hidden, _NORM_EPS)
        self.fc2 = Affine(hidden, hidden, is_narrow=True)
        self.requires_grad_(False)

    def forward(self, x_NC: Tensor) -> Tensor:
        """(N, H) embeddings of features that have the type and device of the weights."""
        embed_NH: Tensor = self.fc2(self.norm(self.fc1(x_NC)))
        return embed_NH

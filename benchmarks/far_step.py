"""A step behind ninety minutes and one behind next to nothing, in turns: what it takes beyond its attention.

The rows are filled with noise, which is read as speech is. Beyond attention nothing of a step should know how long it
has been speaking; times are CPU time of one thread.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch

from benchmarks.ours import Ours, Spoken
from longtake.engines.vibevoice.weights.random_model import build_random
from longtake.nn.affine import pack_all
from longtake.nn.decoder_config import DecoderConfig
from longtake.nn.kv import KVStore, Segment
from longtake.nn.memory import give_back

NEAR, TURNS, STEPS_A_TURN, UNCOUNTED = 200, 20, 12, 4  # the first of a turn find another's numbers in the caches


@dataclass(frozen=True, slots=True)
class Far:
    """CPU milliseconds of a step, behind little and behind much; and of the attention between both."""

    near_ms: float
    far_ms: float
    attention_ms: float

    @property
    def slowdown(self) -> float:
        """Beyond what attention must read."""
        return (self.far_ms - self.attention_ms) / self.near_ms


def measure_far(name: str, frames: int) -> Far:
    """
    Args:
        name: random:NAME; in float32.
        frames: Behind so many.
    """
    torch.set_num_threads(1)
    model = build_random(name.removeprefix("random:"), dtype=torch.float32, device="cpu")
    model.acoustic_tokenizer.encoder = None
    pack_all(model)
    give_back()
    ours, ids = Ours(model, 2), list(range(100, 100 + NEAR))
    steps = TURNS * STEPS_A_TURN
    near, far = ours._open(ids, steps, 0), ours._open(ids, frames + steps, 0)
    for row in (far.positive, far.negative):
        fill(ours.runner.kv, row, frames)
    far.position = far.context = frames
    taken: dict[int, list[float]] = {0: [], 1: []}
    with torch.inference_mode():
        for _ in range(TURNS):
            for which, stream in enumerate((near, far)):
                spoken = Spoken()
                for _ in range(STEPS_A_TURN):
                    ours._step([stream], spoken)
                taken[which].append(statistics.median(spoken.cpu_s[UNCOUNTED:]) * 1000)
    decoder = model.config.decoder
    between = attention_ms(decoder, frames) - attention_ms(decoder, NEAR)
    return Far(statistics.median(taken[0]), statistics.median(taken[1]), between)


def fill(store: KVStore, row: int, count: int) -> None:
    """Noise in so many positions of a row."""
    for keys, values in store._rows[row].layers:
        keys[:, :count].normal_()
        values[:, :count].normal_()
    store._rows[row].filled = count


def attention_ms(decoder: DecoderConfig, frames: int, *, repeats: int = 30) -> float:
    """CPU of the attention of one step, both rows, all layers, behind so many frames."""
    torch.set_num_threads(1)
    store = KVStore(
        layers=decoder.num_hidden_layers,
        kv_heads=decoder.num_key_value_heads,
        head_dim=decoder.head_dim,
        dtype=torch.float32,
        device="cpu",
    )
    rows = [store.open_row(frames) for _ in range(2)]
    for row in rows:
        fill(store, row, frames)
    new = torch.randn(2, decoder.num_key_value_heads, decoder.head_dim)
    with torch.inference_mode():
        query = torch.randn(2, decoder.num_attention_heads, decoder.head_dim)
        segments = [Segment(row, frames - 1, 1) for row in rows]
        taken = []
        for _ in range(repeats):
            begun = time.thread_time()
            for layer in range(decoder.num_hidden_layers):
                store.attend(layer, query, new, new, segments)
            taken.append(time.thread_time() - begun)
    return statistics.median(taken) * 1000

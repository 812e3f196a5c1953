"""What the benchmark compares with: transformers with our weights says what we say, packed or not."""

from __future__ import annotations

import pytest
import torch

from benchmarks.engine import prompt
from benchmarks.ours import Ours
from benchmarks.rival import Rival
from longtake.engines.vibevoice.weights.random_model import build_random
from longtake.nn.affine import pack_all

pytest.importorskip("transformers")


def test_the_rival_has_our_weights_and_says_the_same() -> None:
    torch.set_num_threads(1)
    model = build_random("tiny", dtype=torch.float32, device="cpu")
    rival = Rival(model)
    ids, frames = prompt(50), 4
    sounds = {}
    for third in (True, False):
        torch.manual_seed(3)
        said = rival.speak(torch.tensor([ids]), frames, has_third_forward=third)
        assert len(said.frame_s) == len(said.cpu_s) == frames
        sounds[f"third forward: {third}"] = said.audio[0]
    sounds["as loaded"] = torch.cat(Ours(model, 1).speak(ids, frames, seed=3).audio)
    pack_all(model)
    packed = Ours(model, 3).speak(ids, frames, seed=3, streams=3, has_parts=True)
    sounds["packed, beside others"] = torch.cat(packed.audio)
    assert all(len(each) == frames for each in packed.parts_s.values())
    assert len(packed.parts_s) == 4
    expected = sounds.pop("third forward: True")
    assert expected.abs().max() > 0.01
    for name, sound in sounds.items():
        assert (sound - expected).abs().max() < 1e-5, name

"""Noise follows from (seed, frame) and nothing else."""

from __future__ import annotations

import pytest
import torch

from longtake.engines.vibevoice.decoding.noise import FrameNoise, normal


def test_any_order_gives_the_same() -> None:
    forwards, backwards = FrameNoise(7, 3), FrameNoise(7, 3)
    one = [forwards.draw(frame) for frame in range(70)]
    other = [backwards.draw(frame) for frame in reversed(range(70))][::-1]
    for (noise, steps), (again, steps_again) in zip(one, other, strict=True):
        assert torch.equal(noise, again)
        assert steps is not None
        assert steps_again is not None
        assert torch.equal(steps, steps_again)


def test_seeds_frames_and_steps_differ() -> None:
    drawn = [FrameNoise(seed).draw(frame)[0] for seed in (1, 2) for frame in (0, 1, 31, 32)]
    noise, steps = FrameNoise(1, 2).draw(0)
    assert steps is not None
    assert len({tuple(each.tolist()) for each in drawn}) == len(drawn)
    assert len({tuple(each.tolist()) for each in (noise, *steps)}) == 3
    assert (noise.shape, steps.shape, noise.dtype) == ((64,), (2, 64), torch.float32)


def test_without_steps_there_is_no_noise_for_them() -> None:
    assert FrameNoise(1).draw(0)[1] is None


def test_it_is_standard_normal() -> None:
    numbers = torch.stack([FrameNoise(3).draw(frame)[0] for frame in range(500)])
    assert numbers.mean().item() == pytest.approx(0, abs=0.02)
    assert numbers.std().item() == pytest.approx(1, abs=0.02)


def test_the_numbers_never_change() -> None:
    """A job goes on after an upgrade with the noise that it began with."""
    assert normal((3,), 7, 0).tolist() == pytest.approx([1.208265, 0.653876, -0.867866], abs=2e-6)
    before = torch.random.get_rng_state()
    normal((3,), 1)
    assert torch.equal(before, torch.random.get_rng_state()), "the process's own generator is not touched"

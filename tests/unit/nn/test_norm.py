from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from longtake.nn.norm import RMSNorm, is_quick, rms_norm, rms_scale

torch.set_num_threads(1)


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("level", [0.0, 1e-6, 1e-3, 1.0, 1e6, 1e15])
@pytest.mark.parametrize("shape", [(1, 256), (3, 5, 8), (2, 2048)])
def test_it_is_the_norm_at_any_level_silence_too(shape: tuple[int, ...], level: float) -> None:
    x = level * numbers(*shape)
    expected = F.rms_norm(x.double(), shape[-1:], None, 1e-5).float()
    torch.testing.assert_close(rms_norm(x, 1e-5), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(x * rms_scale(x, 1e-5), expected, atol=1e-6, rtol=1e-5)
    norm = RMSNorm(shape[-1], 1e-5).requires_grad_(False)
    norm.weight.copy_(torch.arange(shape[-1]) / 7)
    torch.testing.assert_close(norm(x), expected * norm.weight, atol=1e-6, rtol=1e-5)


def test_each_eps_is_its_own() -> None:
    x = torch.full((1, 4), 1e-3)
    assert rms_norm(x, 1e-5)[0, 0] < rms_norm(x, 1e-6)[0, 0]


def test_half_precision_goes_the_usual_way() -> None:
    x = (0.7 * numbers(4, 512)).bfloat16()
    assert not is_quick(x)
    assert torch.equal(rms_norm(x, 1e-5), F.rms_norm(x, (512,), None, 1e-5))
    norm = RMSNorm(512, 1e-5).bfloat16()
    assert norm(x).dtype == torch.bfloat16


def test_the_input_is_not_written_to() -> None:
    x = numbers(3, 16)
    kept = x.clone()
    RMSNorm(16, 1e-6)(x)
    rms_norm(x, 1e-6)
    assert torch.equal(x, kept)

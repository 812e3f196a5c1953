"""The diffusion head against the reference's golden data; modulation made ahead is modulation made on the spot."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from longtake.engines.vibevoice.network.config import HeadConfig
from longtake.engines.vibevoice.network.head import DiffusionHead, time_features
from tests.support.golden import arrays, share_of_limit, toy_weights

torch.set_num_threads(1)


def fused_weights() -> dict[str, Tensor]:
    prefix = "model.prediction_head."
    weights = {name.removeprefix(prefix): w for name, w in toy_weights().items() if name.startswith(prefix)}
    for layer in range(4):
        gate, up = (weights.pop(f"layers.{layer}.ffn.{part}_proj.weight") for part in ("gate", "up"))
        weights[f"layers.{layer}.ffn.gate_up_proj.weight"] = torch.cat((gate, up))
    return weights


@functools.cache
def toy(dtype: torch.dtype = torch.float32) -> DiffusionHead:
    with torch.device("meta"):
        head = DiffusionHead(HeadConfig(hidden_size=64))
    head.load_state_dict({name: w.to(dtype) for name, w in fused_weights().items()}, strict=True, assign=True)
    return head


def assert_golden(name: str, ours: Tensor) -> None:
    share = share_of_limit("components", name, ours, arrays("components")[name])
    print(f"{name}: {share:.3f} of its limit")
    assert share <= 1


def rows(count: int, seed: int) -> Tensor:
    return torch.randn(count, 64, generator=torch.Generator().manual_seed(seed))


def test_names_and_shapes_are_those_of_the_checkpoint() -> None:
    shapes = {name: tuple(weight.shape) for name, weight in toy().state_dict().items()}
    assert shapes.keys() == fused_weights().keys()
    assert shapes["layers.3.ffn.gate_up_proj.weight"] == (384, 64)
    assert not any(weight.requires_grad for weight in toy().parameters())


def test_golden_time_features() -> None:
    assert_golden("time_embedding", time_features(arrays("components")["time_embedding_t"]))


def test_golden_time_embedding() -> None:
    assert_golden("head_time_mlp", toy().time_embedding(arrays("components")["head_t"]))


@pytest.mark.parametrize(("name", "scale"), [("head_out", 1), ("head_small_out", 0.001)])
def test_golden_velocity(name: str, scale: float) -> None:
    given = arrays("components")
    assert_golden(name, toy().predict(given["head_x"] * scale, given["head_t"], given["head_cond"]))


@pytest.mark.parametrize(("name", "scale"), [("head_out", 1), ("head_small_out", 0.001)])
def test_golden_velocity_with_modulation_made_ahead(name: str, scale: float) -> None:
    """All rows at all timesteps; the golden rows are those where row and timestep agree."""
    given = arrays("components")
    modulation_SBM = toy().modulate(given["head_cond"], toy().time_embedding(given["head_t"]))
    all_SB64 = torch.stack([toy()(given["head_x"] * scale, each) for each in modulation_SBM])
    assert_golden(name, torch.stack([all_SB64[i, i] for i in range(4)]))


def test_a_modulation_made_ahead_is_the_one_made_on_the_spot() -> None:
    x_B64, cond_BH, t_S = rows(3, 1), rows(3, 2), torch.tensor([999, 640, 2])
    modulation_SBM = toy().modulate(cond_BH, toy().time_embedding(t_S))
    assert modulation_SBM.shape == (3, 3, (3 * 4 + 2) * 64)
    for t, modulation_BM in zip(t_S, modulation_SBM, strict=True):
        expected = toy().predict(x_B64, t.expand(3), cond_BH)
        torch.testing.assert_close(toy()(x_B64, modulation_BM), expected, atol=1e-5, rtol=0)


def test_rows_together_are_rows_alone() -> None:
    x_B64, cond_BH, t_B = rows(5, 3), rows(5, 4), torch.tensor([999, 1, 500, 500, 20])
    together = toy().predict(x_B64, t_B, cond_BH)
    alone = [toy().predict(x_B64[i : i + 1], t_B[i : i + 1], cond_BH[i : i + 1]) for i in range(5)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)


def test_bfloat16_keeps_the_time_exact() -> None:
    """999 is not a bfloat16: were the sinusoids made in it, 999 and 1000 could not be told apart."""
    given, head = arrays("components"), toy(torch.bfloat16)
    embed = head.time_embedding(given["head_t"])
    assert embed.dtype == torch.bfloat16
    exact = given["head_time_mlp"]
    assert (embed.float() - exact).norm(dim=-1).div(exact.norm(dim=-1)).max() < 0.02


def test_bfloat16_follows_float32() -> None:
    given = arrays("components")
    x_B64, cond_BH = given["head_x"], given["head_cond"].bfloat16()  # the solver's state stays float32
    ours = toy(torch.bfloat16).predict(x_B64, given["head_t"], cond_BH)
    assert ours.dtype == torch.bfloat16
    error = (ours.float() - given["head_out"]).norm() / given["head_out"].norm()
    print(f"bfloat16: relative error {error:.4f}")
    assert error < 0.03

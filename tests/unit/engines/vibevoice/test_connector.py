"""The connectors against the reference's golden data."""

from __future__ import annotations

import functools

import pytest
import torch

from longtake.engines.vibevoice.network.connector import Connector
from tests.support.golden import arrays, share_of_limit, toy_weights

torch.set_num_threads(1)
KINDS = {"acoustic": 64, "semantic": 128}


@functools.cache
def toy(kind: str, dtype: torch.dtype = torch.float32) -> Connector:
    prefix = f"model.{kind}_connector."
    weights = {name.removeprefix(prefix): w.to(dtype) for name, w in toy_weights().items() if name.startswith(prefix)}
    with torch.device("meta"):
        connector = Connector(KINDS[kind], 64)
    connector.load_state_dict(weights, strict=True, assign=True)
    return connector


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("scale", "name"), [(1, "out"), (0.001, "small_out")])
def test_golden(kind: str, scale: float, name: str) -> None:
    given = arrays("components")
    share = share_of_limit(
        "components",
        f"conn_{kind}_{name}",
        toy(kind)(given[f"conn_{kind}_in"] * scale),
        given[f"conn_{kind}_{name}"],
    )
    print(f"{kind} {name}: {share:.3f} of its limit")
    assert share <= 1


@pytest.mark.parametrize("case", "abcdefg")
def test_golden_cases(case: str) -> None:
    given = arrays(f"case_{case}")
    acoustic, semantic = toy("acoustic")(given["latent"]), toy("semantic")(given["semantic"])
    for name, ours in (("acoustic_embed", acoustic), ("semantic_embed", semantic), ("next_embed", acoustic + semantic)):
        share = share_of_limit("case", name, ours, given[name])
        print(f"{case} {name}: {share:.3f} of its limit")
        assert share <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16(kind: str) -> None:
    x_NC = arrays("components")[f"conn_{kind}_in"].bfloat16()
    ours, exact = toy(kind, torch.bfloat16)(x_NC), toy(kind)(x_NC.float())
    assert ours.dtype == torch.bfloat16
    assert (ours.float() - exact).norm() / exact.norm() < 0.02


def test_no_gradients() -> None:
    assert not any(weight.requires_grad for weight in toy("acoustic").parameters())

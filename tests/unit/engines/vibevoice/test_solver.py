"""The solver's constants and its guided loop, against the reference's golden data and what any solver must keep."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from longtake.core.errors import InputError, InvariantError
from longtake.engines.vibevoice.decoding.solver import (
    Solver,
    betas,
    cumulative_alphas,
    sample,
    solver_table,
    trajectory,
)
from longtake.engines.vibevoice.network.config import HeadConfig
from longtake.engines.vibevoice.network.head import DiffusionHead
from tests.support.golden import arrays, read_json, share_of_limit, toy_weights

torch.set_num_threads(1)
ODE, SDE = Solver.ODE, Solver.SDE
SHORT = {ODE: "ode", SDE: "sde"}


@functools.cache
def toy(dtype: torch.dtype = torch.float32) -> DiffusionHead:
    prefix = "model.prediction_head."
    weights = {name.removeprefix(prefix): w.to(dtype) for name, w in toy_weights().items() if name.startswith(prefix)}
    for layer in range(4):
        gate, up = (weights.pop(f"layers.{layer}.ffn.{part}_proj.weight") for part in ("gate", "up"))
        weights[f"layers.{layer}.ffn.gate_up_proj.weight"] = torch.cat((gate, up))
    with torch.device("meta"):
        head = DiffusionHead(HeadConfig(hidden_size=64))
    head.load_state_dict(weights, strict=True, assign=True)
    return head


def assert_golden(group: str, name: str, ours: Tensor, golden: Tensor) -> None:
    share = share_of_limit(group, name, ours, golden)
    print(f"{name}: {share:.3f} of its limit")
    assert share <= 1


def rows(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def float64(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_golden_schedule() -> None:
    golden = arrays("scheduler")
    assert_golden("scheduler", "betas", torch.from_numpy(betas()), golden["betas"])
    assert_golden("scheduler", "alphas_cumprod", torch.from_numpy(cumulative_alphas()), golden["alphas_cumprod"])


@pytest.mark.parametrize("solver", [ODE, SDE])
@pytest.mark.parametrize("steps", [5, 10, 20])
def test_golden_table(steps: int, solver: Solver) -> None:
    table, golden = solver_table(steps, solver), arrays("scheduler")
    assert list(table.timesteps) == golden[f"n{steps}_timesteps"].tolist()
    coef = f"n{steps}_{SHORT[solver]}_coef"
    assert_golden("scheduler", coef, float64(table.step_coefs), golden[coef])
    alpha, sigma = float64([*table.x0_coefs, (1, 0)]).T * torch.tensor([[1], [-1]])
    ours = {"sigmas": float64(table.sigmas), "x0_coef": float64(table.x0_coefs), "alpha": alpha, "sigma": sigma}
    for what, values in ours.items():
        assert_golden("scheduler", f"n{steps}_{what}", values, golden[f"n{steps}_{what}"])
    name = f"n{steps}_lambda"
    assert golden[name][-1] == torch.inf
    assert_golden("scheduler", name, (alpha.log() - sigma.log())[:-1], golden[name][:-1])


@pytest.mark.parametrize("solver", [ODE, SDE])
@pytest.mark.parametrize("steps", range(1, 101))
def test_any_number_of_steps_keeps_signal_and_noise(steps: int, solver: Solver) -> None:
    """A state alpha · x0 + sigma · e with a known x0 must land on the next alpha and sigma exactly."""
    table = solver_table(steps, solver)
    assert table.steps == steps == len(set(table.timesteps))
    assert table.timesteps[0] == 999
    ends = [*table.x0_coefs[1:], (1.0, 0.0)]
    for (alpha, minus_sigma), (alpha_end, minus_sigma_end), (c0, c1, c2, c3) in zip(
        table.x0_coefs, ends, table.step_coefs, strict=True
    ):
        assert c0 * alpha + c1 + c2 == pytest.approx(alpha_end, rel=1e-9, abs=1e-12)
        assert (c0 * minus_sigma) ** 2 + c3**2 == pytest.approx(minus_sigma_end**2, rel=1e-9, abs=1e-12)
        assert (c3 > 0) == (solver is SDE and minus_sigma_end != 0)
    assert table.step_coefs[0][2] == 0
    assert table.step_coefs[-1] == (0, 1, 0, 0)


@pytest.mark.parametrize("steps", [0, -1, 101])
def test_a_wrong_number_of_steps_is_the_callers_mistake(steps: int) -> None:
    with pytest.raises(InputError, match=f"^{steps} diffusion steps .* 1 to 100.* 10 is usual") as caught:
        solver_table(steps, ODE)
    assert caught.value.param == "steps"


def test_a_table_is_made_once() -> None:
    assert solver_table(10, ODE) is solver_table(10, ODE)
    assert solver_table(10, ODE) is not solver_table(10, SDE)


@pytest.mark.parametrize("solver", [ODE, SDE])
@pytest.mark.parametrize("steps", [5, 10, 20])
def test_golden_trajectory(steps: int, solver: Solver) -> None:
    given = arrays("components")
    step_noise = given[f"traj_sde_noise_{steps}"][None] if solver is SDE else None
    conds = given["traj_cond_pos"], given["traj_cond_neg"]
    table, guidance = solver_table(steps, solver), torch.tensor([1.3])
    done = list(trajectory(toy(), table, *conds, given["traj_noise"], guidance, step_noise))
    name = f"traj_{SHORT[solver]}_{steps}"
    assert_golden("components", f"{name}_x", torch.cat([step.x_B64 for step in done]), given[f"{name}_x"])
    assert_golden("components", f"{name}_x0", torch.cat([step.x0_B64 for step in done]), given[f"{name}_x0"])
    v = torch.stack([torch.cat((step.v_pos_B64, step.v_neg_B64, step.v_B64)) for step in done])
    assert_golden("components", f"{name}_v", v, given[f"{name}_v"])
    latent = sample(toy(), table, *conds, given["traj_noise"], guidance, step_noise)
    assert torch.equal(latent, done[-1].x_B64)
    assert torch.equal(latent, done[-1].x0_B64)


@pytest.mark.parametrize("key", "abcdefg")
def test_golden_cases(key: str) -> None:
    """All frames of a case as one batch."""
    case, facts = arrays(f"case_{key}"), read_json("cases.json")["cases"][key]
    table = solver_table(facts["diffusion_steps"], Solver(facts["solver"]))
    frames = len(case["latent"])
    step_noise = case["sde_noise"][:, :, 0] if "sde_noise" in case else None
    guidance = torch.full((frames,), facts["cfg_scale"])
    latent = sample(toy(), table, case["cond_pos"], case["cond_neg"], case["noise"][:, 0], guidance, step_noise)
    assert_golden("case", "latent", latent, case["latent"])


@pytest.mark.parametrize("solver", [ODE, SDE])
def test_rows_together_are_rows_alone(solver: Solver) -> None:
    pos, neg, noise = (rows(4, 64, seed=seed) for seed in range(3))
    step_noise = rows(4, 7, 64, seed=3) if solver is SDE else None
    guidance, table = torch.tensor([1.0, 1.3, 3.0, 0.0]), solver_table(7, solver)
    together = sample(toy(), table, pos, neg, noise, guidance, step_noise)
    for i in range(4):
        row = slice(i, i + 1)
        alone = sample(
            toy(), table, pos[row], neg[row], noise[row], guidance[row], None if step_noise is None else step_noise[row]
        )
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=0)


def test_guidance_1_is_the_positive_branch_and_0_the_negative_one() -> None:
    pos, other, neg, noise = (rows(1, 64, seed=seed) for seed in range(4))
    table = solver_table(10, ODE)

    def draw(pos: Tensor, neg: Tensor, guidance: float) -> Tensor:
        return sample(toy(), table, pos, neg, noise, torch.tensor([guidance]))

    torch.testing.assert_close(draw(pos, neg, 1), draw(pos, other, 1), atol=1e-5, rtol=0)
    torch.testing.assert_close(draw(pos, neg, 0), draw(other, neg, 0), atol=1e-5, rtol=0)
    assert not torch.allclose(draw(pos, neg, 1.3), draw(pos, other, 1.3), atol=1e-2)


@pytest.mark.parametrize("solver", [ODE, SDE])
@pytest.mark.parametrize("steps", [1, 2, 100])
def test_the_outermost_numbers_of_steps_run(steps: int, solver: Solver) -> None:
    pos, neg, noise = (rows(2, 64, seed=seed) for seed in range(3))
    step_noise = rows(2, steps, 64, seed=3) if solver is SDE else None
    done = list(trajectory(toy(), solver_table(steps, solver), pos, neg, noise, torch.tensor([1.3, 1.3]), step_noise))
    assert len(done) == steps
    assert torch.equal(done[-1].x_B64, done[-1].x0_B64)
    assert done[-1].x_B64.isfinite().all()


def test_the_inputs_are_left_as_they_were() -> None:
    given = (rows(2, 64, seed=0), rows(2, 64, seed=1), rows(2, 64, seed=2))
    copies = [tensor.clone() for tensor in given]
    sample(toy(), solver_table(5, ODE), *given, torch.tensor([1.3, 1.3]))
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(given, copies, strict=True))


@pytest.mark.parametrize(("solver", "noisy"), [(ODE, True), (SDE, False)])
def test_noise_of_the_steps_belongs_to_the_stochastic_solver(solver: Solver, noisy: bool) -> None:
    row, step_noise = rows(1, 64, seed=0), rows(1, 5, 64, seed=1) if noisy else None
    with pytest.raises(InvariantError, match="only sde-dpmsolver"):
        sample(toy(), solver_table(5, solver), row, row, row, torch.ones(1), step_noise)


def test_bfloat16_weights_step_a_float32_state() -> None:
    case, table = arrays("case_a"), solver_table(10, ODE)
    conds = case["cond_pos"].bfloat16(), case["cond_neg"].bfloat16()
    done = list(trajectory(toy(torch.bfloat16), table, *conds, case["noise"][:, 0], torch.full((40,), 1.3)))
    for step in done:
        parts = (step.x_B64, step.x0_B64, step.v_pos_B64, step.v_neg_B64, step.v_B64)
        assert {part.dtype for part in parts} == {torch.float32}
    latent = done[-1].x_B64
    error = ((latent - case["latent"]).norm(dim=-1) / case["latent"].norm(dim=-1)).median()
    print(f"bfloat16: median relative error {error:.4f}")
    assert error < 0.05
